"""What is estimated of a singing voice: its key from the harmony that is guessed to it, its tempo from its pulse.

Shapes: G frames, H = 13 values of a guide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.key import Key
from models.score.key import find_key
from models.singsong.pulse import Pulse


@dataclass(frozen=True, slots=True)
class Estimates:
    """Tempo and key of a voice, and how sure each is: a likelihood (0 to 1), a lead of the best key over the second.

    A voice alone tells either only roughly: a tempo may well be half or double of what is felt.
    """

    tempo_bpm: float
    tempo_certainty: float
    key: Key
    key_lead: float
    notes_heard: bool

    @property
    def told_key(self) -> str | None:
        """The name of the key, if a note was heard that could have one."""
        return self.key.name if self.notes_heard else None

    def as_dict(self) -> dict[str, float | str | None]:
        """Return what lineage keeps."""
        return {
            "tempo_bpm": self.tempo_bpm, "tempo_certainty": self.tempo_certainty,
            "key": self.told_key, "key_lead": self.key_lead,
        }  # fmt: skip


def estimate(pulse: Pulse, notes_G: NDArray[np.int64], guess_GH: NDArray[np.floating]) -> Estimates:
    """Estimate from a voice's pulse, the note tokens heard in it, and the guide guessed from them.

    The harmony tells the key better than the notes do: of 768 songs of training it is right or near for 76 %, notes
    alone for 62 %, both together for 70 %.
    """
    key, lead = find_key(guess_GH[:, :12].mean(axis=0, dtype=np.float64))
    heard = bool((notes_G > 0).any())
    return Estimates(round(pulse.tempo_bpm, 1), round(pulse.certainty, 3), key, round(lead, 4), heard)
