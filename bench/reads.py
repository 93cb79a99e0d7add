"""Processor time of the commands that read, each a process of its own, beside Python and SQLAlchemy alone.

The home is new and its database runs: what such a command costs is what it imports. The second column counts in
times of a process that imports SQLAlchemy and the driver only, so that runs on a busy machine can be compared.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

from bench.commands import tutti
from bench.support import finish, parser, show, temporary_home

COMMANDS = (("list",), ("runs",), ("search", "harp"))
LEAST = "import psycopg, sqlalchemy.orm, sqlalchemy.dialects.postgresql"


def cpu_s(run: Callable[[], object]) -> float:
    """Return the processor time of the processes that `run` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run them in turn, and give medians."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=9)
    given = options.parse_args()
    with temporary_home() as home:
        tutti(home, "up")
        try:
            runs: dict[str, Callable[[], object]] = {
                "SQLAlchemy alone": lambda: subprocess.run([sys.executable, "-c", LEAST], check=True)
            }
            for words in COMMANDS:
                runs[words[0]] = lambda words=words: tutti(home, *words)  # type: ignore[misc]
            taken: dict[str, list[float]] = {name: [] for name in runs}
            for _ in range(given.repeats + 1):
                for name, run in runs.items():
                    taken[name].append(cpu_s(run))
        finally:
            tutti(home, "down")
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}  # the first compiles
    least = medians["SQLAlchemy alone"]
    rows = [{"command": name, "cpu_s": median, "times_least": median / least} for name, median in medians.items()]
    show(rows)
    finish("reads", {"rows": rows}, as_json=given.json)


if __name__ == "__main__":
    main()
