"""From a MusicGen checkpoint as Hugging Face keeps it to a model version of ours.

A version holds the checkpoint's tensors under their own names, its configuration, and the tokenizer's file as one
more tensor: so that one digest covers all that a result depends on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import (
    MusicgenForConditionalGeneration,
    MusicgenMelodyForConditionalGeneration,
    PreTrainedModel,
)
from transformers.utils import logging as reports

from models.weights import CorruptModelError, ModelVersion, UnknownModelError, write_version

FAMILIES: dict[str, type[PreTrainedModel]] = {
    "musicgen": MusicgenForConditionalGeneration,
    "musicgen_melody": MusicgenMelodyForConditionalGeneration,
}
TOKENIZER = "tokenizer.json"
TOKENIZER_TENSOR = "tokenizer"
TIED = "text_encoder.encoder.embed_tokens.weight"  # the same as the next
SHARED = "text_encoder.shared.weight"
_FILES = ("config.json", "generation_config.json", TOKENIZER, "*.safetensors", "*.safetensors.index.json")
_COMPUTED = "embed_positions.weights"  # kept by older checkpoints, computed by this code
_ORIGINS = ("_name_or_path", "name_or_path", "transformers_version")
_RENAMED = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
_CARD = """---
licences: {{weights: see the checkpoint's own page}}
data: not known to this project
---
# {name}

Converted from the MusicGen checkpoint `{source}`. What it was trained on, its licence and its limits are told where
it comes from. Sampling as in the paper: the {top_k} likeliest codes, guidance {guidance}.
"""
_TOP_K, _GUIDANCE = 250, 3.0


def is_checkpoint(folder: Path) -> bool:
    """Return whether a folder looks like a checkpoint of Hugging Face's, not like a version of ours."""
    try:
        return "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def download(identity: str) -> Path:
    """Return the folder of a checkpoint on Hugging Face ("facebook/musicgen-small"), downloaded once.

    Raises:
        UnknownModelError: there is none of that name, or it cannot be reached.
    """
    try:
        return Path(snapshot_download(identity, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnknownModelError(f"{identity!r} is no folder and cannot be had from Hugging Face: {first}") from error


def convert(checkpoint: Path, name: str, source: str, target: Path) -> ModelVersion:
    """Write a checkpoint as a model version.

    Args:
        checkpoint: a folder with config.json, safetensors and tokenizer.json.
        name: what the version will be called.
        source: where it comes from, for the card.
        target: the version's folder.

    Raises:
        CorruptModelError: it is of another architecture, or a file is missing, broken or does not fit the others.
    """
    family, model = _load(checkpoint)
    tensors: dict[str, Tensor] = {key: tensor.clone() for key, tensor in model.state_dict().items() if key != TIED}
    try:
        tokenizer = (checkpoint / TOKENIZER).read_bytes()
    except OSError as error:
        raise CorruptModelError(f"{checkpoint / TOKENIZER}: {error.strerror}") from error
    tensors[TOKENIZER_TENSOR] = torch.from_numpy(np.frombuffer(tokenizer, dtype=np.uint8).copy())
    config = {
        "name": name,
        "kind": "soundscape",
        "architecture": "musicgen",
        "family": family,
        "checkpoint": _without_origins(json.loads(model.config.to_json_string(use_diff=False))),
        "sampling": {"temperature": 1.0, "top_k": _TOP_K, "guidance_scale": _GUIDANCE},
    }
    card = _CARD.format(name=name, source=source, top_k=_TOP_K, guidance=_GUIDANCE)
    return write_version(target, tensors, config, card)


def _without_origins(config: Any) -> Any:
    """Return a configuration without where it was read and by what: these are no part of a version's identity."""
    if not isinstance(config, dict):
        return config
    return {key: _without_origins(value) for key, value in config.items() if key not in _ORIGINS}


def _load(checkpoint: Path) -> tuple[str, PreTrainedModel]:
    try:
        family = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptModelError(f"{checkpoint / 'config.json'}: {type(error).__name__}: {error}") from error
    if family not in FAMILIES:
        raise CorruptModelError(f"{checkpoint} is a {family!r}; known are {', '.join(map(repr, FAMILIES))}")
    if not list(checkpoint.glob("*.safetensors")):
        raise CorruptModelError(f"{checkpoint} has no *.safetensors")
    level, bars = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity_error()  # what it reports is told below
    reports.disable_progress_bar()
    try:
        model, report = FAMILIES[family].from_pretrained(
            checkpoint,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
        )
    except (OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise CorruptModelError(f"{checkpoint} cannot be read: {type(error).__name__}: {first}") from error
    finally:
        reports.set_verbosity(level)
        if bars:
            reports.enable_progress_bar()
    known, there = set(model.state_dict()), _names(checkpoint)
    faults = (
        ("lacks the tensor", set(report["missing_keys"])),
        ("has a tensor that its configuration has no place for:", there - known),
        (
            "has a tensor of another shape than its configuration's:",
            {found[0] for found in report["mismatched_keys"]},
        ),
    )
    for complaint, names in faults:
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise CorruptModelError(f"{checkpoint} {complaint} {min(names)}{more}")
    return family, model


def _names(checkpoint: Path) -> set[str]:
    """Return the names of all tensors in a checkpoint, as today's transformers calls them."""
    names: set[str] = set()
    for path in checkpoint.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names.update(file.keys())
    renamed = {name: name for name in names if not name.endswith(_COMPUTED)}
    for old, new in _RENAMED.items():
        renamed = {name: found.replace(old, new) for name, found in renamed.items()}
    return set(renamed.values())
