"""The order of a list: each piece follows from the one before in tempo, key, liveliness and sound.

Shapes: N pieces of a list, E joint width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.taste.space import Vectors

NO_KEY: Final = -1
_TEMPO, _KEY, _ENERGY, _SOUND = 1.0, 0.5, 1.0, 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Character:
    """Tempo (beats a minute, 0 unknown), key (place on the circle of fifths, 0 to 11, or -1) and liveliness."""

    tempo_bpm_N: NDArray[np.float64]
    fifths_N: NDArray[np.int64]
    energy_N: NDArray[np.float64]

    def of(self, pieces: NDArray[np.int64]) -> Character:
        """Return that of some pieces."""
        return Character(self.tempo_bpm_N[pieces], self.fifths_N[pieces], self.energy_N[pieces])


def in_sequence(character: Character, direction_NE: Vectors) -> NDArray[np.int64]:
    """Return the pieces' numbers in an order that begins with the first and goes to the nearest each time."""
    cost_NN = steps(character, direction_NE)
    order = [0] if len(cost_NN) else []
    left = np.ones(len(cost_NN), dtype=bool)
    while len(order) < len(cost_NN):
        left[order[-1]] = False
        order.append(int(np.where(left, cost_NN[order[-1]], np.inf).argmin()))
    return np.array(order, dtype=np.int64)


def steps(character: Character, direction_NE: Vectors) -> NDArray[np.float64]:
    """Return cost_NN, how large a step it is from each piece to each other; half and double tempo are no step."""
    tempo = character.tempo_bpm_N
    known = tempo > 0
    octave = np.log2(np.where(known, tempo, 1.0))
    apart = np.abs(octave[:, None] - octave[None])
    folded = np.abs(apart - np.round(apart)) * 2  # 0 to 1
    tempo_NN = np.where(known[:, None] & known[None], folded, 0.5)
    keyed = character.fifths_N != NO_KEY
    around = np.abs(character.fifths_N[:, None] - character.fifths_N[None])
    key_NN = np.where(keyed[:, None] & keyed[None], np.minimum(around, 12 - around) / 6, 0.5)
    energy = character.energy_N
    scale = float(energy.max() - energy.min()) if len(energy) else 0.0
    energy_NN = np.abs(energy[:, None] - energy[None]) / (scale or 1.0)
    sound_NN = 1.0 - direction_NE @ direction_NE.T
    return _TEMPO * tempo_NN + _KEY * key_NN + _ENERGY * energy_NN + _SOUND * sound_NN.astype(np.float64)


def fifths(tonic: int, *, minor: bool) -> int:
    """Return where a key lies on the circle of fifths: a minor key where its relative major does.

    Args:
        tonic: as a pitch class, from C = 0.
        minor: whether it is a minor key.
    """
    return (tonic + 3 * minor) * 7 % 12
