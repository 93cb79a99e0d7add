"""Parts of a MusicLM that other versions take as they are, so that they are not stored twice.

A version that was trained on has the parts that changed; its configuration names each of the others by a digest of
its tensors (`lent`), and so does a SingSong. A MusicLM that has them all is looked for when the version is loaded;
one with other parts does not serve, so a version's digest still decides what it makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from models.packing import unpack
from models.registry import SHIPPED
from models.weights import ModelVersion, UnusableModelError, load_tensors, read_version


def part_digests(tensors: Mapping[str, Tensor], parts: Collection[str]) -> dict[str, str]:
    """Return the digest of each part's tensors as a version keeps them: names, types, shapes, bytes."""
    found = {}
    for part in parts:
        digest = hashlib.sha256()
        for name, tensor in sorted(_of_part(tensors, part).items()):
            kept = tensor.contiguous()
            digest.update(f"{name} {kept.dtype} {tuple(kept.shape)}\n".encode())
            digest.update(kept.numpy().tobytes())
        found[part] = "sha256:" + digest.hexdigest()
    return found


def whole_tensors(version: ModelVersion) -> dict[str, Tensor]:
    """Return all tensors of a MusicLM: its own, and those lent by one beside it or by one that ships.

    Raises:
        CorruptModelError: its files are not those of its digest.
        UnusableModelError: no MusicLM has the parts that it lacks.
    """
    own, lent = load_tensors(version, "cpu"), version.config.get("lent", {})
    return own | find_lent(lent, version)[1] if lent else own


def part_state(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the state of one part, of the tensors of a version."""
    return unpack({name.removeprefix(f"{part}."): tensor for name, tensor in _of_part(tensors, part).items()})


def find_lent(wanted: Mapping[str, str], borrower: ModelVersion) -> tuple[ModelVersion, dict[str, Tensor]]:
    """Return the first MusicLM that ships or lies beside `borrower` and has all parts with these digests, and these.

    Raises:
        UnusableModelError: none has; the message names the parts that differ.
        CorruptModelError: one cannot be read.
    """
    differing: dict[str, list[str]] = {}
    for version in _lenders((SHIPPED, borrower.path.parent)):
        tensors = load_tensors(version, "cpu")
        found = part_digests(tensors, wanted)
        other = [part for part, digest in wanted.items() if found[part] != digest]
        if not other:
            return version, {name: x for part in wanted for name, x in _of_part(tensors, part).items()}
        differing[version.reference[: len(version.name) + 20]] = other
    if not differing:
        raise UnusableModelError("it plays through a MusicLM, and there is none beside it")
    told = "; ".join(f"{name} has another {', '.join(parts)}" for name, parts in differing.items())
    raise UnusableModelError(f"no MusicLM has the parts it was made for: {told}")


def _lenders(folders: Iterable[Path]) -> Iterator[ModelVersion]:
    """Yield the MusicLMs that have all of their parts."""
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.glob("*/config.json")):
            version = read_version(path.parent)
            if version.config.get("architecture") == "musiclm" and "lent" not in version.config:
                yield version


def _of_part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}
