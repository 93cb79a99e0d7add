"""Whether a long piece is later still what it was at its beginning: what its takes are chosen by, too.

A piece knows its last few seconds and its words, so it may wander off; of several takes some do so less.

Shapes: T samples, E joint width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.mulan.model import Mulan

PART_S = 30.0
_COSTLY_DB = 12.0  # so large a change of level costs as much as sounds that have nothing in common
_QUIETEST = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Where a part of a piece lies in the joint space, and its level: the root of its mean square."""

    vector_E: Tensor
    level: Tensor


def hear(waveform_T: Tensor, mulan: Mulan) -> Heard:
    """Return what is compared of a part; the waveform has MuLan's rate."""
    vector_E = mulan.embed_audio(waveform_T.to(mulan.log_scale.device))
    return Heard(vector_E, waveform_T.square().mean().sqrt())


def is_long(samples: int, sample_rate_hz: int) -> bool:
    """Return whether a piece has two parts to hold beside each other."""
    return samples >= 2 * round(PART_S * sample_rate_hz)


def ends_of(waveform_T: Tensor, sample_rate_hz: int) -> tuple[Tensor, Tensor]:
    """Return the first and the last part of a long piece."""
    part = round(PART_S * sample_rate_hz)
    return waveform_T[:part], waveform_T[-part:]


def steadiness(first: Heard, later: Heard) -> float:
    """Return how like a later part is to the first: their cosine in the joint space, less for another level.

    1 for the same sound at the same level.
    """
    levels = torch.stack([first.level, later.level]).clamp_min(_QUIETEST)
    change_db = float(20 * (levels[1] / levels[0]).log10().abs())
    return float(first.vector_E @ later.vector_E) - change_db / _COSTLY_DB
