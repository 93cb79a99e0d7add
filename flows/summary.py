"""What a run came to: the answer of `tutti generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db.assets import Asset, AssetFilter, list_assets
from db.runs import get_run
from db.work import SetAside, list_set_aside, progress
from flows.services import Backend, Services
from flows.shelf import asset_folder_name, first_file


@dataclass(frozen=True, slots=True)
class AssetLine:
    """An asset as an answer lists it; `path` opens."""

    id: str
    path: str
    prompt: str
    seed: int
    duration_s: float
    digest: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run: planned = made + reused + failed once it is done."""

    run: str
    catalogue: str
    planned: int
    made: int
    reused: int
    failed: int
    wall_s: float
    audio_s: float
    assets: Sequence[AssetLine]
    set_aside: Sequence[SetAside]

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values; what was set aside has a command of its own."""
        values = asdict(self)
        del values["set_aside"]
        return values


def summarise(services: Services, backend: Backend, run_id: str, wall_s: float) -> RunSummary:
    """Return what a run came to, with every asset of it.

    Raises:
        StorageError: the database cannot be asked.
    """
    with backend.database.unit_of_work() as session:
        run = get_run(session, run_id)
        now = progress(session, run_id)
        assets = list_assets(session, AssetFilter(run_id=run_id, limit=None))
        set_aside = list_set_aside(session, run_id) if now.failed else []
    lines = [line(services, backend, run.catalogue, asset) for asset in assets]
    return RunSummary(
        run=run_id,
        catalogue=run.catalogue,
        planned=run.planned,
        made=now.done - run.reused,
        reused=run.reused,
        failed=now.failed,
        wall_s=round(wall_s, 3),
        audio_s=round(sum(each.duration_s for each in lines), 3),
        assets=lines,
        set_aside=set_aside,
    )


def line(services: Services, backend: Backend, catalogue: str | None, asset: Asset) -> AssetLine:
    """Describe an asset: where the file lies that one opens first, on the shelf or else in the store."""
    path: Path | None = None
    if catalogue is not None and services.has_shelves:
        path = services.shelf(catalogue) / asset_folder_name(asset) / first_file(asset).name
    where = str(path) if path and path.is_file() else backend.objects.locate(first_file(asset).digest)
    return AssetLine(asset.id, where, asset.prompt, asset.seed, asset.duration_s, asset.digest)
