"""Hears the melody of a sound of any length, in pieces that overlap.

Shapes: T samples, F frames.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.melody.contour import Classes
from models.melody.model import HOP_LENGTH, SAMPLE_RATE_HZ, MelodyNet
from models.resampling import at_rate

_PIECE, _MARGIN = 250, 25  # frames; a frame hears 13 to each side


def hear_melody(mono_T: NDArray[np.float32], sample_rate_hz: int, net: MelodyNet) -> Classes:
    """Return classes_F of a waveform."""
    mono_T = at_rate(mono_T, sample_rate_hz, SAMPLE_RATE_HZ)
    frames = -(-len(mono_T) // HOP_LENGTH)
    x_T = np.pad(mono_T, (_MARGIN * HOP_LENGTH, frames * HOP_LENGTH - len(mono_T) + _MARGIN * HOP_LENGTH))
    device = net.head.weight.device
    heard = []
    for start in range(0, frames, _PIECE):
        piece = min(_PIECE, frames - start)
        x_1T = torch.from_numpy(x_T[None, start * HOP_LENGTH : (start + piece + 2 * _MARGIN) * HOP_LENGTH])
        heard.append(net.classes(x_1T.to(device))[0, _MARGIN : _MARGIN + piece].cpu())
    return torch.cat(heard).numpy().astype(np.uint8)
