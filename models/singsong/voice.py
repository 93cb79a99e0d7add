"""A singing voice by source and filter (Fant 1960): what pairs are sung with beside the choirs of SoundFonts.

A sawtooth (a glottal pulse with the radiation at the lips falls by about 6 dB an octave) goes through the resonances
of a vowel that changes from syllable to syllable. Pitch glides from note to note, trembles once a note has begun, and
is never quite still; breath is noise through the same resonances, consonants are bursts of it.

Shapes: T samples at twice the rate of the material, N notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from models.material.synth import SAMPLE_RATE_HZ, Note

_OVERSAMPLING = 2
_RATE = SAMPLE_RATE_HZ * _OVERSAMPLING
_FORMANTS_HZ = {  # of a grown man's vowels; others are scaled
    "a": (730, 1090, 2440, 3400),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3600),
    "o": (570, 840, 2410, 3300),
    "u": (300, 870, 2240, 3200),
}
_BANDWIDTHS_HZ = (80, 90, 120, 180)
_LEGATO_GAP_S, _PHRASE_GAP_S = 0.12, 0.35
Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Singer:
    """How somebody sings. Levels are relative to the voice, 1 is as loud."""

    formant_scale: float
    levels: tuple[float, ...]  # of the four formants
    vibrato_hz: float
    vibrato_cents: float
    vibrato_delay_s: float
    glide_s: float
    unsteadiness_cents: float
    breath: float
    consonants: float
    attack_s: float


def draw_singer(rng: np.random.Generator) -> Singer:
    """Draw one."""
    return Singer(
        formant_scale=float(rng.uniform(0.95, 1.25)),
        levels=(1.0, *(float(10 ** (-rng.uniform(*db) / 20)) for db in ((4, 12), (10, 22), (14, 28)))),
        vibrato_hz=float(rng.uniform(4.6, 6.6)),
        vibrato_cents=float(rng.choice([0.0, rng.uniform(15, 45), rng.uniform(45, 100)])),
        vibrato_delay_s=float(rng.uniform(0.05, 0.4)),
        glide_s=float(rng.uniform(0.02, 0.13)),
        unsteadiness_cents=float(rng.uniform(3, 18)),
        breath=float(10 ** (rng.uniform(-40, -16) / 20)),
        consonants=float(10 ** (rng.uniform(-30, -8) / 20)),
        attack_s=float(rng.uniform(0.02, 0.09)),
    )


def sing(notes: Sequence[Note], singer: Singer, duration_s: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return waveform_T, mono float32 at the material's rate, from 0 for `duration_s`.

    Args:
        notes: one line, in order of onsets; the beginning of one ends the one before.
        singer: who sings.
        duration_s: how long.
        rng: vowels, consonants, breath and unsteadiness.
    """
    length = round(duration_s * _RATE)
    pitch_T, level_T = _curves(notes, singer, length, rng)
    source_T = _sawtooth(440.0 * 2 ** ((pitch_T - 69) / 12))
    noise_T = rng.standard_normal(length)
    excitation_T = source_T + singer.breath * noise_T
    voiced_T = _through_vowels(excitation_T * level_T, notes, singer, rng)
    voiced_T += _noises(notes, singer, noise_T, float(np.sqrt(np.mean(voiced_T**2))), rng)
    return np.asarray(resample_poly(voiced_T, 1, _OVERSAMPLING), dtype=np.float32)


