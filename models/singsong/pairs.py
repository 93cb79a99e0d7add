"""Pairs of a voice and its accompaniment, rendered from songs: what the paper takes from a million recordings.

    pairs.jsonl              one line a pair: source, labels, captions, the notes sung, the beat
    voice/00000.npy          int16 (SHARD pairs, samples)
    accompaniment/00000.npy  the same, aligned to the sample; voice + accompaniment is the mix

A song's vocal line is sung by rule (`models.singsong.voice`) or by a choir of a SoundFont, its piano part is played
by instruments drawn anew for each pair. Pairs of the last shards are for validation: songs by held-out composers,
every second one accompanied through a SoundFont that training never hears.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.digests import digest_of_bytes
from models.material.captions import caption
from models.material.instruments import SOUNDS
from models.material.labels import TEMPI, Labels, Tempo, labels_from
from models.material.level import unit_rms
from models.material.scores import Notes, Piece, read_scores
from models.material.synth import SAMPLE_RATE_HZ, Note, Room, Synth, training_soundfonts, unheard_soundfont
from models.score.key import find_key, pitch_class_weights
from models.singsong.voice import draw_singer, sing
from models.whole_files import whole_file, write_whole

SHARD = 256
PAIR_S = 10.0
PAIR_SAMPLES = round(PAIR_S * SAMPLE_RATE_HZ)
CAPTIONS = 3
_LEAD_IN_S = 1.5  # notes before the pair sound into it
_DRAWS = 60
_LOW_VOICE, _HIGH_VOICE = 45, 84  # MIDI pitches that are sung
_SUNG = 0.35  # of the pair, at least
_BUSIEST = 9.0  # onsets of the accompaniment a second
_CHOIRS = (52, 52, 54, 85)  # General MIDI: choir aahs, synth voice, lead voice; 53 sounds as a flute
_BY_RULE = 0.6  # of the pairs
_CERTAIN_KEY = 0.04
_CHORDS = (
    "piano", "piano", "piano", "harp", "guitar", "organ", "strings", "electric piano", "harpsichord", "synth pad",
    "vibraphone", "accordion", "electric guitar", "plucked strings", "marimba", "music box",
)  # fmt: skip
_BASSES = ("bass", "double bass", "cello")
Split = Literal["train", "validation"]


class PairsError(Exception):
    """A folder holds no whole set of pairs, or they cannot be made; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsConfig:
    """How many pairs: whole shards, the last of them for validation."""

    shards: int = 9
    validation_shards: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair. `sung` rows are (onset s, duration s, pitch); beats fall every `beat_s` from `first_beat_s` on."""

    number: int
    split: Split
    source: str
    composer: str
    singer: str
    labels: Labels
    captions: tuple[str, ...]
    sung: tuple[tuple[float, float, int], ...]
    beat_s: float
    first_beat_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the pair as JSON values."""
        return {
            "number": self.number, "split": self.split, "source": self.source, "composer": self.composer,
            "singer": self.singer, "labels": self.labels.as_dict(), "captions": list(self.captions),
            "sung": [list(row) for row in self.sung], "beat_s": self.beat_s, "first_beat_s": self.first_beat_s,
        }  # fmt: skip


