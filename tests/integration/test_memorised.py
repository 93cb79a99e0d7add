"""Of an asset it is said whether it is a copy of what its model was trained on."""

import tiny_musiclm


def test_a_piece_is_held_against_the_training_of_its_model(new_installation, tmp_path):
    tutti = new_installation("musiclm-tiny", TUTTI_SLOTS="4", TUTTI_WORKERS="1")
    version = tiny_musiclm.version(tutti.home / "models" / "musiclm-tiny", takes=1)
    tiny_musiclm.training(tmp_path / "training", version)
    order = tutti.order(
        "catalogue: one\nmodel: musiclm-tiny\nkind: soundscape\nduration_s: 2\ntracks: [{prompt: a flute}]\n"
    )
    [asset] = tutti.json("generate", order)["assets"]
    told = tutti.run("models", "memorised", asset["id"][:12], "--training", tmp_path / "training")
    assert told.returncode in (0, 1), told.stderr
    assert told.stdout.startswith("no copy:" if told.returncode == 0 else "nearly a copy:")
    found = tutti.json("models", "memorised", asset["id"], "--training", tmp_path / "training", code=told.returncode)
    assert (found["asset"], found["prompt"]) == (asset["id"], "a flute")
    assert (found["verdict"], found["held_out"]["clips"]) == ("none" if told.returncode == 0 else "near", 2)
    elsewhere = tutti.run("models", "memorised", asset["id"], "--training", tmp_path)
    assert elsewhere.returncode == 2
    assert "clips.jsonl is missing" in elsewhere.stderr
    unknown = tutti.run("models", "memorised", "0123456789ab", "--training", tmp_path)
    assert (unknown.returncode, "there is no asset" in unknown.stderr) == (2, True)
