"""Tensors that a step of a training keeps for the ones after it, written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.whole_files import whole_file


def keep(value: Any, path: Path) -> None:
    """Write a tensor, or a mapping of them, for `torch.load` with weights only; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        torch.save(value, file)
