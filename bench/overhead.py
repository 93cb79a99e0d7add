"""The share of a finished run's wall time in which no stage was being executed, read from the database.

"idle" is the share in which no worker executed any stage. "per worker" asks more: it is the share of all workers'
time, from the start of the run to its end, in which that worker executed none, so it also counts the wait for the
last item. Both are given for the run (from the end of planning: Ray, workers, model, generation, verification,
shelf) and for the whole command (with Python, PostgreSQL and Prefect from nothing).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from bench.commands import EXAMPLE, tutti
from bench.support import finish, parser, show, temporary_home
from db.assets import AssetFilter, lineage, list_assets
from db.database import connect
from db.postgres import EmbeddedPostgres
from db.runs import get_run

Span = tuple[float, float]


def covered_s(spans: Iterable[Span]) -> float:
    """Return how long at least one of the spans lasts."""
    total, until = 0.0, float("-inf")
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def spans_by_worker(url: str, run_id: str) -> tuple[Span, dict[str, list[Span]]]:
    """Return when a run was worked on and, for every worker, when it executed stages."""
    database = connect(url)
    try:
        with database.unit_of_work() as session:
            run = get_run(session, run_id)
            spans: dict[str, list[Span]] = {}
            for asset in list_assets(session, AssetFilter(run_id=run_id, limit=None)):
                known = lineage(session, asset.id)
                for stage in known.stages:
                    began = stage.started_at.timestamp()
                    spans.setdefault(known.worker, []).append((began, began + stage.wall_s))
    finally:
        database.close()
    if run.finished_at is None or run.wall_s is None:
        raise RuntimeError(f"run {run_id} is {run.state}")
    ended = run.finished_at.timestamp()
    return (ended - run.wall_s, ended), spans


def main() -> None:
    """Make the example catalogue in a new home, and see where the time went."""
    options = parser(__doc__)
    options.add_argument("--order", type=Path, default=EXAMPLE)
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    with temporary_home() as home:
        began = time.monotonic()
        try:
            answer = tutti(home, "generate", str(given.order), "--workers", str(given.workers))
            command_s = time.monotonic() - began
            (run_began, run_ended), spans = spans_by_worker(EmbeddedPostgres(home).url(), answer["run"])
        finally:
            tutti(home, "down")
    spans = {worker: [(max(began, run_began), ended) for began, ended in each] for worker, each in spans.items()}
    busy_s = covered_s(span for each in spans.values() for span in each)
    busy_by_worker_s = sum(covered_s(each) for each in spans.values())
    rows = [
        {
            "of": name,
            "wall_s": wall_s,
            "stages_s": busy_s,
            "idle": 1 - busy_s / wall_s,
            "per_worker": 1 - busy_by_worker_s / (given.workers * wall_s),
        }
        for name, wall_s in (("run", run_ended - run_began), ("command", command_s))
    ]
    before_s = min(began for each in spans.values() for began, _ in each) - run_began
    after_s = run_ended - max(ended for each in spans.values() for _, ended in each)
    between_s = run_ended - run_began - before_s - after_s - busy_s
    show(rows)
    print(f"idle in the run: {before_s:.1f} s before, {between_s:.1f} s between, {after_s:.1f} s after all stages")
    print(f"{answer['made']} assets, {answer['audio_s']:.0f} s of music")
    figures = {"rows": rows, "before_s": before_s, "between_s": between_s, "after_s": after_s}
    finish("overhead", figures | {"made": answer["made"], "audio_s": answer["audio_s"]}, as_json=given.json)


if __name__ == "__main__":
    main()
