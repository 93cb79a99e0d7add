"""Shelves of a catalogue."""

from datetime import UTC, datetime

import pytest

from db.assets import Asset, AssetFile
from db.objects import open_objects
from flows.shelf import asset_folder_name, shelve


@pytest.fixture
def objects(tmp_path):
    return open_objects(tmp_path / "objects")


def asset(objects, **contents):
    """An asset with a file of each role, whose name and content are given."""
    files = tuple(
        AssetFile(role, name, objects.put(data), "text/plain", len(data)) for role, (name, data) in contents.items()
    )
    return Asset("a" * 64, files[0].digest, "score", "Harp", 1, 2.0, "m", "sha256:00", {}, datetime.now(UTC), files)


def test_files_of_an_asset_lie_in_its_folder_and_are_the_objects(objects, tmp_path):
    made = asset(objects, midi=("score.mid", b"notes"), pdf=("score.pdf", b"page"))
    for _ in range(2):
        shelve(tmp_path / "shelf", [made], objects)
    folder = tmp_path / "shelf" / asset_folder_name(made)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "score.mid": b"notes",
        "score.pdf": b"page",
    }
    assert all(path.stat().st_nlink == 2 for path in folder.iterdir())


def test_two_files_of_one_name_are_refused_and_their_objects_stay_as_they_are(objects, tmp_path):
    made = asset(objects, midi=("score", b"notes"), pdf=("score", b"page"))
    with pytest.raises(FileExistsError):
        shelve(tmp_path / "shelf", [made], objects)
    assert [objects.get(file.digest) for file in made.files] == [b"notes", b"page"]
    assert not (tmp_path / "shelf" / asset_folder_name(made)).exists()
