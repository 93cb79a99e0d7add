"""`tutti models add`: versions and MusicGen checkpoints."""

import json
import os
from pathlib import Path

import pytest
import tiny_musiclm
from tiny_musicgen import save
from typer.testing import CliRunner

from flows.cli.app import app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("TUTTI_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TUTTI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def tutti(*arguments: str) -> dict:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def test_a_checkpoint_of_musicgen_is_added_once_under_one_digest(tmp_path: Path, home: Path) -> None:
    save(tmp_path / "musicgen-tiny")
    added = tutti("models", "add", "musicgen-tiny")
    again = tutti("models", "add", str(tmp_path / "musicgen-tiny"))
    assert added == again
    assert (added["model"], added["kind"]) == ("musicgen-tiny", "soundscape")
    assert tutti("models", "verify", "musicgen-tiny")["verified"]
    assert sorted(path.name for path in (home / "models").iterdir()) == [Path(added["path"]).name]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("missing", "missing is not a model version"),
        ("empty", "empty is not a model version"),
        ("truncated", "truncated cannot be read"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, source: str, line: str, home: Path) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "truncated")
    weights = tmp_path / "truncated" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    done = CliRunner().invoke(app, ["models", "add", source])
    assert done.exit_code == 2, done.output
    assert line in done.stderr
    assert "\n" not in done.stderr.removesuffix("\n")
    assert not home.exists()


def test_a_version_is_renewed_without_a_copy_of_its_weights(tmp_path: Path) -> None:
    tiny_musiclm.version(tmp_path / "tiny")
    first = tutti("models", "add", "tiny")
    renewed = tutti("models", "renew", "musiclm-tiny", "--out", "new")
    assert (tmp_path / "new" / "model.safetensors").stat().st_size < 1000
    assert tutti("models", "add", "new")["digest"] == renewed["digest"] != first["digest"]
    assert tutti("models", "verify", "musiclm-tiny")["digest"] == renewed["digest"]
    for arguments, line in ((("musiclm-tiny",), "is there already"), (("score-small",), "is no MusicLM")):
        done = CliRunner().invoke(app, ["models", "renew", *arguments, "--out", "new"])
        assert done.exit_code == 2, done.output
        assert line in done.stderr
