"""What a run came to: the answer of `tutti generate` and `tutti resume`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db.assets import Asset, AssetFile, stream_assets
from db.runs import get_run
from db.work import SetAside, list_set_aside, progress
from flows.services import Backend, Services
from flows.shelf import asset_folder_name, first_file


@dataclass(frozen=True, slots=True)
class AssetLine:
    """An asset as an answer lists it; `path` is the file that opens it: see `place`."""

    id: str
    path: str
    prompt: str
    seed: int
    duration_s: float
    digest: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run after a call of a command: planned = made + reused + failed once it is done.

    `made` and `wall_s` are of that call, and `reused` is what was there before it; the rest is of the whole run.
    """

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


def summarise(
    services: Services, backend: Backend, run_id: str, wall_s: float, there: int | None = None
) -> RunSummary:
    """Return what a run came to, with every asset of it.

    Args:
        services: with the settings.
        backend: where the rows and objects are.
        run_id: the run.
        wall_s: how long the call took.
        there: how many pieces of the run were there before the call; of a new run, those it reused.

    Raises:
        StorageError: the database cannot be asked.
    """
    with backend.database.unit_of_work() as session:
        run = get_run(session, run_id)
        now = progress(session, run_id)
        lines = [line(services, backend, [run.catalogue], asset) for asset in stream_assets(session, run_id)]
        set_aside = list_set_aside(session, run_id) if now.failed else []
    before = run.reused if there is None else there
    return RunSummary(
        run=run_id,
        catalogue=run.catalogue,
        planned=run.planned,
        made=now.done - before,
        reused=before,
        failed=now.failed,
        wall_s=round(wall_s, 3),
        audio_s=round(sum(each.duration_s for each in lines), 3),
        assets=lines,
        set_aside=set_aside,
    )


def line(services: Services, backend: Backend, catalogues: Sequence[str], asset: Asset) -> AssetLine:
    """Describe an asset that is in these catalogues."""
    where = place(services, backend, catalogues, asset, first_file(asset))
    return AssetLine(asset.id, where, asset.prompt, asset.seed, asset.duration_s, asset.digest)


def place(services: Services, backend: Backend, catalogues: Sequence[str], asset: Asset, file: AssetFile) -> str:
    """Return where a file of an asset lies: under its name on the first shelf that has it, else its object."""
    shelves = [services.shelf(catalogue) for catalogue in catalogues] if services.has_shelves else []
    paths = [shelf / asset_folder_name(asset) / Path(file.name).name for shelf in shelves]
    return next((str(path) for path in paths if path.is_file()), backend.objects.locate(file.digest))
