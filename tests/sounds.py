"""Real sounds for tests of judges: tunes through the SoundFont that no training hears."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import midirenderer
import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48_000  # midirenderer's own
TUNE = (0, 4, 7, 4, 5, 9, 12, 9, 7, 11, 14, 11, 7, 4, 2, 0)  # semitones above the tonic: in major
DRUM_CHANNEL = 9
KICK, SNARE, HAT = 36, 38, 42


def play(
    program: int,
    *,
    tonic: int = 60,
    notes_per_s: float = 4.0,
    duration_s: float = 4.0,
    drums: bool = False,
    tune: Sequence[int] = TUNE,
) -> NDArray[np.float32]:
    """Return a tune by a General MIDI programme (from 0), mono at SAMPLE_RATE_HZ."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(120)))
    track.append(mido.Message("program_change", program=program))
    ticks = round(960 / notes_per_s)  # at 120 a minute, 960 ticks last a second
    for n in range(round(duration_s * notes_per_s)):
        sounding = [(0, tonic + tune[n % len(tune)])]
        if drums:
            sounding += [(DRUM_CHANNEL, HAT), (DRUM_CHANNEL, (KICK, SNARE)[n % 2])]
        for channel, note in sounding:
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=96))
        for place, (channel, note) in enumerate(sounding):
            track.append(mido.Message("note_off", channel=channel, note=note, time=0 if place else ticks))
    midi = BytesIO()
    file.save(file=midi)
    package = find_spec("pretty_midi")
    assert package is not None and package.origin is not None
    soundfont = (Path(package.origin).parent / "TimGM6mb.sf2").read_bytes()
    wave = midirenderer.render_wave_from(soundfont, midi.getvalue())
    samples, rate = soundfile.read(BytesIO(wave), dtype="float32", always_2d=True)
    assert rate == SAMPLE_RATE_HZ
    mono = samples.mean(axis=1)[: round(duration_s * rate)]
    return np.asarray(0.5 * mono / np.abs(mono).max(), dtype=np.float32)
