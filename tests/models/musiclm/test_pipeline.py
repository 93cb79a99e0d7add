"""A pipeline that begins at a version has the version's parts wherever it trained none of its own."""

import json

import pytest
import torch

from models.musiclm.lending import whole_tensors
from models.musiclm.model import load_model
from models.musiclm.pipeline import STEPS, Pipeline, steps_from
from models.musiclm.stage import Stage, small, with_melody_table
from models.packing import SCALE
from models.registry import find_version
from models.training.kept import keep
from models.training.parts import PipelineError
from models.weights import load_tensors


@pytest.fixture(scope="module")
def start():
    return find_version("musiclm-small", ())


def pipeline(folder, start):
    (folder / "clips").mkdir(parents=True)
    (folder / "clips" / "manifest.json").write_text(json.dumps({"isBasedOn": []}))
    return Pipeline(folder, folder, workers=1, device="cpu", report=lambda *_: None, start=start)


def trained(folder, name, stage):
    """Leave in a pipeline's folder what a step leaves."""
    (folder / name).mkdir()
    keep(stage.state_dict(), folder / name / "weights.pt")
    rows = [
        {"step": 1, "elapsed_s": 1.0, "nats": 5.0},
        {"step": 2, "elapsed_s": 2.0, "nats": 5.0, "validation_0": 4.0},
    ]
    (folder / name / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_of_parts_that_were_not_trained_the_versions_own_are_released(tmp_path, start):
    begun = load_model(start, "cpu", torch.float32)
    stage = Stage(with_melody_table(begun.coarse.config))
    stage.take_up(begun.coarse)
    torch.nn.init.normal_(stage.melody.weight)
    going_on = pipeline(tmp_path, start)
    trained(tmp_path, "coarse-octaves", stage)
    going_on.step("release")
    assert going_on.released is not None
    own, before, whole = (
        load_tensors(going_on.released, "cpu"),
        whole_tensors(start),
        whole_tensors(going_on.released),
    )
    assert set(own) == {"coarse.melody.weight", "coarse.melody.weight" + SCALE}
    assert whole.keys() == before.keys() | own.keys()
    assert all(torch.equal(whole[name], before[name]) for name in before.keys() - own.keys())


def test_a_stage_is_released_only_when_all_of_its_training_is_done(tmp_path, start):
    begun = load_model(start, "cpu", torch.float32)
    stage = Stage(small().coarse)
    stage.take_up(begun.coarse)
    going_on = pipeline(tmp_path, start)
    trained(tmp_path, "coarse-following", stage)
    with pytest.raises(PipelineError, match="the step 'coarse-octaves' comes first"):
        going_on.step("release")
    assert going_on.released is None


def test_nothing_is_released_where_nothing_was_trained(tmp_path, start):
    for begun in (None, start):
        with pytest.raises(PipelineError, match="nothing has been trained in"):
            pipeline(tmp_path / str(begun is None), begun).step("release")


def test_from_nothing_a_step_that_comes_first_is_asked_for(tmp_path):
    with pytest.raises(PipelineError, match="the step 'semantic-octaves' comes first"):
        made = pipeline(tmp_path, None)
        trained(tmp_path, "codec", Stage(small().fine))
        made.step("release")


def test_a_pipeline_that_begins_at_a_version_takes_some_of_the_steps_in_their_order(start):
    some = steps_from(start)
    assert [step for step in STEPS if step in some] == sorted(some, key=STEPS.index)
    assert set(some) < set(STEPS) and some[-1] == "release"
