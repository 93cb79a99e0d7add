"""Audio preview: a draft's MIDI played through a SoundFont, at a fixed loudness, as 48 kHz stereo FLAC."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from math import floor
from pathlib import Path

import midirenderer
import numpy as np
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48_000
LOUDNESS_LUFS = -16.0
PEAK_DBFS = -1.0
_SOUNDFONT = "TimGM6mb.sf2"  # shipped by pretty_midi
_SILENCE_DBFS = -72.0  # below this the piece is over
_TAIL_S = 0.3  # kept after that, faded out
_SHORTEST_S = 0.45  # loudness is measured in blocks of 0.4 s


class PreviewError(Exception):
    """Nothing can be heard, or there is nothing to play it with."""


@dataclass(frozen=True, slots=True)
class Preview:
    """An audio file and what was measured on it."""

    flac: bytes
    duration_s: float
    loudness_lufs: float
    peak_dbfs: float


def render_preview(midi: bytes) -> Preview:
    """Play a MIDI file. The same bytes give the same audio, bit for bit, on one kind of processor.

    One gain for the whole piece brings it to LOUDNESS_LUFS, or less where its peak would pass PEAK_DBFS.

    Raises:
        PreviewError: the file is not MIDI, nothing sounds, or the SoundFont is not installed.
    """
    audio_TC = _trim(_play(midi))
    loudness = _loudness_lufs(audio_TC)
    gain_db = floor(100 * min(LOUDNESS_LUFS - loudness, PEAK_DBFS - _peak_dbfs(audio_TC))) / 100  # as on any threads
    audio_TC *= np.float32(10 ** (gain_db / 20))
    out = BytesIO()
    soundfile.write(out, audio_TC, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return Preview(
        out.getvalue(), len(audio_TC) / SAMPLE_RATE_HZ, round(loudness + gain_db, 2), round(_peak_dbfs(audio_TC), 2)
    )


@cache
def _soundfont() -> bytes:
    package = find_spec("pretty_midi")  # found, not imported: the import takes over a second
    if package is None or package.origin is None:
        raise PreviewError("pretty_midi is not installed: it brings the SoundFont")
    path = Path(package.origin).parent / _SOUNDFONT
    if not path.is_file():
        raise PreviewError(f"pretty_midi no longer brings {_SOUNDFONT}")
    return path.read_bytes()


def _play(midi: bytes) -> NDArray[np.float32]:
    try:
        wave = midirenderer.render_wave_from(_soundfont(), midi)
    except (ValueError, RuntimeError) as error:
        raise PreviewError(f"not a MIDI file that can be played: {error}") from error
    audio_TC, rate = soundfile.read(BytesIO(wave), dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE_HZ or audio_TC.shape[1] != 2:
        raise PreviewError(f"the synth gave {rate} Hz and {audio_TC.shape[1]} channels")
    return np.asarray(audio_TC, dtype=np.float32)


def _trim(audio_TC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the silence at the end, leaving a short tail that fades out."""
    heard = np.flatnonzero(np.abs(audio_TC).max(axis=1) > 10 ** (_SILENCE_DBFS / 20))
    if not heard.size:
        raise PreviewError("the preview is silent: the MIDI file has no note that sounds")
    tail = round(_TAIL_S * SAMPLE_RATE_HZ)
    length = max(int(heard[-1]) + 1 + tail, round(_SHORTEST_S * SAMPLE_RATE_HZ))
    out = np.zeros((length, audio_TC.shape[1]), dtype=np.float32)
    kept = audio_TC[:length]
    out[: len(kept)] = kept
    out[-tail:] *= np.linspace(1, 0, tail, dtype=np.float32)[:, None]
    return out


def _loudness_lufs(audio_TC: NDArray[np.float32]) -> float:
    """Return the integrated loudness (ITU-R BS.1770-4); -70 for what is under its gate throughout."""
    loudness = float(torchaudio.functional.loudness(torch.from_numpy(audio_TC.T.copy()), SAMPLE_RATE_HZ))
    return loudness if np.isfinite(loudness) else -70.0


def _peak_dbfs(audio_TC: NDArray[np.float32]) -> float:
    return float(20 * np.log10(np.abs(audio_TC).max()))
