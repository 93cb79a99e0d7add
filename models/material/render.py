"""Renders a set of captioned clips: a plan by counter, shards side by side, and a manifest of every source.

A shard depends on (seed, shard) alone; one that is there is not made again, so an interrupted rendering goes on.
What is drawn for a clip is keyed by its number. FluidSynth keeps a little of what it played before (under its reset),
so each shard begins with synths of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.material.ambience import Recording, read_ambience, scene_clip
from models.material.captions import caption
from models.material.clips import CLIP_S, CLIP_SAMPLES, SHARD, Clip, Split
from models.material.croissant import write_manifest
from models.material.labels import Kind, Labels, labels_from
from models.material.level import unit_rms
from models.material.performance import Performance, UnplayableError, perform
from models.material.scores import Piece, read_scores
from models.material.synth import UNHEARD, Synth, training_soundfonts, unheard_soundfont
from models.whole_files import whole_file, write_whole

CAPTIONS = 6  # for each clip
_KINDS: dict[Kind, float] = {
    "solo": 0.38, "ensemble": 0.18, "band": 0.18, "drums": 0.05, "scene": 0.12, "scene and music": 0.09,
}  # fmt: skip
_DRAWS = 40  # performances drawn for one clip before rendering gives up


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderConfig:
    """How many clips: whole shards, the last of them for validation."""

    shards: int = 38
    validation_shards: int = 4
    seed: int = 0

    def split(self, shard: int) -> Split:
        """Return what the clips of a shard are for."""
        return "validation" if shard >= self.shards - self.validation_shards else "train"


def render(
    config: RenderConfig, data: Path, out: Path, workers: int, progress: Callable[[str, int, int], None]
) -> Path:
    """Render all clips into `out` and return its manifest.

    Args:
        config: how many, and the seed.
        data: the folder with openscore-lieder, openscore-quartets and ambience.
        out: where the clips go.
        workers: processes.
        progress: told (phase, done, of how many).

    Raises:
        CorpusError: scores are missing.
        AmbienceError: recordings are missing.
        SynthError: FluidSynth or a SoundFont is missing.
    """
    training_soundfonts()
    recordings = read_ambience(data / "ambience")
    pieces = read_scores(data, out, workers, lambda done, total: progress("scores", done, total))
    (out / "audio").mkdir(parents=True, exist_ok=True)
    jobs = [(config, number, data, out) for number in range(config.shards)]
    with ProcessPoolExecutor(workers, initializer=load_material, initargs=(data, out)) as pool:
        for done, _ in enumerate(pool.map(_render_shard, jobs), start=1):
            progress("clips", done * SHARD, config.shards * SHARD)
    with whole_file(out / "clips.jsonl") as lines:
        for number in range(config.shards):
            lines.write(_index(out, number).read_bytes())
    return write_manifest(out, pieces, recordings)


@dataclass(slots=True)
class Material:
    """What a process keeps: pieces and recordings, and the SoundFonts it has used so far."""

    training: list[Piece]
    held_out: list[Piece]
    recordings: list[Recording]
    synths: dict[str, Synth]

    def synth(self, name: str, path: Path) -> Synth:
        """Return a SoundFont's synth, loaded at its first use."""
        if name not in self.synths:
            self.synths[name] = Synth(path)
        return self.synths[name]


_material: Material | None = None  # one a process, made by the pool's initialiser


def material() -> Material:
    """Return what this process keeps."""
    assert _material is not None
    return _material


def load_material(data: Path, out: Path) -> None:
    """Read all material into this process."""
    global _material
    pieces = read_scores(data, out, 1, lambda _done, _total: None)
    _material = Material(
        [p for p in pieces if not p.held_out], [p for p in pieces if p.held_out], read_ambience(data / "ambience"), {}
    )


def _index(out: Path, shard: int) -> Path:
    return out / "audio" / f"{shard:05d}.jsonl"


