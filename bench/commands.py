"""Running `tutti` as a user does: a process of its own, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "docs" / "examples" / "score-drafts.yaml"


def tutti(home: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a command in `home` and return its answer; what it says in passing goes through.

    Raises:
        subprocess.CalledProcessError: its exit code is not 0.
    """
    code = "import sys; sys.argv[0] = 'tutti'; from flows.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TUTTI_HOME": str(home), **(settings or {})},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
