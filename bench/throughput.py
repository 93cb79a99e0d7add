"""The whole way without a model: claim, Ray, 50 kB objects stored durably, rows committed; assets a second.

Runs with 1 and with 2 workers alternate, each a run of its own on one embedded PostgreSQL, so that what else the
machine does meets both alike. "working" is from a worker's first claim to the end; "whole" has the start of Ray and
of the workers in it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from actors.actor import WorkerSpec
from actors.cluster import ClusterSpec, ray_cluster
from actors.factory import GeneratorFactory
from actors.pool import PoolSpec, WorkerPool
from actors.worker import WorkerOptions
from bench.noop import MODEL, OBJECT_BYTES
from bench.support import finish, parser, show, temporary_database, temporary_home
from db.assets import AssetFilter, list_assets
from db.database import Database
from db.objects import open_objects
from db.planning import PlannedRecipe, plan_run
from db.runs import NewRun, finish_run, new_run_id
from db.work import progress
from flows.recipe import RecipeWriter
from models.weights import ModelVersion


@dataclass(frozen=True, slots=True)
class Finished:
    """One run without a model."""

    workers: int
    assets: int
    whole_s: float
    working_s: float
    per_second: float
    megabytes_per_second: float


def plan(database: Database, items: int, seed: int) -> str:
    """Plan a run of items that no other run has; return its id."""
    writer = RecipeWriter(MODEL, duration_s=60.0, controls={})
    run_id = new_run_id()
    recipes = (writer.write(f"nothing, number {number}", seed) for number in range(items))
    planned = (PlannedRecipe(r.id, MODEL.kind, MODEL.digest, r.prompt, r.seed, r.duration_s, r.body) for r in recipes)
    plan_run(database, NewRun(run_id, "bench", {}, "sha256:00"), planned)
    return run_id


def work_off(database: Database, run_id: str, home: Path, workers: int, slots: int) -> Finished:
    """Work off a run with a pool on the Ray that is there, and see that all of it was made."""
    factory = GeneratorFactory(
        loader="bench.noop:load",
        version=ModelVersion(MODEL.name, MODEL.kind, MODEL.digest, home, {}, {}),
        device="cpu",
        dtype="float32",
        slots=slots,
        threads=1,
    )
    worker = WorkerSpec(
        options=WorkerOptions(run_id=run_id),
        database_url=database.url,
        objects=str(home / "objects"),
        s3=None,
        factory=factory,
    )
    began = time.monotonic()
    first: float | None = None
    with WorkerPool(PoolSpec(workers=workers, threads=1, gpus_per_worker=0.0), worker) as pool:
        ended = False
        while not ended:
            ended = pool.wait(0.1)
            with database.unit_of_work() as session:
                now = progress(session, run_id)
            if first is None and now.done + now.claimed:
                first = time.monotonic()
        over = time.monotonic()
        if pool.errors:
            raise pool.errors[0]
    with database.unit_of_work() as session:
        finish_run(session, run_id, over - began)
        made = list_assets(session, AssetFilter(run_id=run_id, limit=None))
    objects = open_objects(home / "objects")
    missing = sum(not objects.exists(file.digest) for asset in made for file in asset.files)
    if missing or now.open or len(made) != now.total:
        raise RuntimeError(f"{now}, {len(made)} assets, {missing} objects missing")
    working = over - (first or began)
    rate = len(made) / working
    return Finished(workers, len(made), over - began, working, rate, rate * OBJECT_BYTES / 1e6)


def main() -> None:
    """Alternate runs of 1 and 2 workers, and print what they came to."""
    options = parser(__doc__)
    options.add_argument("--items", type=int, default=5_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--slots", type=int, default=8)
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = options.parse_args()
    rows: list[Finished] = []
    with (
        temporary_home() as home,
        temporary_database(home, MODEL) as database,
        ray_cluster(ClusterSpec(address=None, cpus=max(given.workers))),
    ):
        for repeat in range(given.repeats):
            for workers in given.workers:
                run_id = plan(database, given.items, seed=repeat * 100 + workers)
                rows.append(work_off(database, run_id, home, workers, given.slots))
    show([asdict(row) for row in rows])
    rates = {n: median(row.per_second for row in rows if row.workers == n) for n in given.workers}
    print("median assets a second: " + ", ".join(f"{rate:,.0f} with {n}" for n, rate in rates.items()))
    figures = {"rows": [asdict(row) for row in rows], "median_per_second": rates}
    finish("throughput", figures, as_json=given.json)


if __name__ == "__main__":
    main()
