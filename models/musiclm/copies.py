"""Is a piece a copy of what its model was trained on? The memorisation study of MusicLM, for one piece.

A piece's semantic tokens are held against those of every training clip, ten seconds at a time: how many are, in
place, those of one clip, and how little has to be moved to turn its histogram of tokens into that of a clip
(`models.evaluation.memorisation`). The nearest of thousands is always near, held-out clips' too; so the piece stands
beside held-out clips of the same kind, none of which can be a copy, as they are by composers and from parts of
recordings that training never had. It is near to a copy if it lies nearer than all of them.

Shapes: N clips, F semantic tokens of a clip, Q of a piece, V kinds of token, D width of a centroid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.evaluation.memorisation import TrainingItems, longest_shared_run, token_distances
from models.material.clips import Clip, ClipsError, ClipSet
from models.material.synth import UNHEARD
from models.musiclm.lending import whole_tensors
from models.musiclm.model import config_from
from models.weights import ModelVersion

HELD_OUT = 100  # clips that a piece stands beside
Verdict = Literal["copy", "near", "none"]


class CopyError(ValueError):
    """A piece cannot be held against this training material; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How like a piece is to what its model was trained on."""

    clip: Clip  # the training clip that a stretch of the piece is nearest to
    begin_s: float  # where in the piece that stretch begins
    cost: float  # of the transport, in mean distances between tokens
    same: float  # largest share of a stretch's tokens that are, in place, one training clip's
    shared_run_s: float  # longest stretch, anywhere, that is token by token in any training clip
    held_out: int  # clips of the same kind that training never had
    as_near: float  # share of them that lie as near to a training clip, or nearer
    as_same: float  # share of them that have as many tokens in place, or more

    @property
    def verdict(self) -> Verdict:
        """A copy, token by token; nearer than all held-out clips; or none."""
        if self.same == 1.0:
            return "copy"
        return "near" if self.held_out and self.as_near == 0.0 else "none"


class TrainingMaterial:
    """The clips that a version was trained on, by their semantic tokens."""

    def __init__(self, version: ModelVersion, training: Path) -> None:
        """Take a MusicLM, and the folder of its training with clips/ and tokens.pt.

        Raises:
            CopyError: it is no MusicLM, or there is not what it was trained on.
            CorruptModelError: the version's files cannot be read.
        """
        if version.config.get("architecture") != "musiclm":
            raise CopyError(
                f"{version.name} makes no semantic tokens: only a MusicLM's pieces can be held against clips"
            )
        tokens = training / "tokens.pt"
        try:
            self._clips = ClipSet(training / "clips")
            tokens_NF = torch.load(tokens, weights_only=True)["semantic_NQ"].numpy()
        except ClipsError as error:
            raise CopyError(str(error)) from error
        except (OSError, KeyError, RuntimeError) as error:
            raise CopyError(
                f"{tokens} cannot be read: {error}; the step 'tokens' of the training makes it"
            ) from error
        manifest = version.card.get("training_data", {}).get("manifest")
        if manifest != self._clips.manifest_digest or len(tokens_NF) != len(self._clips):
            raise CopyError(f"{training} is not what {version.name} was trained on: its card names {manifest}")
        self._tokens_NF = tokens_NF.astype(np.int64)
        self._training = self._clips.numbers("train")
        self._rate_hz = config_from(version.config["parts"]).semantic_model.frame_rate_hz
        centres_VD = whole_tensors(version)["semantic_model.centres_CD"].float().numpy()
        self._items = TrainingItems(self._tokens_NF[self._training], token_distances(centres_VD))

    def likeness(self, semantic_Q: NDArray[np.int64], progress: Callable[[int, int], None]) -> Likeness:
        """Hold a piece's semantic tokens against all training clips.

        Args:
            semantic_Q: int64, as an asset's codes have them.
            progress: told (clips that it stands beside, of how many).
        """
        stretches = list(self._stretches(semantic_Q))
        found = [self._items.nearest(stretch_F) for _, stretch_F in stretches]
        best = min(range(len(found)), key=lambda n: found[n].cost)
        clip = self._clips.clips[self._training[found[best].item]]
        same = max(self._items.same(stretch_F) for _, stretch_F in stretches)
        length = len(stretches[best][1])
        near, alike = [], []
        beside = self._held_out(clip)
        for done, number in enumerate(beside, start=1):
            tokens_F = self._tokens_NF[number, :length]
            near.append(self._items.nearest(tokens_F).cost <= found[best].cost)
            alike.append(self._items.same(tokens_F) >= same)
            progress(done, len(beside))
        return Likeness(
            clip=clip,
            begin_s=stretches[best][0] / self._rate_hz,
            cost=found[best].cost,
            same=same,
            shared_run_s=longest_shared_run(semantic_Q, self._items.tokens_NF) / self._rate_hz,
            held_out=len(beside),
            as_near=float(np.mean(near)) if near else 1.0,
            as_same=float(np.mean(alike)) if alike else 1.0,
        )

    def _stretches(self, semantic_Q: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield (begin, tokens) of stretches as long as a clip, each half over the one before; the last ends it."""
        length = self._tokens_NF.shape[1]
        last = max(len(semantic_Q) - length, 0)
        for begin in sorted({*range(0, last, length // 2), last}):
            yield begin, semantic_Q[begin : begin + length]

    def _held_out(self, like: Clip) -> list[int]:
        """Return held-out clips of a clip's kind, evenly spread; none through the SoundFont training never had."""
        numbers = [
            clip.number
            for clip in self._clips.clips
            if clip.split == "validation" and clip.labels.kind == like.labels.kind and UNHEARD not in clip.sources
        ]
        return numbers[:: max(len(numbers) // HELD_OUT, 1)][:HELD_OUT]
