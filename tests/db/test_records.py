"""Records in a folder, and what is on the disk when one is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from db.records import FolderRecords

NAME = "checkpoints/log/000000000012.note"


@pytest.fixture
def forced(monkeypatch):
    """The files and folders that are forced to the disk, in order."""
    found = []
    really = os.fsync

    def fsync(handle):
        found.append(Path(f"/proc/self/fd/{handle}").readlink())
        really(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_a_record_is_forced_to_the_disk_with_every_folder_that_leads_to_it(tmp_path, forced):
    root = tmp_path / "new" / "records"
    FolderRecords(root).put(NAME, b"note")
    made = {root / "checkpoints/log", root / "checkpoints", root, root.parent, tmp_path}
    assert {path for path in forced if path.is_dir()} == made
    link = max(at for at, path in enumerate(forced) if path.name.startswith(".000000000012.note"))
    assert set(forced[link + 1 :]) == {root / "checkpoints/log", root / "checkpoints", root}, "after it has its name"
    assert [path.name for path in (root / "checkpoints/log").iterdir()] == ["000000000012.note"]


def test_folders_that_another_process_made_a_moment_ago_are_forced_too(tmp_path, forced):
    (tmp_path / NAME).parent.mkdir(parents=True)
    FolderRecords(tmp_path).put(NAME, b"note")
    assert {(tmp_path / NAME).parent, tmp_path / "checkpoints", tmp_path} <= set(forced)


def test_a_disk_that_fills_up_within_a_record_leaves_none(tmp_path):
    code = """
import pathlib, resource, signal, sys
from db.errors import ObjectStoreError
from db.records import FolderRecords
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a larger write stops there, the next fails: a full disk
try:
    FolderRecords(pathlib.Path(sys.argv[1])).put("a/long.note", b"x" * 5000)
except ObjectStoreError as error:
    print("refused", error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused") and "cannot be written" in done.stdout
    assert list((tmp_path / "a").iterdir()) == []
