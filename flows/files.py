"""Whether a path that a user gave is a file that can be read more than once."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

ABSENT: Final = "no such file"


def problem_with(path: Path) -> str | None:
    """Say why a path is no regular file, in words without its name; None if it is one.

    To open a pipe that nobody writes to would wait for ever, and what a pipe or a device gives is gone once read.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return ABSENT
    except (OSError, ValueError) as error:  # a name with NUL, or too long
        return f"cannot be read: {reason(error)}"
    if stat.S_ISDIR(mode):
        return "is a folder, not a file"
    return None if stat.S_ISREG(mode) else "is a pipe or a device, not a file"


def reason(error: Exception) -> str:
    """Return what the system says of an error, without its number and the path."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number is not None else str(error)
