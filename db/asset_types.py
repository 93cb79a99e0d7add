"""The values that `db.assets` takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from db.json_values import Json


@dataclass(frozen=True, slots=True)
class AssetFile:
    """One file of an asset; its bytes are in the object store under `digest`.

    `unsigned_digest` is that of the file before a manifest was embedded in it, None where none was: a signature is
    another each time, what it signs is not.
    """

    role: str
    name: str
    digest: str
    media_type: str
    bytes: int
    unsigned_digest: str | None = None

    @property
    def content_digest(self) -> str:
        """The digest of what was made: equal for equal recipes."""
        return self.unsigned_digest or self.digest


@dataclass(frozen=True, slots=True)
class StageExecution:
    """One stage's run for one asset; digests are "sha256:...", `started_at` is aware."""

    stage: str
    input_digest: str
    output_digest: str
    started_at: datetime
    wall_s: float
    detail: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Parent:
    """Something an asset was made from, besides its model: vocals, a melody, a picture's cue sheet."""

    digest: str
    role: str


@dataclass(frozen=True, slots=True)
class Maker:
    """What made a batch of assets: the worker (as it claimed), its code and its numeric profile."""

    owner: str
    code_version: str
    numeric_profile: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class NewAsset:
    """A finished piece whose objects are stored; `attempt` is that of its claim."""

    recipe_id: str
    attempt: int
    digest: str
    duration_s: float
    attributes: Mapping[str, Json]
    files: tuple[AssetFile, ...]
    stages: tuple[StageExecution, ...]
    parents: tuple[Parent, ...] = ()


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset as recorded. `prompt`, `seed`, `model_*` are its recipe's; files in order of role, name."""

    id: str
    digest: str
    kind: str
    prompt: str
    seed: int
    duration_s: float
    model_name: str
    model_digest: str
    attributes: Mapping[str, Json]
    created_at: datetime
    files: tuple[AssetFile, ...]


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """`child` (an asset id) was made from `parent` (a digest) in this role."""

    child: str
    parent: str
    role: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """All that is known of how an asset came to be."""

    asset: Asset
    recipe: Mapping[str, Json]
    worker: str
    code_version: str
    numeric_profile: Mapping[str, Json]
    stages: tuple[StageExecution, ...]
    edges: tuple[LineageEdge, ...]
    runs: tuple[str, ...]
    catalogues: tuple[str, ...]
    personal: Mapping[str, Json] | None = None  # what the recipe has by a commitment only, as long as it is kept


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Which assets to list; what is None does not restrict. Order: newest first, or by plan with `run_id`."""

    catalogue: str | None = None
    run_id: str | None = None
    kind: str | None = None
    model_digest: str | None = None
    limit: int | None = 100
    withdrawn: bool = False  # those that were withdrawn as well
