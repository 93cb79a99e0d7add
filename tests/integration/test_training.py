"""Training and measuring by command: Prefect flows, rows in the database, one clear line where they cannot start."""

import shutil

import pytest
import tiny_musiclm
import torch


@pytest.fixture
def tiny(tutti):
    """A MusicLM that the shared installation has for one test."""
    yield tiny_musiclm.version(tutti.home / "models" / "musiclm-tiny")
    shutil.rmtree(tutti.home / "models" / "musiclm-tiny")


def test_a_step_that_is_done_is_passed_over_and_the_training_recorded(tutti, tmp_path):
    tiny_musiclm.clips(tmp_path / "out" / "clips")
    answer = tutti.json(
        "models", "train", "musiclm-small", "--data", tmp_path, "--out", tmp_path / "out", "--step", "clips"
    )
    assert answer == {"model": "musiclm-small", "digest": None, "path": None}
    name, config, finished = tutti.query(
        "SELECT name, config, finished_at FROM training_runs ORDER BY started_at DESC LIMIT 1"
    )[0]
    assert (name, config["step"]) == ("musiclm-small", "clips")
    assert finished is not None


def test_a_step_whose_turn_has_not_come_names_the_one_before(tutti, tmp_path):
    tiny_musiclm.clips(tmp_path / "out" / "clips")
    done = tutti.run(
        "models", "train", "musiclm-small", "--data", tmp_path, "--out", tmp_path / "out", "--step", "codes"
    )
    assert done.returncode == 2
    assert "codec/weights.pt is missing: the step 'codec' comes first" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--step", "codex"), "no step 'codex'; the steps are, in order: clips, codec, joint"),
        (("--from", "score-small"), "musiclm-small cannot go on from score-small"),
    ],
)
def test_an_unknown_step_and_a_start_that_is_none_are_refused_before_anything_starts(
    tutti, tmp_path, arguments, said
):
    done = tutti.run("models", "train", "musiclm-small", "--data", tmp_path, "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_training_that_goes_on_from_a_version_has_its_parts(tutti, tmp_path):
    tiny_musiclm.clips(tmp_path / "out" / "clips")
    given = ("--data", tmp_path, "--out", tmp_path / "out", "--from", "musiclm-small")
    tutti.json("models", "train", "musiclm-small", *given, "--step", "codes")
    codes = torch.load(tmp_path / "out" / "codes.pt", weights_only=True)["codes_NFK"]
    assert tuple(codes.shape) == (12, 500, 8)
    config = tutti.query("SELECT config FROM training_runs ORDER BY started_at DESC LIMIT 1")[0][0]
    assert config["start"].startswith("musiclm-small@sha256:")
    refused = tutti.run("models", "train", "musiclm-small", *given, "--step", "codec")
    assert refused.returncode == 2
    assert "no step 'codec'; the steps are, in order: clips, tokens, codes, melodies" in refused.stderr


def test_missing_material_is_named(tutti, tmp_path):
    done = tutti.run("models", "train", "score-small", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "openscore-lieder" in done.stderr


def test_a_part_of_an_evaluation_is_measured_by_a_flow_and_told_on_a_page(tutti, tiny, tmp_path):
    tiny_musiclm.clips(tmp_path / "clips")
    answer = tutti.json(
        "models", "evaluate", tiny.name, "--clips", tmp_path / "clips", "--part", "memorisation",
        "--page", tmp_path / "page",
    )  # fmt: skip
    assert answer["model"] == tiny.reference
    assert answer["memorisation"]["items"] == 8
    assert "Memorisation" in (tmp_path / "page" / "index.html").read_text()
    assert tutti.prefect_states("evaluate-model") == {"COMPLETED"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--part", "memory", "--clips", "clips"), "has no part 'memory'; its parts: generation, stories"),
        ((), "a MusicLM is measured on rendered clips: give --clips OUT/clips"),
        (("--part", "codec", "--card"), "--card writes all figures: it goes without --part"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused_in_a_line(tutti, tiny, tmp_path, arguments, said):
    tiny_musiclm.clips(tmp_path / "clips")
    given = [str(tmp_path / "clips") if each == "clips" else each for each in arguments]
    done = tutti.run("models", "evaluate", tiny.name, *given)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
