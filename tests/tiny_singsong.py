"""A SingSong of a few thousand weights, drawn by a fixed seed, beside the tiny MusicLM that it plays through."""

import io
import json
from pathlib import Path

import numpy as np
import soundfile
import tiny_musiclm
import torch

from models.material.labels import Labels
from models.musiclm.sampling import Sampling, StageSampling
from models.singsong.base import Base, read_base
from models.singsong.encoder import EncoderConfig
from models.singsong.hearing import HearingConfig, NoteHeadConfig
from models.singsong.model import SingSong, SingSongConfig
from models.singsong.pairs import PAIR_SAMPLES, Pair, PairSet
from models.singsong.release import settings_of
from models.singsong.separator import SeparatorConfig
from models.singsong.stage import SungStageConfig
from models.singsong.start import decoder_size
from models.weights import ModelVersion, write_version

HEARING = HearingConfig(noise_db=-20.0)
SEPARATOR = SeparatorConfig(fft_length=256, hop_length=64, width=8, layers=1)
NOTES = NoteHeadConfig(features=32, width=8, kernel=3)


def config(base: Base, hearing: HearingConfig = HEARING) -> SingSongConfig:
    sizes = tiny_musiclm.config()
    codebooks, entries, rate = (4, 16, 50.0) if hearing.tokens == "acoustic" else (2, 50, 25.0)
    encoder = EncoderConfig(codebooks=codebooks, entries=entries, frame_rate_hz=rate, width=16, heads=2, layers=1)
    heard = codebooks if hearing.tokens == "acoustic" else 1
    harmony = EncoderConfig(codebooks=heard, entries=entries, frame_rate_hz=rate, width=16, heads=2, layers=1)
    return SingSongConfig(
        hearing=hearing,
        separator=SEPARATOR,
        notes=NOTES,
        harmony=harmony,
        semantic=SungStageConfig(encoder=encoder, decoder=decoder_size(sizes.semantic), frame_rate_hz=25.0),
        coarse=SungStageConfig(encoder=encoder, decoder=decoder_size(sizes.coarse), frame_rate_hz=50.0),
        base=base.digests,
    )


def model(base: Base, seed: int = 0, hearing: HearingConfig = HEARING) -> SingSong:
    """Weights large enough that what is heard matters."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        made = SingSong(config(base, hearing), base)
        for stage in (made.semantic, made.coarse):
            for parameter in stage.parameters():
                if parameter.ndim >= 2:
                    torch.nn.init.normal_(parameter, std=0.3)
        for layer in (made.notes.first, made.notes.second, made.notes.out):
            torch.nn.init.normal_(layer.weight, std=1.0)  # unlike sounds are unlike notes
        made.notes.first.weight -= made.notes.first.weight.mean(dim=1, keepdim=True)  # however loud they are
    return made.eval().requires_grad_(requires_grad=False)


def sampling() -> Sampling:
    return Sampling(
        semantic=StageSampling(temperature=1.0, top_k=0, guidance_scale=2.0, window_s=1.0, given_s=0.4),
        coarse=StageSampling(temperature=1.0, top_k=8, guidance_scale=1.5, window_s=0.8, given_s=0.4, forgetful=0.5),
        fine=StageSampling(temperature=0.5, top_k=0, guidance_scale=1.0, window_s=0.6, given_s=0.2),
    )


def version(folder: Path, seed: int = 0) -> ModelVersion:
    """Write a version as it would ship, and the MusicLM it needs beside it."""
    base_version = tiny_musiclm.version(folder.parent / "tiny-musiclm")
    _, base = read_base(base_version)
    made = model(base, seed)
    card = "---\nname: tiny-singsong\nkind: accompaniment\n---\n\nTiny.\n"
    settings = settings_of(made, base_version.name, sampling(), takes=2) | {"name": "tiny-singsong"}
    return write_version(folder, made.packed(), settings, card)


def pairs(folder: Path, count: int = 12) -> PairSet:
    """Pairs of a voice of low tones and an accompaniment of high noise; the last eight are for validation."""
    rng, labels, rows = np.random.default_rng(0), Labels(kind="solo", instruments=("piano",)), []
    voices, others = np.zeros((2, count, PAIR_SAMPLES), dtype=np.int16)
    times = np.arange(PAIR_SAMPLES // 10) / 16_000
    for number in range(count):
        pitches = rng.choice([52, 64, 75, 86], 10)
        tones = [np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * times) for pitch in pitches]
        voices[number] = np.round(3000 * np.concatenate(tones))
        others[number] = np.round(np.diff(1000 * rng.standard_normal(PAIR_SAMPLES + 1)))
        melody = tuple((float(second), 1.0, int(pitch)) for second, pitch in enumerate(pitches))
        split = "validation" if number >= count - 8 else "train"
        rows.append(Pair(number, split, "song.mxl", "A", "rule", labels, ("a piano",), melody, 0.5, 0.0))
    for name, samples in (("voice", voices), ("accompaniment", others)):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "00000.npy", samples)
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row.as_dict()) + "\n" for row in rows))
    (folder / "manifest.json").write_text("{}")
    return PairSet(folder)


def sung(seconds: float = 2.0, rate_hz: int = 16_000, channels: int = 1, before_s: float = 0.0) -> np.ndarray:
    """A line of three tones with vibrato, (T, A)."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    steps = np.array([0, 4, 7])[np.minimum((times / seconds * 3).astype(int), 2)]
    pitch_hz = 220 * 2 ** (steps / 12) * 2 ** (0.3 / 12 * np.sin(2 * np.pi * 5.5 * times))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    voice = sum(np.sin(k * phase) / k for k in range(1, 12)) * 0.2
    voice = np.concatenate([np.zeros(round(before_s * rate_hz)), voice])
    return np.repeat(voice[:, None], channels, axis=1).astype(np.float32)


def file(samples: np.ndarray, rate_hz: int = 16_000, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    """A sound file of samples."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=kind, subtype=subtype)
    return out.getvalue()
