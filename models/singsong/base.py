"""The parts that a SingSong takes from a MusicLM as they are: codec, joint space, semantic model, fine stage.

They are not stored twice. A SingSong's configuration names each by a digest of its tensors, and a MusicLM that has
them all is looked for when it is loaded: a MusicLM that was trained on serves only while these parts are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from models.mulan.model import Mulan
from models.musiclm.model import MusicLM, config_from
from models.musiclm.stage import Stage
from models.packing import unpack
from models.soundstream.codec import SoundStream
from models.w2v_bert.model import W2vBert
from models.weights import CorruptModelError, ModelVersion, UnusableModelError, load_tensors, read_version

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
    """
    tensors = load_tensors(version, "cpu")
    model = MusicLM(config_from(version.config["parts"]))
    model.load_state_dict(unpack(tensors), strict=True)
    model.eval().requires_grad_(requires_grad=False)
    return model, Base(model.codec, model.mulan, model.semantic_model, model.fine, part_digests(tensors))


def part_digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the digest of each part's tensors as a version keeps them: names, types, shapes, bytes."""
    found = {}
    for part in PARTS:
        digest = hashlib.sha256()
        for name in sorted(name for name in tensors if name.startswith(f"{part}.")):
            tensor = tensors[name].contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.numpy().tobytes())
        found[part] = "sha256:" + digest.hexdigest()
    return found


def find_base(wanted: Mapping[str, str], folders: Iterable[Path]) -> Base:
    """Return the parts with these digests, from the first MusicLM in `folders` that has them all.

    Raises:
        UnusableModelError: none has; the message names the parts that differ.
        CorruptModelError: one cannot be read.
    """
    differing: dict[str, list[str]] = {}
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.glob("*/config.json")):
            version = read_version(path.parent)
            if version.config.get("architecture") != "musiclm":
                continue
            _, base = read_base(version)
            other = [part for part in PARTS if base.digests[part] != wanted.get(part)]
            if not other:
                return base
            differing[version.reference[: len(version.name) + 20]] = other
    if not differing:
        raise UnusableModelError("it plays through a MusicLM, and there is none beside it")
    told = "; ".join(f"{name} has another {', '.join(parts)}" for name, parts in differing.items())
    raise UnusableModelError(f"no MusicLM has the parts it was made for: {told}")


def freeze(module: nn.Module) -> None:
    """Make a module one that is only used."""
    module.eval().requires_grad_(requires_grad=False)


__all__ = ["PARTS", "Base", "CorruptModelError", "find_base", "freeze", "part_digests", "read_base"]
