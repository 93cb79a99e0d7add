"""What is written where a catalogue is exported."""

import hashlib
from datetime import UTC, datetime

import pytest

from db.assets import Asset, AssetFile
from db.objects import LocalObjects
from flows.export import ExportError, export_assets

FILES = {"codes": "codes.json", "midi": "score.mid", "midi.c2pa": "score.mid.c2pa", "pdf": "score.pdf"}


@pytest.fixture
def objects(tmp_path):
    return LocalObjects(tmp_path / "objects")


@pytest.fixture
def asset(objects):
    identity = hashlib.sha256(b"asset").hexdigest()
    files = tuple(
        AssetFile(role, name, objects.put(name.encode()), "application/octet-stream", len(name))
        for role, name in FILES.items()
    )
    return Asset(
        id=identity,
        digest=files[0].digest,
        kind="score",
        prompt="calm harp",
        seed=1,
        duration_s=5.0,
        model_name="tiny",
        model_digest="sha256:" + "a" * 64,
        attributes={},
        created_at=datetime(2026, 5, 1, tzinfo=UTC),
        files=files,
    )


@pytest.mark.parametrize(
    ("roles", "written"),
    [
        (["midi"], ["score.mid", "score.mid.c2pa"]),
        (["pdf"], ["score.pdf"]),
        (["midi.c2pa"], ["score.mid.c2pa"]),
        (None, sorted(FILES.values())),
    ],
)
def test_a_manifest_beside_a_file_goes_with_it(tmp_path, objects, asset, roles, written):
    done = export_assets([asset], objects, tmp_path / "out", roles)
    assert sorted(path.name for path in (tmp_path / "out").glob("*/*")) == written
    assert done.files == done.written == len(written)


def test_a_folder_that_is_a_file_is_refused_in_plain_words(tmp_path, objects, asset):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ExportError, match=r"/out cannot be written: not a directory$"):
        export_assets([asset], objects, tmp_path / "out", None)
