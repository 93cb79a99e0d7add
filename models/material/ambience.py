"""Soundscapes from recordings: crops, speeds, gains and equalising of what lies in data/ambience."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly, sosfilt, tf2sos

from models.digests import digest_of_bytes
from models.material.synth import SAMPLE_RATE_HZ

SCENES = {
    "birds": "birds",
    "boat": "boat",
    "city": "city",
    "coffee-shop": "crowd",
    "fireplace": "fire",
    "rain": "rain",
    "storm": "thunderstorm",
    "summer-night": "crickets",
    "train": "train",
    "waves": "waves",
    "wind": "wind",
}
_HELD_OUT = 0.15  # the end of each recording is kept for validation
_SPEEDS = ((1, 1), (9, 10), (10, 9), (6, 5), (5, 6), (8, 9), (9, 8))
_CROSSFADE_S = 0.5


class AmbienceError(Exception):
    """The recordings are missing; the message names the folder."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording at SAMPLE_RATE_HZ, mono, and under what terms it may be used."""

    file: str
    scene: str
    author: str
    licence: str
    source: str
    digest: str
    waveform_T: NDArray[np.float32]


def read_ambience(folder: Path) -> list[Recording]:
    """Read the recordings of a folder with LICENCES.csv.

    Raises:
        AmbienceError: there is none, or it names a scene that is not known.
    """
    table = folder / "LICENCES.csv"
    if not table.is_file():
        raise AmbienceError(f"{table} is missing; --data names the folder that holds ambience/LICENCES.csv")
    found = []
    with table.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            path = folder / row["file"]
            if not path.is_file():
                continue  # the table also lists recordings kept for examination
            if path.stem not in SCENES:
                raise AmbienceError(f"{path}: no scene is known for it; known: {', '.join(SCENES)}")
            samples_TC, rate = soundfile.read(path, dtype="float32", always_2d=True)
            mono = resample_poly(samples_TC.mean(axis=1), SAMPLE_RATE_HZ, rate)
            found.append(
                Recording(
                    path.name, SCENES[path.stem], row["author"], row["licence"], row["source"],
                    digest_of_bytes(path.read_bytes()), np.asarray(mono, dtype=np.float32),
                )
            )  # fmt: skip
    return found


def scene_clip(
    recording: Recording, duration_s: float, rng: np.random.Generator, *, held_out: bool
) -> NDArray[np.float32]:
    """Cut, slow or hasten, and tilt a piece of a recording to waveform_T of that duration, peak 1.

    Args:
        recording: where it is cut from.
        duration_s: how long.
        rng: where the choices come from.
        held_out: whether it comes from the part kept for validation or from the rest.
    """
    length = round(duration_s * SAMPLE_RATE_HZ)
    border = round(len(recording.waveform_T) * (1 - _HELD_OUT))
    part = recording.waveform_T[border:] if held_out else recording.waveform_T[:border]
    up, down = _SPEEDS[int(rng.integers(len(_SPEEDS)))]
    needed = length * down // up + 2
    start = int(rng.integers(max(len(part) - needed, 1)))
    cut = np.roll(part, -int(rng.integers(len(part)))) if len(part) < needed else part[start : start + needed]
    waveform = np.asarray(resample_poly(_looped(cut, needed), up, down), dtype=np.float32)[:length]
    tilt = float(rng.uniform(-0.5, 0.5))
    waveform = np.asarray(sosfilt(tf2sos([1.0, tilt], [1.0]), waveform), dtype=np.float32)
    return waveform / max(float(np.abs(waveform).max()), 1e-6)


def _looped(waveform_T: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Repeat a waveform with a cross-fade until it is long enough."""
    fade = min(round(_CROSSFADE_S * SAMPLE_RATE_HZ), len(waveform_T) // 4)
    rising = np.sqrt(np.linspace(0, 1, fade, dtype=np.float32))
    out = waveform_T
    while len(out) < length:
        joint = out[-fade:] * rising[::-1] + waveform_T[:fade] * rising
        out = np.concatenate([out[:-fade], joint, waveform_T[fade:]])
    return out[:length]
