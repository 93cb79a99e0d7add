"""Plan orders of 100,000 and 1,000,000 recipes end to end: read and check the order, plan, write to PostgreSQL.

Two kinds of order: one track with a count, and a JSONL file with a track a line. Every size is planned in a
process of its own, so that each has its own peak of memory, into the same embedded PostgreSQL.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.noop import MODEL
from bench.support import finish, parser, peak_of_memory, postgres_of, show, temporary_database, temporary_home
from db.database import connect
from db.planning import PlannedRecipe, plan_run
from db.runs import NewRun, new_run_id
from flows.order import load_order
from flows.planning import plan_recipes


@dataclass(frozen=True, slots=True)
class Planned:
    """One order planned; processor time and memory are those of the planning process alone."""

    order: str
    recipes: int
    check_s: float
    plan_s: float
    total_s: float
    per_million_s: float
    own_cpu_s: float
    peak_rss_mb: float


def write_order(folder: Path, kind: str, recipes: int) -> Path:
    """Write an order of this many recipes; no two sizes share a recipe."""
    if kind == "count":
        path = folder / f"count-{recipes}.yaml"
        path.write_text(
            f"catalogue: bench\nseed: {recipes}\ntracks:\n"
            f"  - {{prompt: slow solo piano in D minor, count: {recipes}, duration_s: 20}}\n"
        )
        return path
    path = folder / f"lines-{recipes}.jsonl"
    with path.open("w") as file:
        for number in range(recipes):
            track = {"prompt": f"piece {number} of {recipes}: slow solo piano in D minor", "duration_s": 20}
            file.write(json.dumps(track) + "\n")
    return path


def plan(url: str, kind: str, path: Path, recipes: int) -> Planned:
    """Plan an order as a command would, and measure it."""
    database = connect(url)
    began, began_cpu = time.perf_counter(), time.process_time()
    order = load_order(path)
    checked = time.perf_counter()
    planned = (
        PlannedRecipe(r.id, MODEL.kind, MODEL.digest, r.prompt, r.seed, r.duration_s, r.body)
        for r in plan_recipes(order, MODEL)
    )
    counts = plan_run(database, NewRun(new_run_id(), order.catalogue, order.record, order.digest), planned)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    database.close()
    if counts.fresh != recipes:
        raise RuntimeError(f"{counts} for an order of {recipes}")
    return Planned(
        order=kind,
        recipes=recipes,
        check_s=checked - began,
        plan_s=ended - checked,
        total_s=ended - began,
        per_million_s=(ended - began) / recipes * 1e6,
        own_cpu_s=ended_cpu - began_cpu,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main() -> None:
    """Plan, print a row for each order and how linear it is."""
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    options.add_argument("--orders", nargs="+", default=["count", "lines"], choices=["count", "lines"])
    given = options.parse_args()
    rows: list[Planned] = []
    spawn = multiprocessing.get_context("spawn")
    with (
        temporary_home() as home,
        temporary_database(home, MODEL) as database,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as process,
        peak_of_memory(lambda: postgres_of(home)) as peak,
    ):
        for kind in given.orders:
            for size in given.sizes:
                path = write_order(home, kind, size)
                rows.append(process.submit(plan, database.url, kind, path, size).result())
    show([asdict(row) for row in rows])
    print(f"PostgreSQL at its peak: {peak[0]:.0f} MB, shared memory counted once")
    figures = {"rows": [asdict(row) for row in rows], "postgres_peak_mb": peak[0]}
    finish("planning", figures, as_json=given.json)


if __name__ == "__main__":
    main()
