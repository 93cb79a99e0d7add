"""Files and folders that are there whole or not at all: what is killed while it writes leaves what was there before.

A file's being there is what says that a step is done, so half of one would be taken for the whole.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of `path` when all of it is on the disk.

    One process at a time may write a path.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file whole, text in UTF-8.

    Raises:
        OSError: see `whole_file`.
    """
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def whole_folder(folder: Path, mode: int = 0o777) -> Iterator[Path]:
    """Give a folder to fill that becomes `folder` at the end of the block, and goes if that ends in an error.

    Several may fill the same one at once: what the first made stays, and the others are content with it. Until then
    the name begins with a dot.

    Raises:
        OSError: it cannot be made.
    """
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        partial.mkdir(parents=True, mode=mode)
        yield partial
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
