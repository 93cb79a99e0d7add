"""A file that is written whole is there whole, or is what it was."""

import pytest
from breaking import disk_with_room_for

from models.whole_files import whole_file, whole_folder, write_whole


@pytest.mark.parametrize("before", [None, b"the one before"])
def test_what_does_not_fit_leaves_what_was_there(tmp_path, before):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    with disk_with_room_for(100), pytest.raises(OSError, match="too large"):
        write_whole(path, b"x" * 1000)
    assert (path.read_bytes() if path.exists() else None) == before
    write_whole(path, b"x" * 1000)
    assert path.read_bytes() == b"x" * 1000
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_ends_in_the_middle_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    write_whole(path, "före")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "före"


def test_a_folder_that_ends_in_the_middle_is_not_there_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "folder") as partial:
        (partial / "half").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_fill_a_folder_at_once_the_first_is_kept(tmp_path):
    folder = tmp_path / "folder"
    with whole_folder(folder) as second:
        (second / "file").write_bytes(b"second")
        with whole_folder(folder) as first:
            (first / "file").write_bytes(b"first")
    assert (folder / "file").read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [folder]
