"""From `tutti generate` to the first call of a stage: in a new home, with servers stopped, and with servers running.

Each makes pieces of its own, so that there is always something to make. "first stage" is the earliest start that
the database has of any stage of the run; the clock is that of the machine for both. "nothing to make" is the last
order once more.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench.commands import EXAMPLE, tutti
from bench.overhead import spans_by_worker
from bench.support import finish, parser, show, temporary_home
from db.postgres import EmbeddedPostgres


def measure(home: Path, name: str, order: Path, seed: int) -> dict[str, float | str]:
    """Make an order and say how long its first stage took to come."""
    began = time.time()
    answer = tutti(home, "generate", str(order), "--seed", str(seed), "--workers", "1")
    ended = time.time()
    _, spans = spans_by_worker(EmbeddedPostgres(home).url(), answer["run"])
    starts = [start for each in spans.values() for start, _ in each]
    first = min(starts) - began if answer["made"] else float("nan")
    return {"start": name, "first_stage_s": first, "whole_s": ended - began, "made": answer["made"]}


def main() -> None:
    """Start from nothing, from stopped servers, from running ones, and with nothing to make."""
    options = parser(__doc__)
    options.add_argument("--order", type=Path, help=f"instead of one piece by the model of {EXAMPLE.name}")
    given = options.parse_args()
    with temporary_home() as home:
        order = given.order or _one_piece(home)
        try:
            rows = [measure(home, "new home", order, 1)]
            tutti(home, "down")
            rows.append(measure(home, "servers stopped", order, 2))
            rows.append(measure(home, "servers running", order, 3))
            rows.append(measure(home, "nothing to make", order, 3))
        finally:
            tutti(home, "down")
    show(rows)
    finish("cold_start", {"rows": [{**row, "first_stage_s": _known(row)} for row in rows]}, as_json=given.json)


def _one_piece(folder: Path) -> Path:
    path = folder / "one.yaml"
    path.write_text("catalogue: one\nkind: score\ntracks: [{prompt: calm piano piece, duration_s: 10}]\n")
    return path


def _known(row: dict[str, float | str]) -> float | None:
    return float(row["first_stage_s"]) if row["made"] else None  # JSON has no NaN


if __name__ == "__main__":
    main()
