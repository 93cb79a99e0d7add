"""What is estimated of a singing voice: its key from the notes that are heard, its tempo from its pulse.

Shapes: G frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.score.key import find_key, pitch_class_weights
from models.singsong.hearing import LOWEST_NOTE
from models.singsong.pulse import Pulse


@dataclass(frozen=True, slots=True)
class Estimates:
    """Tempo and key of a voice, and how sure each is: a likelihood (0 to 1), a lead of the best key over the second.

    A voice alone tells either only roughly: a tempo may well be half or double of what is felt.
    """

    tempo_bpm: float
    tempo_certainty: float
    key: str | None
    key_lead: float


def estimate(pulse: Pulse, notes_G: NDArray[np.int64]) -> Estimates:
    """Estimate from the pulse of a voice and the note tokens that were heard in it; no key if no note was."""
    heard = notes_G[notes_G > 0] + LOWEST_NOTE - 1
    key, lead = find_key(pitch_class_weights((int(pitch), 1) for pitch in heard))
    name = key.name if len(heard) else None
    return Estimates(round(pulse.tempo_bpm, 1), round(pulse.certainty, 3), name, round(lead, 4))
