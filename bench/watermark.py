"""The mark on real sounds: found in copies of each kind, how far below the music, how long it takes.

Give it files of sound (FLAC, WAV, Ogg); of each the first 30 seconds are used. A match is against 100,000 issued ids.
"""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray

from bench.support import finish, parser, show
from models.watermark.detection import best_match, detect
from models.watermark.embedding import embed

KEY = b"k" * 32
Wave = NDArray[np.float32]


def coded(wave: Wave, rate_hz: int, **how: object) -> tuple[Wave, int]:
    """Return what a codec leaves of a sound."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate_hz, **how)
    file.seek(0)
    return soundfile.read(file, dtype="float32", always_2d=True)


def resampled(wave: Wave, rate_hz: int, to_hz: int) -> tuple[Wave, int]:
    """Return a sound at another rate."""
    there = torchaudio.functional.resample(torch.from_numpy(wave.T.copy()), rate_hz, to_hz)
    return there.numpy().T.copy(), to_hz


def copies(wave: Wave, rate_hz: int, voice: Wave) -> Iterator[tuple[str, Wave, int]]:
    """Yield the copies of a sound that the mark should be found in."""
    yield "as it is", wave, rate_hz
    yield "16 bits, -6 dB", np.round(wave * 16384) / 32768, rate_hz
    for name, level in (("MP3 best", 0.0), ("MP3 middle", 0.6), ("MP3 low", 0.9)):
        yield name, *coded(wave, rate_hz, format="MP3", compression_level=level, bitrate_mode="CONSTANT")
    for name, level in (("Opus high", 0.6), ("Opus low", 0.9)):
        yield name, *coded(*resampled(wave, rate_hz, 48_000), format="OGG", subtype="OPUS", compression_level=level)
    for to_hz in (44_100, 22_050, 8_000):
        yield f"{to_hz} Hz", *resampled(wave, rate_hz, to_hz)
    start = int(rate_hz * 7.123)
    yield "10 s of it", wave[start : start + 10 * rate_hz], rate_hz
    if len(voice):
        over = np.resize(voice, len(wave))[:, None]
        gain = np.sqrt(np.square(wave).mean() / np.square(over).mean()) * 10**0.5
        yield "10 dB below another sound", (wave + over * gain).astype(np.float32), rate_hz


def main() -> None:
    """Mark, copy, and look for the mark."""
    options = parser(__doc__)
    options.add_argument("files", type=Path, nargs="+")
    options.add_argument("--voice", type=Path, help="a sound to lay over the others")
    given = options.parse_args()
    torch.set_num_threads(1)
    issued = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    voice = (
        soundfile.read(given.voice, dtype="float32", always_2d=True)[0].mean(axis=1) if given.voice else np.zeros(0)
    )
    found: dict[str, list[float]] = defaultdict(list)
    right: dict[str, int] = defaultdict(int)
    below, embed_s, detect_s = [], [], []
    for number, path in enumerate(given.files):
        wave, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        wave = wave[: 30 * rate_hz]
        began = time.process_time()
        marked = embed(wave, rate_hz, KEY, int(issued[number]))
        embed_s.append(time.process_time() - began)
        below.append(10 * np.log10(np.square(wave).sum() / np.square(marked - wave).sum()))
        for name, copy, copy_rate in (*copies(marked, rate_hz, voice), ("not marked", wave, rate_hz)):
            began = time.process_time()
            detection = detect(np.asarray(copy, dtype=np.float32), copy_rate, KEY)
            detect_s.append(time.process_time() - began)
            match = best_match(detection, issued)
            assert match is not None
            found[name].append(match.strength)
            right[name] += match.found and (name == "not marked" or match.payload == int(issued[number]))
    rows = [
        {"copy": name, "found": right[name], "of": len(each), "weakest": min(each), "mean": float(np.mean(each))}
        for name, each in found.items()
    ]
    show(rows)
    figures = {"below_db": min(below), "embed_s": max(embed_s), "detect_s": max(detect_s)}
    print(
        "at least {below_db:.1f} dB below the music; processor time at most {embed_s:.2f} s to mark, ".format(
            **figures
        )
    )
    print("{detect_s:.2f} s to look".format(**figures))
    finish("watermark", {"rows": rows, **figures}, as_json=given.json)


if __name__ == "__main__":
    main()
