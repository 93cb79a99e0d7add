"""A piece that was in the training is told from one that was not."""

import numpy as np
import pytest
import tiny_musiclm
import torch

from models.musiclm.copies import CopyError, TrainingMaterial


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return tiny_musiclm.version(tmp_path_factory.mktemp("version"))


@pytest.fixture(scope="module")
def training(version, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    tiny_musiclm.training(folder, version)
    return folder


@pytest.fixture(scope="module")
def material(version, training):
    return TrainingMaterial(tiny_musiclm.read_version(version.path), training)


@pytest.fixture(scope="module")
def tokens(training):
    return torch.load(training / "tokens.pt")["semantic_NQ"].numpy().astype(np.int64)


def held(material, piece):
    return material.likeness(piece, lambda done, total: None)


def test_a_training_clip_is_a_copy_of_itself(material, tokens):
    found = held(material, tokens[4])
    assert (found.verdict, found.clip.number, found.same, found.shared_run_s) == ("copy", 4, 1.0, 10.0)
    assert found.cost == pytest.approx(0.0, abs=1e-3)
    assert found.as_same == 0.0


def test_a_copy_is_found_wherever_it_lies_in_a_long_piece(material, tokens):
    around = np.random.default_rng(1).integers(12, size=(2, 250))
    found = held(material, np.concatenate([around[0], tokens[7], around[1]]))
    assert (found.verdict, found.clip.number, found.begin_s, found.shared_run_s) == ("copy", 7, 10.0, 10.0)


def test_the_same_tokens_in_another_order_are_nearly_a_copy(material, tokens):
    found = held(material, np.roll(tokens[5], 100))
    assert (found.verdict, found.clip.number, found.as_near) == ("near", 5, 0.0)
    assert found.same < 0.5


def test_a_clip_that_training_never_had_is_no_copy(material, tokens):
    found = held(material, tokens[22])
    assert (found.verdict, found.held_out) == ("none", 2)  # 20 to 23 are for validation, two of them of its kind
    assert 0 < found.as_near <= 1
    assert found.shared_run_s < 1


def test_a_short_piece_is_held_against_clips_of_its_length(material, tokens):
    found = held(material, tokens[3][:50])
    assert (found.verdict, found.begin_s) == ("copy", 0.0)


def test_material_that_the_model_was_not_trained_on_is_refused(version, training, tmp_path):
    other = tiny_musiclm.version(tmp_path / "other")
    with pytest.raises(CopyError, match="is not what musiclm-tiny was trained on"):
        TrainingMaterial(other, training)
    with pytest.raises(CopyError, match=r"clips\.jsonl is missing"):
        TrainingMaterial(version, tmp_path)
    tiny_musiclm.clips(tmp_path / "clips")
    with pytest.raises(CopyError, match=r"tokens.pt cannot be read: .* the step 'tokens'"):
        TrainingMaterial(version, tmp_path)
