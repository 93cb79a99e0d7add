"""How well a result follows the melody it was given: what takes are chosen by.

Shapes: F frames.
"""

from __future__ import annotations

import numpy as np

from models.melody.contour import FIRST, Classes

_FEWEST = 12  # frames that tell anything: half a second


def agreement(asked_F: Classes, heard_F: Classes) -> float:
    """Return how a heard melody rises and falls with the one asked for, -1 to 1, in whatever key it is.

    The correlation of the pitches where both have one, times the share of the melody's frames that are such.
    """
    length = min(len(asked_F), len(heard_F))
    asked, heard = asked_F[:length].astype(np.float64), heard_F[:length].astype(np.float64)
    pitched = asked >= FIRST
    both = pitched & (heard >= FIRST)
    if both.sum() < _FEWEST or min(asked[both].std(), heard[both].std()) == 0:
        return 0.0
    return float(np.corrcoef(asked[both], heard[both])[0, 1] * both.sum() / pitched.sum())
