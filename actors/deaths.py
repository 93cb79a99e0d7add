"""Why a worker's process died, in words: from what Ray says of it, and from what the process wrote last."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_PID: Final = re.compile(r"^\s*pid: (\d+)$", re.MULTILINE)
_DETAIL: Final = re.compile(r"Worker exit detail: (?:Worker exits unexpectedly\. )?(.+)", re.DOTALL)
_GUESSES: Final = re.compile(r"Some common causes include|If the process was killed by", re.IGNORECASE)
_CRASH: Final = re.compile(r"(?:\*\*\* |Fatal Python error: )\w+(?: received)?")  # a stack follows
_OF_RAY: Final = re.compile(r":\w+:|\[\d{4}-\d\d-\d\d [\d:,]+ \w \d+ \d+\]")  # ":actor_name:…", or its own log
_FRAME: Final = re.compile(r"\[0x[0-9a-f]+\]")  # of a stack of the interpreter: "python(_start+0x21) [0x55d…] _start"
_LAST_LINES, _MOST_CHARS = 3, 400


def cause_of_death(words: str, logs: Path | None) -> str:
    """Return why a process died, in a line.

    Args:
        words: the text of Ray's error.
        logs: folder where Ray keeps what its processes wrote, if it is on this machine.
    """
    detail = _DETAIL.search(words)
    said = detail[1] if detail else next((line for line in reversed(words.splitlines()) if line.strip()), "")
    said = " ".join(_GUESSES.split(said)[0].split())
    pid = _PID.search(words)
    written = _last_lines(logs, pid[1]) if logs is not None and pid is not None else ""
    return f"{said} It wrote last: {written}" if written else said


def _last_lines(logs: Path, pid: str) -> str:
    """Return the end of what a process wrote as its errors before it crashed; "" if it wrote none."""
    text = "\n".join(path.read_text(errors="replace") for path in sorted(logs.glob(f"worker-*-{pid}.err")))
    crash = _CRASH.search(text)
    lines = text[: crash.start() if crash else None].splitlines()
    said = [line.strip() for line in lines if not _OF_RAY.match(line) and not _FRAME.search(line)]
    kept = [line for line in said if line]
    if crash and not kept:
        return crash[0]
    return " | ".join(kept[-_LAST_LINES:])[-_MOST_CHARS:]
