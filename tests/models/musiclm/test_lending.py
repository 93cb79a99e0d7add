"""A version that was trained on has only the parts that changed; the others are lent by the version it began at."""

import json

import pytest
import tiny_musiclm
import torch

from models.musiclm.lending import whole_tensors
from models.musiclm.model import load_model
from models.musiclm.release import TRAINED_ON, release
from models.registry import find_version, load_generator
from models.weights import UnusableModelError, write_version


@pytest.fixture
def start(tmp_path):
    return tiny_musiclm.version(tmp_path / "models" / "first", name="musiclm-small")


@pytest.fixture
def training(tmp_path):
    (tmp_path / "training" / "clips").mkdir(parents=True)
    (tmp_path / "training" / "clips" / "manifest.json").write_text(json.dumps({"isBasedOn": []}))
    return tmp_path / "training"


@pytest.fixture
def trained_on(start, training):
    """A version whose semantic and coarse stages were trained on, beside the one it began at."""
    model, other = load_model(start, "cpu", torch.float32), tiny_musiclm.model(seed=7)
    for name in TRAINED_ON:
        getattr(model, name).load_state_dict(getattr(other, name).state_dict())
    return release(model, training, start.path.with_name("second"), start)


def test_it_has_its_own_parts_and_the_lent_ones_bit_for_bit(start, trained_on):
    own, begun = whole_tensors(trained_on), whole_tensors(start)
    assert own.keys() == begun.keys()
    for name, tensor in own.items():
        same = torch.equal(tensor, begun[name])
        assert same or name.partition(".")[0] in TRAINED_ON
    assert not torch.equal(own["coarse.heads_KVD"], begun["coarse.heads_KVD"])
    sizes = [(version.path / "model.safetensors").stat().st_size for version in (trained_on, start)]
    assert sizes[0] < sizes[1] / 2
    assert load_generator(trained_on, slots=1).version.digest == trained_on.digest


def test_it_is_what_its_name_means_from_then_on(tmp_path, start, trained_on):
    assert start.name == trained_on.name
    assert trained_on.config["supersedes"] == [start.digest]
    assert trained_on.card["begun_at"] == start.reference
    assert find_version(start.reference, [tmp_path / "models"]).path == start.path


def test_it_is_refused_where_nobody_has_the_parts_it_lacks(tmp_path, start, trained_on):
    mended = tiny_musiclm.model(seed=3)
    write_version(start.path, mended.packed(), dict(start.config), "---\nname: musiclm-small\n---\n")
    with pytest.raises(UnusableModelError, match=r"musiclm-small@sha256:.* has another codec"):
        load_model(trained_on, "cpu", torch.float32)


def test_what_goes_on_from_it_borrows_from_the_first_and_supersedes_both(start, training, trained_on):
    third = release(load_model(trained_on, "cpu", torch.float32), training, start.path.with_name("third"), trained_on)
    assert third.config["supersedes"] == [trained_on.digest, start.digest]
    assert third.config["lent"] == trained_on.config["lent"]
    assert load_generator(third, slots=1).version.digest == third.digest
