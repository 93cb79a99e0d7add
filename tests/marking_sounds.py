"""Small real files to mark and sign."""

import io

import numpy as np
import soundfile

from models.generator import ProductFile

RATE_HZ = 44_100


def tones(seconds=6.0, seed=3):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    steps = rng.choice([220, 262, 330, 392, 494], round(seconds * 4)).repeat(RATE_HZ // 4)[: len(t)]
    wave = sum(np.sin(2 * np.pi * k * np.cumsum(steps) / RATE_HZ) / k for k in range(1, 12))
    return np.stack([wave, 0.5 * wave], axis=1).astype(np.float32) * 0.1


def encoded(wave, **how):
    file = io.BytesIO()
    soundfile.write(file, wave, how.pop("rate", RATE_HZ), **how)
    return file.getvalue()


def sounds():
    wave = tones()
    return (
        ProductFile(role="preview", name="p.flac", media_type="audio/flac", data=encoded(wave, format="FLAC")),
        ProductFile(
            role="waveform", name="w.wav", media_type="audio/wav", data=encoded(wave, format="WAV", subtype="PCM_24")
        ),
        ProductFile(role="mp3", name="w.mp3", media_type="audio/mpeg", data=encoded(wave, format="MP3")),
        ProductFile(
            role="opus",
            name="w.opus",
            media_type="audio/ogg",
            data=encoded(wave, format="OGG", subtype="OPUS", rate=48_000),
        ),
    )


def papers():
    return (
        ProductFile(role="codes", name="codes.json", media_type="application/json", data=b"[1,2,3]"),
        ProductFile(role="midi", name="s.mid", media_type="audio/midi", data=b"MThd" + bytes(60)),
        ProductFile(role="pdf", name="s.pdf", media_type="application/pdf", data=b"%PDF-1.7 " + bytes(90)),
        ProductFile(
            role="musicxml",
            name="s.musicxml",
            media_type="application/vnd.recordare.musicxml+xml",
            data=b"<?xml version='1.0'?><score-partwise/>",
        ),
    )
