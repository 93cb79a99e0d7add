"""A model version on disk: model.safetensors, config.json and card.md, addressed by one digest.

The digest covers weights and configuration, not the card: words may be mended, numbers may not.
PyTorch is imported only by what handles tensors: a command that finds everything made does without it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from safetensors import SafetensorError

from models.whole_files import write_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "card.md"
_NAMED = re.compile(r"-([0-9a-f]{12})$")  # a folder that `folder_name` has named


class ModelError(Exception):
    """Something is wrong with a model version; the message names the file."""


class UnknownModelError(ModelError):
    """No version of that name or digest is known."""


class UnusableModelError(ModelError):
    """A version cannot run as it is asked to: device, dtype or backend."""


class CorruptModelError(ModelError):
    """A version's files are missing, unreadable or not those its digest names."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version and where it lies. `config` tells kind and architecture; `card` is the front matter of card.md."""

    name: str
    kind: str
    digest: str
    path: Path
    config: Mapping[str, Any]
    card: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """The name that finds exactly this version: name@sha256:..."""
        return f"{self.name}@{self.digest}"


def read_version(folder: Path) -> ModelVersion:
    """Read a version's configuration and card, and compute its digest.

    Raises:
        CorruptModelError: a file is missing or unreadable, or the folder is named by another digest.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        card = _front_matter((folder / CARD).read_text(encoding="utf-8"))
        version = ModelVersion(config["name"], config["kind"], digest_of(folder), folder, config, card)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise CorruptModelError(f"{folder} is not a model version: {type(error).__name__}: {error}") from error
    if (named := _NAMED.search(folder.name)) and folder_name(version) != folder.name:
        raise CorruptModelError(
            f"{folder} was added with digest sha256:{named[1]}… and has {version.digest[:19]}…: "
            f"{WEIGHTS} or {CONFIG} was changed"
        )
    return version


def version_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of the versions in a folder, by name; not those that are still being filled."""
    for path in sorted(folder.glob(f"*/{CONFIG}")):
        if not path.parent.name.startswith("."):
            yield path.parent


def folder_name(version: ModelVersion) -> str:
    """Return what the folder of an added version is called, so that a later change of its files is found."""
    return f"{version.name}-{version.digest.removeprefix('sha256:')[:12]}"


def digest_of(folder: Path) -> str:
    """Return "sha256:..." over the digests of weights and configuration."""
    return digest_from({name: _sha256(folder / name) for name in (CONFIG, WEIGHTS)})


def digest_from(sha256: Mapping[str, str]) -> str:
    """Return a version's digest, given the hex SHA-256 of weights and configuration by file name.

    Raises:
        KeyError: one of the two is not given.
    """
    lines = [f"{sha256[name]}  {name}\n" for name in (CONFIG, WEIGHTS)]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def write_version(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: str) -> ModelVersion:
    """Write a version's three files and read it back."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_whole(folder / CARD, card)  # last, and whole: where a card is, the version is
    return read_version(folder)


def card_text(front: Mapping[str, Any], body: str) -> str:
    """Return a card: front matter in YAML, then words in Markdown."""
    head = yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{head}---\n\n{body}"


def card_body(version: ModelVersion) -> str:
    """Return the words of a version's card, without its front matter."""
    return (version.path / CARD).read_text(encoding="utf-8").partition("\n---\n\n")[2]


def with_metrics(version: ModelVersion, metrics: Mapping[str, Any]) -> ModelVersion:
    """Put measured figures into a version's card; its digest stays."""
    front = {**version.card, "metrics": {**version.card.get("metrics", {}), **metrics}}
    write_whole(version.path / CARD, card_text(front, card_body(version)))
    return read_version(version.path)


def load_tensors(version: ModelVersion, device: str) -> dict[str, Tensor]:
    """Load the weights onto a device.

    Raises:
        CorruptModelError: the files are no longer those of the digest, or cannot be read.
    """
    from safetensors.torch import load_file

    if (found := digest_of(version.path)) != version.digest:
        raise CorruptModelError(f"{version.path} has digest {found}, expected {version.digest}")
    try:
        return load_file(version.path / WEIGHTS, device=device)
    except (SafetensorError, OSError) as error:
        raise CorruptModelError(f"{version.path / WEIGHTS}: {error}") from error


def load_into(module: torch.nn.Module, version: ModelVersion, device: str, dtype: torch.dtype) -> None:
    """Fill a module with a version's weights, in `dtype`, on `device`.

    Raises:
        CorruptModelError: tensors are missing, left over, or of another shape.
    """
    tensors = load_tensors(version, device)
    try:
        module.load_state_dict(tensors, strict=True, assign=False)
    except RuntimeError as error:
        raise CorruptModelError(f"{version.path / WEIGHTS} does not fit its config.json: {error}") from error
    module.to(device=device, dtype=dtype)


def _front_matter(text: str) -> dict[str, Any]:
    if not text.startswith("---\n"):
        raise ValueError(f"{CARD} begins with no front matter")
    head, _, _ = text[4:].partition("\n---")
    found = yaml.safe_load(head)
    if not isinstance(found, dict):
        raise TypeError(f"the front matter of {CARD} is not a mapping")
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
