"""The beat that a voice is sung to, from all that begins in it: every tempo and phase at once, as likely as it fits.

Frame by frame it is hard to guess when an accompaniment begins something, as a voice can be accompanied in many
ways. Over ten seconds the guesses add up, for nearly everything begins on a beat or on a part of one. So what begins
is held against combs of all tempi and phases; their mean, weighted by likelihood, is the pulse. A singer who slows
down is followed from one window to the next.

Shapes: T samples, G frames, P periods, S phases, M partials of a comb.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.singsong.features import Frames, onset_strength

_WINDOW_S = 10.0
_SLOWEST_BPM, _FASTEST_BPM, _PERIODS, _PHASES = 45.0, 240.0, 400, 24
_LIKELY_BPM, _SPREAD_OCTAVES = 110.0, 0.8
_PARTIALS, _TOOTH_S = 8, 0.025  # of a comb
_NOTES_SHARE = 0.5  # of what notes say beside the sound of the voice and the guess
_LONG_NOTE_S = 1.0
_EARLY = 1  # frames that a note begins before it is heard as one
_NEAR_OCTAVES = 0.06  # tempi that are as good as one
_STEADY = 1e-9


@dataclass(frozen=True, slots=True)
class Pulse:
    """`strength_G`: how likely it is that something begins, 0 to 1; `certainty`: how likely the tempo is, 0 to 1."""

    strength_G: Frames
    tempo_bpm: float
    certainty: float


@dataclass(frozen=True, slots=True, eq=False)
class _Combs:
    """Combs of Gaussian teeth, as sums of cosines, of all periods (in seconds) and phases."""

    periods_P: Frames
    waves_PMG: NDArray[np.complex128]
    heights_PM: Frames
    phases_SM: NDArray[np.complex128]

    @classmethod
    def of(cls, frames: int, rate_hz: float) -> _Combs:
        """Return combs over so many frames."""
        periods_P, partials_M = 60 / np.geomspace(_SLOWEST_BPM, _FASTEST_BPM, _PERIODS), np.arange(1, _PARTIALS + 1)
        times_G = (np.arange(frames) + 0.5) / rate_hz
        turns_PMG = partials_M[:, None] * (times_G / periods_P[:, None])[:, None]
        heights_PM = np.exp(-2 * (np.pi * partials_M * _TOOTH_S / periods_P[:, None]) ** 2)
        heights_PM /= np.sqrt((heights_PM**2).sum(axis=1, keepdims=True) / 2)  # every comb has spread 1
        phases_SM = np.exp(2j * np.pi * np.arange(_PHASES)[:, None] / _PHASES * partials_M)
        return cls(periods_P, np.exp(-2j * np.pi * turns_PMG), heights_PM, phases_SM)

    def fitted(self, spread_G: Frames) -> tuple[Frames, Frames]:
        """Return the mean comb, and how likely each period is."""
        found_PM = self.waves_PMG @ spread_G * self.heights_PM
        fit_PS = np.real(found_PM @ self.phases_SM.T) / np.sqrt(max(len(spread_G), 1))
        octaves_P = np.log2(60 / self.periods_P / _LIKELY_BPM)
        likely_PS = np.exp(fit_PS - fit_PS.max() - 0.5 * (octaves_P[:, None] / _SPREAD_OCTAVES) ** 2)
        likely_PS /= likely_PS.sum()
        mean_PM = (likely_PS @ self.phases_SM.conj()) * self.heights_PM
        return np.real(np.einsum("pm,pmg->g", mean_PM, self.waves_PMG.conj())), likely_PS.sum(axis=1)


def pulse(
    voice_T: NDArray[np.float32],
    sample_rate_hz: int,
    notes_G: NDArray[np.int64],
    guessed_G: NDArray[np.floating],
    rate_hz: float,
) -> Pulse:
    """Return the pulse of a voice.

    Args:
        voice_T: the voice.
        sample_rate_hz: of the voice.
        notes_G: the note tokens that are heard in it.
        guessed_G: how likely an accompaniment begins something in each frame, as guessed from the voice.
        rate_hz: frames a second.
    """
    begun_G = onset_strength(voice_T, sample_rate_hz, len(notes_G))
    weights = ((begun_G, 1.0), (_beginnings(notes_G, rate_hz), _NOTES_SHARE), (guessed_G, 1.0))
    return pulse_of(sum((weight * _spread(x) for x, weight in weights), np.zeros(len(notes_G))), rate_hz)


def pulse_of(begun_G: Frames, rate_hz: float) -> Pulse:
    """Return the pulse of how much begins in each frame, on any scale."""
    window = round(_WINDOW_S * rate_hz)
    last = max(len(begun_G) - window, 0)
    starts = sorted({*range(0, last, window // 2), last})  # half of a window further, and one that ends at the end
    strength_G, weight_G = np.zeros(len(begun_G)), np.zeros(len(begun_G))
    likely_P, combs = np.zeros(_PERIODS), _Combs.of(min(window, len(begun_G)), rate_hz)
    fading_G = np.hanning(len(combs.waves_PMG[0, 0]) + 2)[1:-1]
    for start in starts:
        part = slice(start, start + window)
        found_G, found_P = combs.fitted(_spread(begun_G[part]))
        strength_G[part] += fading_G * found_G
        weight_G[part] += fading_G
        likely_P += found_P / len(starts)
    periods_P = combs.periods_P
    near_PP = np.abs(np.log2(periods_P[:, None] / periods_P)) < _NEAR_OCTAVES
    best = int((near_PP @ likely_P).argmax())
    strength_G /= np.maximum(weight_G, _STEADY)
    return Pulse(_unit(strength_G), float(60 / periods_P[best]), float(likely_P[near_PP[best]].sum()))


def _beginnings(notes_G: NDArray[np.int64], rate_hz: float) -> Frames:
    """Return where notes begin: the more, the longer it is until the next."""
    before_G = np.concatenate([[0], notes_G[:-1]])
    starts = np.flatnonzero((notes_G > 0) & (notes_G != before_G))
    lasting_s = np.diff(np.append(starts, len(notes_G))) / rate_hz
    found_G = np.zeros(len(notes_G))
    np.add.at(found_G, np.maximum(starts - _EARLY, 0), np.sqrt(np.minimum(lasting_s, _LONG_NOTE_S)))
    return found_G


def _spread(x_G: NDArray[np.floating]) -> Frames:
    """Return values with mean 0 and spread 1; all 0 if they are all alike."""
    centred_G = np.asarray(x_G, dtype=np.float64) - x_G.mean()
    spread = float(centred_G.std())
    return centred_G / spread if spread > _STEADY else np.zeros(len(centred_G))


def _unit(strength_G: Frames) -> Frames:
    """Return what is above the mean, the strongest fiftieth of the frames as 1."""
    strongest = float(np.quantile(strength_G, 0.98))
    return np.clip(strength_G / strongest, 0, 1) if strongest > _STEADY else np.zeros(len(strength_G))
