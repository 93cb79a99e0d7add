"""Files and folders that are on the disk once a call returns, and there after a crash."""

from __future__ import annotations

import os
from pathlib import Path


def write_forced(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a new file and force its bytes to the disk; `force_folder` does so with its name.

    Raises:
        FileExistsError: there is one already.
        OSError: it cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def force_folder(folder: Path) -> None:
    """Force a folder's entries to the disk.

    Raises:
        OSError: it is no folder, or its disk fails.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder unless it is there, and those above it; force the entries of those that are new to the disk.

    Raises:
        OSError: it cannot be made.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in new:
        force_folder(each.parent)
