"""What a SingSong's decoder begins as: a stage of a MusicLM that is told no melody.

Shapes: D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.melody.contour import UNTOLD
from models.musiclm.stage import Stage, StageConfig, without_melody


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A stage without melody, and what stands for an untold one: added to every step's input."""

    stage: Stage
    untold_D: Tensor


def decoder_size(config: StageConfig) -> StageConfig:
    """Return the size of a stage that is told no melody."""
    return without_melody(config) if config.melody else config


def start_of(stage: Stage) -> Start:
    """Return what a decoder begins as: it computes what the stage does where no melody is told."""
    config = stage.config
    if not config.melody:
        return Start(stage, torch.zeros(config.trunk.width))
    kept = (config.added_codebooks - 1) * config.added_entries
    plain, weights = Stage(decoder_size(config)), stage.state_dict()
    table = weights["added.weight"]
    weights["added.weight"] = table[:kept] if kept else torch.zeros(1, config.trunk.width)
    plain.load_state_dict(weights)
    return Start(plain, table[kept + UNTOLD].clone())
