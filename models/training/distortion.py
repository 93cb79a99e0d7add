"""How much of a waveform that was made is the one that was wanted."""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST_ENERGY = 1e-9


def si_sdr_db(made_T: Tensor, wanted_T: Tensor) -> float:
    """Return the scale-invariant ratio of signal to distortion in dB (Le Roux et al. 2019); of silence, 0."""
    projected_T = wanted_T * (made_T @ wanted_T) / wanted_T.square().sum().clamp_min(_SMALLEST_ENERGY)
    signal, distortion = (
        part_T.square().sum().clamp_min(_SMALLEST_ENERGY) for part_T in (projected_T, made_T - projected_T)
    )
    return float(10 * torch.log10(signal / distortion))
