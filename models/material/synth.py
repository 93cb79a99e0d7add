"""Notes to sound through a SoundFont, by FluidSynth.

Needs the library libfluidsynth and SoundFonts (on Debian: libfluidsynth3, fluid-soundfont-gm,
musescore-general-soundfont-small); only training needs them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter, resample_poly

SAMPLE_RATE_HZ = 16_000
UNHEARD = "TimGM6mb"  # the SoundFont that no training clip is played with
_OVERSAMPLING = 2  # played at twice the rate, so that what lies above the band is filtered, not folded
DRUM_CHANNEL = 9
_DRUM_BANK = 128
_GAIN = 0.35
_REST_S = 0.02  # time for cut notes to fade before the next clip


class SynthError(Exception):
    """There is nothing to play with; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note: seconds, seconds, MIDI pitch and velocity, and the channel that has its programme."""

    onset_s: float
    duration_s: float
    pitch: int
    velocity: int
    channel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Reverberation: seconds until it is 60 dB down, how dull it is (0 to 1), and its level beside the dry sound."""

    decay_s: float
    dullness: float
    level: float
    seed: int

    def reverberate(self, dry_T: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return dry_T with the room's answer (decaying noise) added; of the same length."""
        if self.level <= 0:
            return dry_T
        rng = np.random.Generator(np.random.Philox(key=self.seed))
        times_s = np.arange(round(self.decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        answer = rng.standard_normal(len(times_s)) * 10 ** (-3 * times_s / self.decay_s)
        answer = lfilter([1 - self.dullness], [1, -self.dullness], answer)
        answer *= self.level / np.sqrt(np.sum(answer**2))
        return np.asarray(dry_T + fftconvolve(dry_T, answer)[: len(dry_T)], dtype=np.float32)


def training_soundfonts() -> dict[str, Path]:
    """Return the SoundFonts that training clips are played with, both under the MIT licence.

    Raises:
        SynthError: one is not installed.
    """
    found = {
        "FluidR3_GM": Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
        "MuseScore_General_Lite": Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"),
    }
    for path in found.values():
        if not path.is_file():
            raise SynthError(f"{path} is missing: install fluid-soundfont-gm and musescore-general-soundfont-small")
    return found


def unheard_soundfont() -> Path:
    """Return the SoundFont kept for examination: pretty_midi's, which no training clip is played with."""
    package = importlib.util.find_spec("pretty_midi")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).with_name("TimGM6mb.sf2")


class Synth:
    """One SoundFont, loaded once."""

    def __init__(self, soundfont: Path) -> None:
        """Load it.

        Raises:
            SynthError: FluidSynth or the file is missing or unusable.
        """
        try:
            import fluidsynth
        except ImportError as error:
            raise SynthError(
                "FluidSynth is missing: install libfluidsynth3, and Tutti with its extra 'train'"
            ) from error
        # FluidSynth's own reverb and chorus keep the phase of their modulation from one clip to the next.
        plain = {"synth.reverb.active": 0, "synth.chorus.active": 0, "synth.dynamic-sample-loading": 1}
        self._synth: Any = fluidsynth.Synth(samplerate=float(SAMPLE_RATE_HZ * _OVERSAMPLING), gain=_GAIN, **plain)
        self._font = self._synth.sfload(str(soundfont))
        if self._font < 0:
            raise SynthError(f"{soundfont} is not a SoundFont that FluidSynth can load")

    def render(
        self,
        notes: Sequence[Note],
        programs: Sequence[tuple[int, int]],
        room: Room,
        *,
        start_s: float,
        duration_s: float,
    ) -> NDArray[np.float32]:
        """Play notes and return waveform_T, mono float32, from `start_s` for `duration_s`.

        Args:
            notes: what to play; notes before `start_s` are played too, unheard.
            programs: (channel, programme) pairs; channel 9 takes a drum kit.
            room: reverberation.
            start_s: where the waveform begins.
            duration_s: how long it is.
        """
        self._rest()
        for channel, program in programs:
            bank = _DRUM_BANK if channel == DRUM_CHANNEL else 0
            self._synth.program_select(channel, self._font, bank, program)
        rate = SAMPLE_RATE_HZ * _OVERSAMPLING
        end = round((start_s + duration_s) * rate)
        events = sorted(
            [(round(n.onset_s * rate), 1, n.channel, n.pitch, n.velocity) for n in notes if n.velocity]
            + [(round((n.onset_s + n.duration_s) * rate), 0, n.channel, n.pitch, 0) for n in notes]
        )
        played, at = [], 0
        for when, on, channel, pitch, velocity in events:
            if when >= end:
                break
            if when > at:
                played.append(self._synth.get_samples(when - at))
                at = when
            if on:
                self._synth.noteon(channel, pitch, velocity)
            else:
                self._synth.noteoff(channel, pitch)
        played.append(self._synth.get_samples(end - at))
        stereo = np.concatenate(played).reshape(-1, 2).astype(np.float32) / 32768
        mono = np.asarray(resample_poly(stereo.mean(axis=1), 1, _OVERSAMPLING), dtype=np.float32)
        return room.reverberate(mono)[round(start_s * SAMPLE_RATE_HZ) :][: round(duration_s * SAMPLE_RATE_HZ)]

    def _rest(self) -> None:
        self._synth.system_reset()
        self._synth.get_samples(round(_REST_S * SAMPLE_RATE_HZ * _OVERSAMPLING))