def _render_shard(job: tuple[RenderConfig, int, Path, Path]) -> None:
    config, shard, _, out = job
    if _index(out, shard).is_file():
        return
    material().synths.clear()
    split = config.split(shard)
    samples = np.zeros((SHARD, CLIP_SAMPLES), dtype=np.int16)
    clips = []
    for row in range(SHARD):
        clip, waveform = make_clip(config.seed, shard * SHARD + row, split, material())
        samples[row] = np.round(waveform * 32767).astype(np.int16)
        clips.append(json.dumps(clip.as_dict(), ensure_ascii=False) + "\n")
    with whole_file(out / "audio" / f"{shard:05d}.npy") as file:
        np.save(file, samples)
    write_whole(_index(out, shard), "".join(clips))


@dataclass(slots=True)
class Drawn:
    """What a clip is: its kind, the notes of its music if it has any, and the generator for all that follows."""

    kind: Kind
    performance: Performance | None
    rng: np.random.Generator


def drawn(seed: int, number: int, split: Split, material: Material) -> Drawn:
    """Draw a clip: (seed, number) decide what is played."""
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, number]))
    kind = list(_KINDS)[int(rng.choice(len(_KINDS), p=np.array(list(_KINDS.values()))))]
    pieces = material.held_out if split == "validation" else material.training
    return Drawn(kind, None if kind == "scene" else _draw(kind, pieces, rng), rng)


def make_clip(seed: int, number: int, split: Split, material: Material) -> tuple[Clip, NDArray[np.float32]]:
    """Make one clip, and what is told of it."""
    clip = drawn(seed, number, split, material)
    kind, performance, rng = clip.kind, clip.performance, clip.rng
    held_out = split == "validation"
    sources: list[str] = []
    waveform = np.zeros(CLIP_SAMPLES, dtype=np.float32)
    labels = Labels(kind=kind)
    if performance is not None:
        name, path = _soundfont(rng, held_out)
        waveform = unit_rms(_play(material.synth(name, path), performance))
        sources += [*performance.sources, name]
        labels = performance.labels
    if kind in ("scene", "scene and music"):
        recording = material.recordings[int(rng.integers(len(material.recordings)))]
        scene = unit_rms(scene_clip(recording, CLIP_S, rng, held_out=held_out))
        level = 1.0 if kind == "scene" else float(10 ** (rng.uniform(-9, 4) / 20))
        waveform = waveform + level * scene
        sources.append(recording.file)
        labels = labels_from(labels.as_dict() | {"kind": kind, "scenes": (recording.scene,)})
    loudness = {"soft": -29.0, "loud": -17.0}.get(labels.loudness or "", -23.0) + float(rng.uniform(-3, 3))
    waveform = unit_rms(waveform) * np.float32(10 ** (loudness / 20))
    waveform = waveform * np.float32(min(1.0, 0.95 / max(float(np.abs(waveform).max()), 1e-6)))
    captions = tuple(caption(labels, rng) for _ in range(CAPTIONS))
    return Clip(number, split, labels, captions, tuple(sources)), waveform


def _draw(kind: Kind, pieces: list[Piece], rng: np.random.Generator) -> Performance:
    for _ in range(_DRAWS):
        inner = kind
        if inner == "scene and music":
            inner = "solo" if rng.random() < 0.6 else "ensemble"
        try:
            return perform(inner, pieces, CLIP_S, rng)  # type: ignore[arg-type]  # "scene" never comes here
        except UnplayableError:
            continue
    raise UnplayableError(f"no {kind} in {_DRAWS} draws: too few scores?")


def _soundfont(rng: np.random.Generator, held_out: bool) -> tuple[str, Path]:
    if held_out and rng.random() < 0.5:
        return UNHEARD, unheard_soundfont()
    fonts = list(training_soundfonts().items())
    return fonts[int(rng.integers(len(fonts)))]


def _play(synth: Synth, performance: Performance) -> NDArray[np.float32]:
    return synth.render(
        performance.notes, performance.programs, performance.room, start_s=performance.start_s, duration_s=CLIP_S
    )
