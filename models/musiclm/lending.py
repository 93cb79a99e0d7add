"""Parts of a MusicLM that other versions take as they are, so that they are not stored twice.

A version that was trained on has what changed; its configuration names all else by a digest of its tensors (`lent`):
whole parts such as "fine", or pieces of one such as "codec.encoder". So does a SingSong. The MusicLMs that have them
are looked for when the version is loaded; others do not serve, so a version's digest still decides what it makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from models.packing import unpack
from models.registry import SHIPPED
from models.weights import ModelVersion, UnusableModelError, load_tensors, read_version, version_folders


def is_of(name: str, part: str) -> bool:
    """Return whether a tensor belongs to a part, or to a piece of one."""
    return name == part or name.startswith(f"{part}.")


def part_digests(tensors: Mapping[str, Tensor], parts: Iterable[str]) -> dict[str, str]:
    """Return the digest of each part, or piece of one: of its tensors' names, types, shapes and bytes as kept."""
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
    """Return all tensors of a MusicLM: its own, and those lent by others beside it or by those that ship.

    Raises:
        CorruptModelError: its files are not those of its digest.
        UnusableModelError: no MusicLM has the parts that it lacks.
    """
    own, lent = load_tensors(version, "cpu"), version.config.get("lent", {})
    return own | find_lent(lent, version)[1] if lent else own


def part_state(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the state of one part, of the tensors of a version."""
    return unpack({name.removeprefix(f"{part}."): tensor for name, tensor in _of_part(tensors, part).items()})


def digest_of_part(version: ModelVersion, part: str) -> str:
    """Return the digest of a part of a MusicLM, its own or lent.

    Raises:
        CorruptModelError: its files are not those of its digest.
    """
    lent: str | None = version.config.get("lent", {}).get(part)
    return lent or part_digests(load_tensors(version, "cpu"), [part])[part]


def find_lent(wanted: Mapping[str, str], borrower: ModelVersion) -> tuple[dict[str, ModelVersion], dict[str, Tensor]]:
    """Return, for each part wanted by its digest, a MusicLM that has it and its tensors.

    Those that ship are looked at, and those that lie beside `borrower`.

    Raises:
        UnusableModelError: nobody has one of them; the message names it.
        CorruptModelError: a version cannot be read.
    """
    found, others = _Found(), list[ModelVersion]()
    for folder in dict.fromkeys((SHIPPED, borrower.path.parent)):
        beside = [version for version in _musiclms(folder) if version.path != borrower.path]
        others += beside
        found.among(beside, wanted)
        for version in others:  # a part may be in pieces, some of them lent in turn
            if (lacking := found.lacking(wanted)) and (lent := version.config.get("lent")):
                pieces = _Found()
                pieces.among(others, lent)
                found.take(version, load_tensors(version, "cpu") | pieces.tensors, lacking)
        if not found.lacking(wanted):
            return found.lenders, found.tensors
    asked = ", ".join(version.reference[: len(version.name) + 20] for version in others)
    told = f"looked at {asked}" if others else "there is none beside it"
    raise UnusableModelError(f"no MusicLM has the {', '.join(found.lacking(wanted))} that it was made with: {told}")


@dataclass(slots=True)
class _Found:
    """Parts that were found, and whose they are."""

    lenders: dict[str, ModelVersion] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def lacking(self, wanted: Mapping[str, str]) -> dict[str, str]:
        return {part: digest for part, digest in sorted(wanted.items()) if part not in self.lenders}

    def among(self, versions: Iterable[ModelVersion], wanted: Mapping[str, str]) -> None:
        """Look for parts among what versions have of their own, until all are found."""
        for version in versions:
            if lacking := self.lacking(wanted):
                self.take(version, load_tensors(version, "cpu"), lacking)

    def take(self, version: ModelVersion, tensors: Mapping[str, Tensor], wanted: Mapping[str, str]) -> None:
        """Take those of the wanted parts that are among a version's tensors."""
        for part, digest in part_digests(tensors, wanted).items():
            if digest == wanted[part]:
                self.lenders[part] = version
                self.tensors |= _of_part(tensors, part)


def _musiclms(folder: Path) -> Iterator[ModelVersion]:
    for path in version_folders(folder):
        version = read_version(path)
        if version.config.get("architecture") == "musiclm":
            yield version


def _of_part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if is_of(name, part)}
