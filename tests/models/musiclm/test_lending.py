"""A version that was trained on has only what changed; all else is lent by those that went before it."""

import json
import shutil
from dataclasses import replace

import pytest
import tiny_musiclm
import torch

from models.musiclm.lending import find_lent, part_digests, whole_tensors
from models.musiclm.model import MusicLM, load_model
from models.musiclm.release import LEG_S, release, renew
from models.musiclm.stage import with_melody_table
from models.packing import SCALE
from models.registry import find_version, load_generator, superseded
from models.weights import UnusableModelError, load_tensors, write_version


@pytest.fixture
def start(tmp_path):
    return tiny_musiclm.version(tmp_path / "models" / "first", name="musiclm-small")


@pytest.fixture
def training(tmp_path):
    (tmp_path / "training" / "clips").mkdir(parents=True)
    (tmp_path / "training" / "clips" / "manifest.json").write_text(json.dumps({"isBasedOn": []}))
    return tmp_path / "training"


CHANGED = ("semantic", "coarse.trunk", "codec.decoder")


def trained(start, training, folder, *changed, seed=7):
    """Return a version whose parts or pieces of that name are others than those it began at."""
    model, other = load_model(start, "cpu", torch.float32), tiny_musiclm.model(seed=seed)
    for name in changed:
        model.get_submodule(name).load_state_dict(other.get_submodule(name).state_dict())
    return release(model, training, start.path.with_name(folder), start)


@pytest.fixture
def trained_on(start, training):
    """A version that was trained on, beside the one it began at."""
    return trained(start, training, "second", *CHANGED)


def test_it_has_what_changed_and_borrows_all_else_bit_for_bit(start, trained_on):
    whole, begun, own = whole_tensors(trained_on), whole_tensors(start), load_tensors(trained_on, "cpu")
    assert whole.keys() == begun.keys()
    for name, tensor in whole.items():
        changed = any(name.startswith(f"{part}.") for part in CHANGED)
        assert (name in own) == changed
        assert changed or torch.equal(tensor, begun[name])
    for part in CHANGED:
        assert any(not torch.equal(whole[name], begun[name]) for name in own if name.startswith(f"{part}."))
    assert {"fine", "codec.encoder", "codec.quantiser", "coarse.codes"} <= trained_on.config["lent"].keys()
    assert load_generator(trained_on, slots=1).version.digest == trained_on.digest


def test_a_table_of_melodies_is_all_that_a_version_has_which_learnt_it_alone(start, training):
    begun = load_model(start, "cpu", torch.float32)
    config = replace(begun.config, coarse=with_melody_table(begun.config.coarse))
    model = MusicLM(config)
    model.load_state_dict(begun.state_dict(), strict=False)
    model.coarse.take_up(begun.coarse)
    torch.nn.init.normal_(model.coarse.melody.weight)
    made = release(model.requires_grad_(requires_grad=False), training, start.path.with_name("table"), start)
    assert {name.removesuffix(SCALE) for name in load_tensors(made, "cpu")} == {"coarse.melody.weight"}
    loaded = load_model(made, "cpu", torch.float32)
    assert loaded.coarse.melody.weight == pytest.approx(model.coarse.melody.weight, abs=0.03)
    assert torch.equal(loaded.coarse.added.weight, begun.coarse.added.weight)


def test_it_is_what_its_name_means_from_then_on(tmp_path, start, trained_on):
    assert start.name == trained_on.name
    assert trained_on.config["supersedes"] == [start.digest]
    assert trained_on.card["begun_at"] == start.reference
    assert find_version(start.reference, [tmp_path / "models"]).path == start.path


def test_it_is_refused_where_nobody_has_the_parts_it_lacks(tmp_path, start, trained_on):
    mended = tiny_musiclm.model(seed=3)
    write_version(start.path, mended.packed(), dict(start.config), "---\nname: musiclm-small\n---\n")
    with pytest.raises(
        UnusableModelError, match=r"no MusicLM has the .*codec\.encoder, .*looked at .*musiclm-small@"
    ):
        load_model(trained_on, "cpu", torch.float32)


def test_what_is_still_being_copied_lends_nothing_and_is_in_nobodys_way(start, trained_on):
    partial = start.path.with_name(".first.12345678")
    shutil.copytree(start.path, partial)
    (partial / "card.md").unlink()
    lenders, _ = find_lent({"fine": trained_on.config["lent"]["fine"]}, trained_on)
    assert lenders["fine"].path == start.path


def test_what_goes_on_from_it_borrows_from_both_and_supersedes_both(start, training, trained_on):
    third = trained(trained_on, training, "third", "coarse.trunk", seed=8)
    assert third.config["supersedes"] == [trained_on.digest, start.digest]
    assert load_tensors(third, "cpu").keys() == {
        name for name in whole_tensors(start) if name.startswith("coarse.trunk.")
    }
    whole, before = whole_tensors(third), whole_tensors(trained_on)
    assert torch.equal(whole["semantic.codes.weight"], before["semantic.codes.weight"])
    assert load_generator(third, slots=1).version.digest == third.digest


def test_a_whole_part_is_found_that_lies_in_pieces_with_several_versions(start, training, trained_on):
    third = trained(trained_on, training, "third", "coarse.trunk", seed=8)
    stranger = tiny_musiclm.version(start.path.with_name("stranger"), seed=4)
    wanted = part_digests(whole_tensors(third), ("codec", "coarse", "fine"))
    lenders, tensors = find_lent(wanted, stranger)
    assert lenders["coarse"] == third
    assert lenders["fine"] == start
    whole = whole_tensors(third)
    assert {name.partition(".")[0] for name in tensors} == wanted.keys()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in tensors.items())


def test_a_version_is_renewed_with_all_of_its_weights_lent_and_the_settings_of_this_code(tmp_path, trained_on):
    renewed = renew(trained_on, tmp_path / "models" / "third")
    assert load_tensors(renewed, "cpu") == {}
    before = whole_tensors(trained_on)
    after = whole_tensors(renewed)
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert renewed.config["leg_s"] == LEG_S
    assert renewed.config["supersedes"] == [trained_on.digest, *trained_on.config["supersedes"]]
    assert renewed.card["weights_of"] == trained_on.reference
    assert renewed.card["training_data"] == trained_on.card["training_data"]
    assert renewed.card["metrics"] == {}
    assert trained_on.digest in superseded([trained_on, renewed])
    again = renew(renewed, tmp_path / "models" / "fourth")
    assert again.config["lent"] == renewed.config["lent"]
    assert load_generator(again, slots=1).version.digest == again.digest
