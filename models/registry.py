"""Which model versions there are, and how each becomes a generator.

A folder of versions holds one folder a version. The versions that ship with the project come first; a home may
hold more. Nothing heavy is imported before a generator is loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from models.weights import (
    CorruptModelError,
    ModelVersion,
    UnknownModelError,
    UnusableModelError,
    folder_name,
    read_version,
    version_folders,
)
from models.whole_files import whole_folder

if TYPE_CHECKING:
    from models.engine.backends import BackendChoice, Name
    from models.generator import Generator

ARCHITECTURES = ("score-transformer", "musiclm", "musicgen", "singsong")
SHIPPED = Path(__file__).parent / "shipped"


def list_versions(folders: Iterable[Path]) -> list[ModelVersion]:
    """Return every version in the shipped folder and in `folders`, by name.

    Raises:
        CorruptModelError: a folder that looks like a version cannot be read.
    """
    versions, corrupt = _readable(folders)
    if corrupt:
        raise corrupt[0]
    return versions


def find_version(reference: str, folders: Iterable[Path]) -> ModelVersion:
    """Return the version that "name" or "name@sha256:..." (or a leading part of the digest) means.

    A name alone does not mean a version that another of that name supersedes, as its configuration says.

    Raises:
        UnknownModelError: none, or more than one.
        CorruptModelError: none, and a folder that looks like a version cannot be read.
    """
    name, _, digest = reference.partition("@")
    versions, corrupt = _readable(folders)
    matching = [v for v in versions if v.name == name and v.digest.startswith(digest)]
    if not digest:
        old = superseded(matching)
        matching = [v for v in matching if v.digest not in old]
    if len(matching) == 1:
        return matching[0]
    if not matching and corrupt:  # it may be the one that is asked for
        raise corrupt[0]
    if matching:
        options = ", ".join(v.reference[: len(name) + 20] for v in matching)
        raise UnknownModelError(f"model {reference!r} means more than one version: {options}")
    known = ", ".join(sorted({v.name for v in versions})) or "none"
    raise UnknownModelError(f"model {reference!r} is not registered; known: {known} (see `tutti models list`)")


def add_version(version: ModelVersion, folder: Path) -> ModelVersion:
    """Copy a version into a folder of versions, unless it is there; it appears whole.

    Raises:
        CorruptModelError: what is there under its name cannot be read.
        OSError: it cannot be copied.
    """
    target = folder / folder_name(version)
    if not target.exists():
        with whole_folder(target) as partial:
            shutil.copytree(version.path, partial, dirs_exist_ok=True)
    return read_version(target)


def follows_melody(version: ModelVersion) -> bool:
    """Return whether what a version makes follows the melody that its recipe names.

    Not every MusicLM does that could be told one: a version says so of itself when it was measured.
    """
    architecture = version.config.get("architecture")
    if architecture == "musicgen":
        return bool(version.config.get("family") == "musicgen_melody")
    return architecture == "musiclm" and bool(version.config.get("follows_melody", False))


def superseded(versions: Iterable[ModelVersion]) -> set[str]:
    """Return the digests of the versions that others say they supersede: theirs is the name from then on."""
    return {digest for version in versions for digest in version.config.get("supersedes", ())}


def _readable(folders: Iterable[Path]) -> tuple[list[ModelVersion], list[CorruptModelError]]:
    """Return the versions that can be read, by name, and what is wrong with the others."""
    found: list[ModelVersion] = []
    corrupt: list[CorruptModelError] = []
    for folder in (SHIPPED, *folders):
        for path in version_folders(folder):
            try:
                found.append(read_version(path))
            except CorruptModelError as error:
                corrupt.append(error)
    return sorted(found, key=lambda version: version.name), corrupt


def load_generator(
    version: ModelVersion,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    slots: int = 8,
    threads: int = 1,
    backend: Name = "auto",
) -> Generator:
    """Load a version onto a device as a generator with `slots` items at once.

    Raises:
        UnknownModelError: its architecture is not one of this code.
        CorruptModelError: its files do not match its digest or configuration.
        UnusableModelError: it cannot run on this device, in this dtype, with this backend, or in this memory.
    """
    architecture = version.config.get("architecture")
    if architecture not in ARCHITECTURES:
        raise UnknownModelError(
            f"{version.name}: architecture {architecture!r} is not known to this version of Tutti"
        )
    from models.engine.backend import BackendUnavailableError
    from models.engine.backends import choose_backend
    from models.engine.requests import EngineError

    try:
        chosen = choose_backend(backend, device=device, dtype=dtype, threads=threads)
        return _load(version, architecture, chosen, device, slots)
    except (BackendUnavailableError, EngineError) as error:
        raise UnusableModelError(f"{version.name}: {error}") from error


def _load(version: ModelVersion, architecture: str, backend: BackendChoice, device: str, slots: int) -> Generator:
    if architecture == "score-transformer":
        from models.score.generator import ScoreGenerator

        return ScoreGenerator(version, backend=backend, device=device, slots=slots)
    if architecture == "musicgen":
        from models.musicgen.generator import MusicGenGenerator

        return MusicGenGenerator(version, backend=backend, device=device, slots=slots)
    if architecture == "singsong":
        from models.singsong.generator import SingSongGenerator

        return SingSongGenerator(version, backend=backend, device=device, slots=slots)
    from models.musiclm.generator import MusicLMGenerator

    return MusicLMGenerator(version, backend=backend, device=device, slots=slots)
