"""A folder of captioned clips: int16 audio in shards, labels and captions in JSON lines.

    clips.jsonl     one line a clip: labels, captions, sources, split
    audio/00000.npy int16 (SHARD clips, samples)

Clips of the last shards are for validation: music by held-out composers, the kept ends of the recordings, and every
second one through a SoundFont that training never hears.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.digests import digest_of_bytes
from models.material.labels import Labels, labels_from
from models.material.synth import SAMPLE_RATE_HZ

SHARD = 256
CLIP_S = 10.0
CLIP_SAMPLES = round(CLIP_S * SAMPLE_RATE_HZ)
Split = Literal["train", "validation"]


class ClipsError(Exception):
    """A folder holds no whole set of clips; the message names it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip. `sources` name scores, recordings and the SoundFont by file."""

    number: int
    split: Split
    labels: Labels
    captions: tuple[str, ...]
    sources: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the clip as JSON values."""
        return {
            "number": self.number,
            "split": self.split,
            "labels": self.labels.as_dict(),
            "captions": list(self.captions),
            "sources": list(self.sources),
        }


class ClipSet:
    """The clips of a folder; audio is read from the disk as it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Open a folder.

        Raises:
            ClipsError: its rendering was never finished.
        """
        self.folder = folder
        index = folder / "clips.jsonl"
        if not index.is_file():
            raise ClipsError(f"{index} is missing; render the clips first (tutti models render)")
        with index.open(encoding="utf-8") as lines:
            self.clips = [
                Clip(r["number"], r["split"], labels_from(r["labels"]), tuple(r["captions"]), tuple(r["sources"]))
                for r in map(json.loads, lines)
            ]
        self._shards = [np.load(path, mmap_mode="r") for path in sorted((folder / "audio").glob("*.npy"))]

    def __len__(self) -> int:
        return len(self.clips)

    def numbers(self, split: Split) -> list[int]:
        """Return the numbers of the clips of a split."""
        return [clip.number for clip in self.clips if clip.split == split]

    def waveform(self, number: int, start: int = 0, length: int = CLIP_SAMPLES) -> NDArray[np.float32]:
        """Return samples of a clip, float32 in [-1, 1)."""
        samples: NDArray[np.int16] = self._shards[number // SHARD][number % SHARD, start : start + length]
        return np.asarray(samples, dtype=np.float32) / np.float32(32768)

    @cached_property
    def manifest_digest(self) -> str:
        """The digest of the manifest: it names every source, and every shard by its digest."""
        return digest_of_bytes((self.folder / "manifest.json").read_bytes())
