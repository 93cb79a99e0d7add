"""The parts that a SingSong takes from a MusicLM as they are: codec, joint space, semantic model, fine stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from models.mulan.model import Mulan
from models.musiclm.lending import find_lent, part_digests, part_state, whole_tensors
from models.musiclm.model import MusicLM, config_from
from models.musiclm.stage import Stage
from models.packing import unpack
from models.soundstream.codec import SoundStream
from models.w2v_bert.model import W2vBert
from models.weights import ModelVersion

PARTS = ("codec", "mulan", "semantic_model", "fine")


@dataclass(frozen=True, slots=True)
class Base:
    """The parts, in float32, and the digest of each."""

    codec: SoundStream
    mulan: Mulan
    semantic_model: W2vBert
    fine: Stage
    digests: Mapping[str, str]


def read_base(version: ModelVersion) -> tuple[MusicLM, Base]:
    """Return a MusicLM and those of its parts that a SingSong takes.

    Raises:
        CorruptModelError: its files are not those of its digest.
        UnusableModelError: it lacks parts that no MusicLM beside it has.
    """
    tensors = whole_tensors(version)
    model = MusicLM(config_from(version.config["parts"]))
    model.load_state_dict(unpack(tensors), strict=True)
    freeze(model)
    return model, Base(model.codec, model.mulan, model.semantic_model, model.fine, part_digests(tensors, PARTS))


def find_base(wanted: Mapping[str, str], borrower: ModelVersion) -> Base:
    """Return the parts with these digests, from MusicLMs that ship or lie beside a version.

    Raises:
        UnusableModelError: nobody has one of them; the message names it.
        CorruptModelError: one cannot be read.
    """
    lenders, tensors = find_lent(wanted, borrower)
    sizes = {part: config_from(lender.config["parts"]) for part, lender in lenders.items()}
    codec, mulan = SoundStream(sizes["codec"].codec), Mulan(sizes["mulan"].mulan)
    semantic_model, fine = W2vBert(sizes["semantic_model"].semantic_model), Stage(sizes["fine"].fine)
    for name, part in (("codec", codec), ("mulan", mulan), ("semantic_model", semantic_model), ("fine", fine)):
        part.load_state_dict(part_state(tensors, name))
        freeze(part)
    return Base(codec, mulan, semantic_model, fine, dict(wanted))


def freeze(module: nn.Module) -> None:
    """Make a module one that is only used."""
    module.eval().requires_grad_(requires_grad=False)