class PairSet:
    """The pairs of a folder; audio is read from the disk as it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Open a folder.

        Raises:
            PairsError: its rendering was never finished.
        """
        self.folder, index = folder, folder / "pairs.jsonl"
        if not index.is_file():
            raise PairsError(f"{index} is missing: the step 'pairs' comes first")
        rows = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
        self.pairs = [
            Pair(**row | {
                "labels": labels_from(row["labels"]), "captions": tuple(row["captions"]),
                "sung": tuple((row[0], row[1], row[2]) for row in row["sung"]),
            })
            for row in rows
        ]  # fmt: skip
        self._voice, self._accompaniment = (
            [np.load(path, mmap_mode="r") for path in sorted((folder / part).glob("*.npy"))]
            for part in ("voice", "accompaniment")
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def numbers(self, split: Split) -> list[int]:
        """Return the numbers of the pairs of a split."""
        return [pair.number for pair in self.pairs if pair.split == split]

    def voice(self, number: int) -> NDArray[np.float32]:
        """Return the voice alone, float32 in [-1, 1)."""
        return _floats(self._voice[number // SHARD][number % SHARD])

    def accompaniment(self, number: int) -> NDArray[np.float32]:
        """Return the accompaniment alone, float32 in [-1, 1)."""
        return _floats(self._accompaniment[number // SHARD][number % SHARD])

    @cached_property
    def manifest_digest(self) -> str:
        """The digest of the manifest: it names every source, and every shard by its digest."""
        return digest_of_bytes((self.folder / "manifest.json").read_bytes())


def _floats(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    return np.asarray(samples, dtype=np.float32) / np.float32(32768)


def render_pairs(
    config: PairsConfig, data: Path, out: Path, workers: int, progress: Callable[[str, int, int], None]
) -> Path:
    """Render all pairs into `out` and return the manifest; a shard that is there is not made again.

    Args:
        config: how many, and the seed.
        data: the folder with openscore-lieder.
        out: where the pairs go.
        workers: processes.
        progress: told (phase, done, of how many).

    Raises:
        CorpusError: scores are missing.
        SynthError: FluidSynth or a SoundFont is missing.
    """
    training_soundfonts()
    pieces = read_scores(data, out, workers, lambda done, total: progress("scores", done, total))
    for part in ("voice", "accompaniment"):
        (out / part).mkdir(parents=True, exist_ok=True)
    jobs = [(config, number, out) for number in range(config.shards)]
    with ProcessPoolExecutor(workers, initializer=_load, initargs=(data, out)) as pool:
        for done, _ in enumerate(pool.map(_render_shard, jobs), start=1):
            progress("pairs", done * SHARD, config.shards * SHARD)
    lines = "".join(_index(out, number).read_text(encoding="utf-8") for number in range(config.shards))
    manifest = out / "manifest.json"
    write_whole(manifest, json.dumps(_manifest(out, lines, pieces), indent=1))
    write_whole(out / "pairs.jsonl", lines)
    return manifest


def _manifest(out: Path, lines: str, pieces: list[Piece]) -> dict[str, Any]:
    used = {json.loads(line)["source"] for line in lines.splitlines()}
    shards = sorted([*(out / "voice").glob("*.npy"), *(out / "accompaniment").glob("*.npy")])
    return {
        "pairs": digest_of_bytes(lines.encode()),
        "shards": {f"{path.parent.name}/{path.name}": digest_of_bytes(path.read_bytes()) for path in shards},
        "soundfonts": {"FluidR3_GM": "MIT", "MuseScore_General_Lite": "MIT"},
        "sources": [
            {"name": each.file, "by": each.composer, "from": each.collection, "licence": each.licence,
             "digest": each.digest, "split": "validation" if each.held_out else "train"}
            for each in pieces if each.file in used
        ],
    }  # fmt: skip


@dataclass(slots=True)
class Material:
    """What a process keeps: songs with a voice and an accompaniment, and the SoundFonts it has used so far."""

    training: list[Piece]
    held_out: list[Piece]
    synths: dict[str, Synth]

    def synth(self, name: str, path: Path) -> Synth:
        """Return the synth of a SoundFont."""
        if name not in self.synths:
            self.synths[name] = Synth(path)
        return self.synths[name]


_material: Material | None = None  # one a process, made by the pool's initialiser


def _load(data: Path, out: Path) -> None:
    global _material
    _material = material_of(read_scores(data, out, 1, lambda _done, _total: None))


def material_of(pieces: list[Piece]) -> Material:
    """Return the songs among scores: one voice above a keyboard.

    Raises:
        PairsError: there are none.
    """
    songs = [piece for piece in pieces if piece.keyboard is not None and len(piece.lines) == 1]
    if not songs:
        raise PairsError("none of the scores is a song: a voice above a keyboard")
    return Material([p for p in songs if not p.held_out], [p for p in songs if p.held_out], {})


def _index(out: Path, shard: int) -> Path:
    return out / "voice" / f"{shard:05d}.jsonl"


def _render_shard(job: tuple[PairsConfig, int, Path]) -> None:
    config, shard, out = job
    assert _material is not None
    if _index(out, shard).is_file():
        return
    _material.synths.clear()
    split: Split = "validation" if shard >= config.shards - config.validation_shards else "train"
    parts = np.zeros((2, SHARD, PAIR_SAMPLES), dtype=np.int16)
    lines = []
    for row in range(SHARD):
        pair, *waveforms = make_pair(config.seed, shard * SHARD + row, split, _material)
        for part, waveform in zip(parts, waveforms, strict=True):
            part[row] = np.round(waveform * 32767).astype(np.int16)
        lines.append(json.dumps(pair.as_dict(), ensure_ascii=False) + "\n")
    for name, part in zip(("voice", "accompaniment"), parts, strict=True):
        with whole_file(out / name / f"{shard:05d}.npy") as file:
            np.save(file, part)
    write_whole(_index(out, shard), "".join(lines))


def make_pair(
    seed: int, number: int, split: Split, material: Material
) -> tuple[Pair, NDArray[np.float32], NDArray[np.float32]]:
    """Make one pair: (seed, number) decide what is sung and played.

    Returns:
        The pair, voice_T and accompaniment_T at the levels they have in the mix.

    Raises:
        PairsError: no passage suits in so many draws.
    """
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 1, number]))
    pieces = material.held_out if split == "validation" else material.training
    for _ in range(_DRAWS):
        piece = pieces[int(rng.integers(len(pieces)))]
        passage = _passage(piece, rng)
        if passage is not None:
            break
    else:
        raise PairsError(f"no passage of {len(pieces)} songs suits in {_DRAWS} draws")
    tempo, bpm, sung, played = passage
    fonts = list(training_soundfonts().items())
    font = fonts[int(rng.integers(len(fonts)))]
    voice, singer = _sung(sung, bpm, material, font, rng)
    if split == "validation" and number % 2:
        font = ("TimGM6mb", unheard_soundfont())
    names, notes, programs = _arranged(played, bpm, rng)
    room = _room(rng)
    accompaniment = material.synth(*font).render(notes, programs, room, start_s=_LEAD_IN_S, duration_s=PAIR_S)
    key, lead = find_key(pitch_class_weights((n.pitch, round(1000 * n.duration_s)) for n in notes))
    certain = lead > _CERTAIN_KEY
    labels = Labels(
        kind="solo" if len(names) == 1 else "ensemble", instruments=names, tempo=tempo, tempo_bpm=round(bpm, 1),
        key=key.name if certain else None, mode=key.mode if certain else None,
        onsets_per_s=round(len({round(n.onset_s, 2) for n in notes}) / (PAIR_S + _LEAD_IN_S), 2),
    )  # fmt: skip
    beat_s = 60 / bpm
    pair = Pair(
        number=number, split=split, source=piece.file, composer=piece.composer, singer=singer, labels=labels,
        captions=tuple(caption(labels, rng) for _ in range(CAPTIONS)),
        sung=tuple(
            (round(float(t) * beat_s - _LEAD_IN_S, 4), round(float(d) * beat_s, 4), int(p)) for t, d, p in sung
        ),
        beat_s=round(beat_s, 6), first_beat_s=round(-_LEAD_IN_S % beat_s, 6),
    )  # fmt: skip
    return pair, *_levelled(voice, accompaniment, rng)


def _passage(piece: Piece, rng: np.random.Generator) -> tuple[Tempo, float, Notes, Notes] | None:
    """Cut the same quarters out of voice and keyboard, transposed; None if too little is sung or too much played."""
    assert piece.keyboard is not None
    options: tuple[Tempo, ...] = ("slow", "medium", "fast")
    tempo = options[int(rng.integers(3))]
    bpm = float(rng.uniform(*TEMPI[tempo]))
    length_q = (PAIR_S + _LEAD_IN_S) * bpm / 60
    end_q = float((piece.lines[0][:, 0] + piece.lines[0][:, 1]).max())
    if end_q < length_q:
        return None
    start = float(np.floor(rng.uniform(0, end_q - length_q)))
    sung, played = (_cut(notes, start, length_q) for notes in (piece.lines[0], piece.keyboard))
    sung = sung[np.append(np.diff(sung[:, 0]) > 0, True)] if len(sung) else sung  # one note at a time
    seconds = sung[:, 1].sum() * 60 / bpm
    onsets = len(np.unique(played[:, 0])) / (PAIR_S + _LEAD_IN_S)
    if seconds < _SUNG * PAIR_S or len(sung) < 4 or not 0.4 <= onsets <= _BUSIEST:
        return None
    shift = int(rng.integers(-5, 7))
    octave = -12 if np.median(sung[:, 2]) > 62 and rng.random() < 0.4 else 0
    sung[:, 2] += shift + octave
    played[:, 2] += shift
    if sung[:, 2].min() < _LOW_VOICE or sung[:, 2].max() > _HIGH_VOICE:
        return None
    return tempo, bpm, sung, played


def _cut(notes: Notes, start: float, length_q: float) -> Notes:
    inside = notes[(notes[:, 0] >= start) & (notes[:, 0] < start + length_q)].copy()
    inside[:, 0] -= start
    return inside


def _sung(
    rows: Notes, bpm: float, material: Material, font: tuple[str, Path], rng: np.random.Generator
) -> tuple[NDArray[np.float32], str]:
    notes = _sounding(rows, 0, bpm, float(rng.uniform(70, 110)), rng)
    room = _room(rng)
    length_s = PAIR_S + _LEAD_IN_S
    if rng.random() < _BY_RULE:
        dry = sing(notes, draw_singer(rng), length_s, rng)
        return room.reverberate(dry)[round(_LEAD_IN_S * SAMPLE_RATE_HZ) :][:PAIR_SAMPLES], "rule"
    program = int(rng.choice(_CHOIRS))
    choir = material.synth(*font).render(notes, [(0, program)], room, start_s=0.0, duration_s=length_s)
    return _trembling(choir, rng)[round(_LEAD_IN_S * SAMPLE_RATE_HZ) :][:PAIR_SAMPLES], f"{font[0]}/{program}"


def _trembling(waveform_T: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a waveform with vibrato: read through a delay that swings."""
    hz, cents = float(rng.uniform(4.6, 6.6)), float(rng.choice([0.0, rng.uniform(10, 60)]))
    times = np.arange(len(waveform_T)) / SAMPLE_RATE_HZ
    depth_s = (2 ** (cents / 1200) - 1) / (2 * np.pi * hz)
    read_at = times + depth_s * np.sin(2 * np.pi * hz * times + rng.uniform(0, 6.3))
    return np.interp(read_at, times, waveform_T).astype(np.float32)


def _arranged(
    rows: Notes, bpm: float, rng: np.random.Generator
) -> tuple[tuple[str, ...], list[Note], list[tuple[int, int]]]:
    """Give the keyboard's notes to one instrument, or its low ones to a bass."""
    chords = str(rng.choice(_CHORDS))
    level = float(rng.uniform(58, 105))
    bass = str(rng.choice(_BASSES)) if rng.random() < 0.3 else None
    low = rows[:, 2] < 50 if bass is not None else np.zeros(len(rows), dtype=bool)
    parts = [(chords, rows[~low])] + ([(bass, rows[low])] if bass is not None and low.any() else [])
    notes: list[Note] = []
    programs = []
    for channel, (name, part) in enumerate(parts):
        sound = SOUNDS[name]
        programs.append((channel, int(rng.choice(sound.programs))))
        moved = part.copy()
        moved[:, 2] = _into_range(moved[:, 2], sound.low, sound.high)
        notes += _sounding(moved, channel, bpm, level, rng)
    return tuple(name for name, _ in parts), notes, programs


def _into_range(pitches: NDArray[np.float32], low: int, high: int) -> NDArray[np.float32]:
    """Move each pitch by octaves until the instrument has it."""
    pitches = np.where(pitches < low, pitches + 12 * np.ceil((low - pitches) / 12), pitches)
    return np.where(pitches > high, pitches - 12 * np.ceil((pitches - high) / 12), pitches)


def _sounding(rows: Notes, channel: int, bpm: float, level: float, rng: np.random.Generator) -> list[Note]:
    """Turn quarters into seconds, with a little human unevenness."""
    seconds = 60 / bpm
    onsets = np.maximum(rows[:, 0] * seconds + rng.normal(0, 0.006, len(rows)), 0.0)
    durations = np.maximum(rows[:, 1] * seconds * rng.uniform(0.85, 1.0), 0.06)
    accents = 5.0 * (np.abs(rows[:, 0] - np.round(rows[:, 0])) < 0.05)
    velocities = np.clip(level + accents + rng.normal(0, 4, len(rows)), 20, 124)
    return [
        Note(float(t), float(d), int(p), int(v), channel)
        for t, d, p, v in zip(onsets, durations, rows[:, 2], velocities, strict=True)
    ]


def _room(rng: np.random.Generator) -> Room:
    return Room(
        decay_s=float(rng.uniform(0.25, 1.6)), dullness=float(rng.uniform(0.1, 0.9)),
        level=0.0 if rng.random() < 0.3 else float(rng.uniform(0.05, 0.5)), seed=int(rng.integers(2**32)),
    )  # fmt: skip


def _levelled(
    voice: NDArray[np.float32], accompaniment: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give the mix a loudness, and the voice from 3 dB less to 9 dB more than the accompaniment."""
    balance = float(rng.uniform(-3, 9))
    voice = unit_rms(voice) * np.float32(10 ** (balance / 40))
    accompaniment = unit_rms(accompaniment) * np.float32(10 ** (-balance / 40))
    mix = voice + accompaniment
    wanted = 10 ** (float(rng.uniform(-26, -18)) / 20) / float(np.sqrt(np.mean(mix**2)))
    loudest = max(float(np.abs(part).max()) for part in (mix, voice, accompaniment))
    gain = np.float32(min(wanted, 0.95 / loudest))
    return voice * gain, accompaniment * gain
