"""Whether a long piece is later still what it was at its beginning: what its takes are chosen by, too.

A piece knows its last few seconds and its words, so it may wander off; of several takes some do so less.

Shapes: T samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.mulan.model import Mulan

PART_S = 30.0
_COSTLY_DB = 12.0  # so large a change of level costs as much as sounds that have nothing in common
_QUIETEST = 1e-5


def is_long(samples: int, sample_rate_hz: int) -> bool:
    """Return whether a piece has two parts to hold beside each other."""
    return samples >= 2 * round(PART_S * sample_rate_hz)


def ends_of(waveform_T: Tensor, sample_rate_hz: int) -> tuple[Tensor, Tensor]:
    """Return the first and the last part of a long piece."""
    part = round(PART_S * sample_rate_hz)
    return waveform_T[:part], waveform_T[-part:]


def steadiness(first_T: Tensor, later_T: Tensor, mulan: Mulan) -> float:
    """Return how like a later part is to the first: their cosine in the joint space, less for another level.

    1 for the same sound at the same level. The waveforms have MuLan's rate.
    """
    device = mulan.log_scale.device
    cosine = float(mulan.embed_audio(first_T.to(device)) @ mulan.embed_audio(later_T.to(device)))
    levels = torch.stack([part_T.square().mean().sqrt() for part_T in (first_T, later_T)]).clamp_min(_QUIETEST)
    change_db = float(20 * (levels[1] / levels[0]).log10().abs())
    return cosine - change_db / _COSTLY_DB