def _curves(notes: Sequence[Note], singer: Singer, length: int, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Return pitch_T (MIDI, fractional) and level_T."""
    pitch_T, level_T, vibrato_T = np.full(length, 60.0), np.zeros(length), np.zeros(length)
    ends = [note.onset_s for note in notes[1:]] + [np.inf]
    for note, following in zip(notes, ends, strict=True):
        begin, end = round(note.onset_s * _RATE), min(round(following * _RATE) if following < 1e6 else length, length)
        if begin >= length:
            break
        pitch_T[begin:end] = note.pitch + rng.normal(0, 0.06)
        level_T[begin : min(round((note.onset_s + note.duration_s) * _RATE), end)] = (note.velocity / 100) ** 1.5
        since_s = np.arange(end - begin) / _RATE - singer.vibrato_delay_s
        vibrato_T[begin:end] = np.clip(since_s / 0.2, 0, 1)
    if notes:
        pitch_T[: round(notes[0].onset_s * _RATE)] = notes[0].pitch
    pitch_T = _smoothed(_smoothed(pitch_T, singer.glide_s), singer.glide_s / 2)
    times_s = np.arange(length) / _RATE
    cents = singer.vibrato_cents * vibrato_T * np.sin(2 * np.pi * singer.vibrato_hz * times_s + rng.uniform(0, 6.3))
    knots_s = np.arange(0, times_s[-1] + 0.1, 0.05)
    wander = np.interp(times_s, knots_s, rng.standard_normal(len(knots_s)))
    level_T = _smoothed(level_T, singer.attack_s) * (1 + 0.1 * cents / 100)
    return pitch_T + (cents + singer.unsteadiness_cents * wander) / 100, level_T


def _smoothed(x_T: Samples, time_s: float) -> Samples:
    """Return x_T behind a one-pole filter that begins where x_T does."""
    pole = np.exp(-1 / (time_s * _RATE))
    return np.asarray(lfilter([1 - pole], [1, -pole], x_T, zi=[pole * x_T[0]])[0])


def _sawtooth(frequency_T: Samples) -> Samples:
    """Return a sawtooth whose steps are rounded (polyBLEP), so that little is folded."""
    step_T = frequency_T / _RATE
    phase_T = np.cumsum(step_T) % 1.0
    saw_T = 2 * phase_T - 1
    before, after = phase_T > 1 - step_T, phase_T < step_T
    x = phase_T[after] / step_T[after]
    saw_T[after] -= 2 * x - x**2 - 1
    x = (phase_T[before] - 1) / step_T[before]
    saw_T[before] -= x**2 + 2 * x + 1
    return saw_T


def _through_vowels(x_T: Samples, notes: Sequence[Note], singer: Singer, rng: np.random.Generator) -> Samples:
    """Return x_T through the resonances of a vowel for every note, faded into each other."""
    names = list(_FORMANTS_HZ)
    chosen_T = np.zeros(len(x_T), dtype=np.int64)
    for note in notes:
        chosen_T[round(note.onset_s * _RATE) :] = int(rng.integers(len(names)))
    out_T = np.zeros(len(x_T))
    for index, name in enumerate(names):
        share_T = (chosen_T == index).astype(np.float64)
        if not share_T.any():
            continue
        heard_T = np.zeros(len(x_T))
        for formant, bandwidth, level in zip(_FORMANTS_HZ[name], _BANDWIDTHS_HZ, singer.levels, strict=True):
            heard_T += level * _resonance(x_T, formant * singer.formant_scale, bandwidth)
        out_T += _smoothed(share_T, 0.015) * heard_T
    return out_T


def _resonance(x_T: Samples, centre_hz: float, bandwidth_hz: float) -> Samples:
    radius = np.exp(-np.pi * bandwidth_hz / _RATE)
    angle = 2 * np.pi * centre_hz / _RATE
    gain = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * angle) + radius**2)
    return np.asarray(lfilter([gain], [1, -2 * radius * np.cos(angle), radius**2], x_T))


def _noises(notes: Sequence[Note], singer: Singer, noise_T: Samples, rms: float, rng: np.random.Generator) -> Samples:
    """Return consonants before notes, and a breath before phrases."""
    envelope_T, breath_T, before_s = np.zeros(len(noise_T)), np.zeros(len(noise_T)), -1.0
    for note in notes:
        begin = note.onset_s
        if rng.random() < 0.6:
            span = rng.uniform(0.02, 0.1)
            envelope_T[_span(begin - span, begin + 0.01)] = singer.consonants * rng.uniform(0.3, 1.0)
        if begin - before_s > _PHRASE_GAP_S:
            breath_T[_span(begin - rng.uniform(0.25, 0.5), begin - 0.08)] = singer.breath * rng.uniform(0.3, 1.5)
        before_s = begin + note.duration_s
    low = rng.uniform(1500, 4500)
    hissed = sosfilt(butter(2, [low, 7500], "band", fs=_RATE, output="sos"), noise_T)
    breathed = sosfilt(butter(2, [500, 3500], "band", fs=_RATE, output="sos"), noise_T)
    return np.asarray(3 * rms * (_smoothed(envelope_T, 0.008) * hissed + _smoothed(breath_T, 0.03) * breathed))


def _span(begin_s: float, end_s: float) -> slice:
    return slice(max(round(begin_s * _RATE), 0), max(round(end_s * _RATE), 0))
