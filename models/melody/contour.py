"""A melody as a class for each frame: the highest pitch that sounds, a rest, or nothing said.

MusicLM (section 4.4) embeds a melody without regard to its key and quantises that; here the classes are the pitches
themselves, and a stage learns from melodies moved by octaves, so that a hummed bass line may be played by a flute.

Shapes: F frames.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.uint8]
FRAME_RATE_HZ = 25.0  # that of semantic tokens
LOWEST, HIGHEST = 36, 95  # MIDI pitches
UNTOLD, REST, FIRST = 0, 1, 2
ENTRIES = FIRST + HIGHEST - LOWEST + 1
_OCTAVES = tuple(each for each in range(-4, 5) if each)
_MIDDLE = 69  # MIDI pitch: of the melodies of solo instruments half lie higher
_FOLDED = 0.05  # of a melody's frames


def skyline(notes: Iterable[tuple[float, float, int]], frames: int) -> Classes:
    """Return classes_F of the highest note at each frame's middle.

    Args:
        notes: (onset_s, duration_s, MIDI pitch), counted from the first frame; pitches outside the range are folded.
        frames: how many.
    """
    classes_F = np.full(frames, REST, dtype=np.uint8)
    for onset_s, duration_s, pitch in notes:
        begin = max(round(onset_s * FRAME_RATE_HZ), 0)
        end = max(round((onset_s + duration_s) * FRAME_RATE_HZ), 0)  # a note may end before the first frame
        classes_F[begin:end] = np.maximum(classes_F[begin:end], class_of(pitch))
    return classes_F


def class_of(pitch: int) -> int:
    """Return the class of a MIDI pitch, moved by octaves into the range."""
    folded = pitch
    while folded < LOWEST:
        folded += 12
    while folded > HIGHEST:
        folded -= 12
    return FIRST + folded - LOWEST


def octaves_beside(classes_F: Classes) -> list[int]:
    """Return by how many octaves a melody can be moved, those first that bring it nearest to where melodies lie.

    It then stays in the range, but for one frame in twenty: what was heard wrong may lie anywhere.
    """
    pitched_F = classes_F[classes_F >= FIRST]
    if not len(pitched_F):
        return []
    middle = float(np.median(pitched_F)) - FIRST + LOWEST
    whole = [
        octaves
        for octaves in _OCTAVES
        if np.mean(moved(pitched_F, octaves) != pitched_F.astype(np.int64) + 12 * octaves) <= _FOLDED
    ]
    return sorted(whole, key=lambda octaves: (abs(middle + 12 * octaves - _MIDDLE), octaves))


def moved(classes_F: Classes, octaves: int) -> Classes:
    """Return a melody moved by octaves; pitches that would leave the range are folded back into it."""
    pitches_F = classes_F.astype(np.int64) + 12 * octaves
    over = FIRST + HIGHEST - LOWEST
    pitches_F = np.where(pitches_F > over, pitches_F - 12 * -(-(pitches_F - over) // 12), pitches_F)
    pitches_F = np.where(pitches_F < FIRST, pitches_F + 12 * -(-(FIRST - pitches_F) // 12), pitches_F)
    return np.where(classes_F >= FIRST, pitches_F, classes_F).astype(np.uint8)
