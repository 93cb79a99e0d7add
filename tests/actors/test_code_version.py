"""The code version is another as soon as a file is that decides what is made."""

from pathlib import Path

import pytest

from actors.code_version import DECIDING, digest_of_sources

ROOT = Path(__file__).parents[2]
TOLD = {".md", ".j2", ".mako"}  # what is written about models, and in reports; how a migration begins
JUDGES = {".safetensors"}  # they hear what was made, and make nothing
BUILT = {".pyc", ".so"}  # from sources


@pytest.fixture
def tree(tmp_path):
    for name in ("models/a.py", "models/engine/native/step.cpp", "models/score/lexicon.yaml", "flows/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("first")
    return tmp_path


@pytest.mark.parametrize("name", ["models/a.py", "models/engine/native/step.cpp", "models/score/lexicon.yaml"])
def test_a_change_of_a_file_that_decides_what_is_made_is_another_code(tree, name):
    before = digest_of_sources(tree)
    (tree / name).write_text("second")
    assert digest_of_sources(tree) != before


def test_what_was_built_from_sources_is_no_other_code(tree):
    before = digest_of_sources(tree)
    (tree / "models/engine/native/_avx2.so").write_bytes(b"built here")
    assert digest_of_sources(tree) == before


def test_every_kind_of_file_in_the_packages_decides_or_is_known_not_to():
    shipped = ROOT / "models" / "shipped"  # versions: named by digest in every recipe
    kinds = {
        path.suffix
        for package in ("actors", "db", "flows", "models")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and not path.is_relative_to(shipped)
    }
    assert kinds <= DECIDING | TOLD | JUDGES | BUILT
