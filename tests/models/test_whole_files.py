"""A file that is written whole is there whole, or is what it was."""

import pytest
from breaking import disk_with_room_for

from models.whole_files import whole_file, write_whole


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
