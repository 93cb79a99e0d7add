"""Training by command: a Prefect flow, a row in the database, one clear line where it cannot start."""

import tiny_musiclm


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


def test_an_unknown_step_is_refused_before_anything_starts(tutti, tmp_path):
    done = tutti.run(
        "models", "train", "musiclm-small", "--data", tmp_path, "--out", tmp_path / "out", "--step", "codex"
    )
    assert done.returncode == 2
    assert "no step 'codex'; the steps are, in order: clips, codec, joint" in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_material_is_named(tutti, tmp_path):
    done = tutti.run("models", "train", "score-small", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "openscore-lieder" in done.stderr
