"""Where a piece is divided: takes are compared leg by leg, and each goes on from the one that was kept.

A piece of three minutes is then as good as the best of some takes in each of its parts; of whole takes, none is good
throughout. A leg ends where a section of a story does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from models.musiclm.model import StageName
from models.musiclm.take import Leg

COMPARED: tuple[StageName, ...] = ("semantic", "coarse")  # what is made of every take


def legs_of(
    spans_s: Iterable[tuple[int, float, float]], frames: int, frame_rate_hz: float, leg_s: float
) -> list[Leg]:
    """Divide each section of a piece into legs alike, of at most `leg_s`.

    Args:
        spans_s: each section with its begin and end in seconds (`Telling.spans`).
        frames: of the codec, in the whole piece.
        frame_rate_hz: of the codec; a leg begins at an even frame, where a semantic one does.
        leg_s: seconds.
    """
    legs: list[Leg] = []
    for section, begin_s, end_s in spans_s:
        count = max(math.ceil((end_s - begin_s) / leg_s - 1e-6), 1)
        for number in range(1, count + 1):
            begin = legs[-1].end if legs else 0
            end = min(2 * round((begin_s + number * (end_s - begin_s) / count) * frame_rate_hz / 2), frames)
            if begin < end:
                legs.append(Leg(begin, end, COMPARED, section))
    return [*legs[:-1], replace(legs[-1], end=frames)]
