"""Training of the head that hears notes: cross-entropy over frames of separated and of clean voices, with noise.

Shapes: B batch, T samples, G frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.singsong.hearing import NoteHead, NoteHeadConfig, levelled, noisy, note_tokens
from models.singsong.pairs import PairSet
from models.training.draws import generator
from models.training.run import Metrics
from models.w2v_bert.model import W2vBert

_VALIDATION_PAIRS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteTrainingConfig:
    """Recipe of the head's training."""

    head: NoteHeadConfig
    manifest: str
    seed: int = 12
    batch: int = 12
    clean: float = 0.4  # share of voices that no separator touched
    noise_db: tuple[float, float] = (-40.0, -6.0)  # drawn for every item
    weight_decay: float = 0.01


class NoteTrainee:
    """The head, its optimiser, and voices with the notes they sing."""

    def __init__(
        self, config: NoteTrainingConfig, pairs: PairSet, separated_NT: NDArray[np.int16], semantic_model: W2vBert
    ) -> None:
        """Begin with new weights."""
        self.config, self.pairs, self._separated_NT, self._semantic = config, pairs, separated_NT, semantic_model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # torch's layers draw their weights from the global generator
            self.head = NoteHead(config.head)
        self.optimiser = torch.optim.AdamW(self.head.parameters(), weight_decay=config.weight_decay)
        self._training = np.array(pairs.numbers("train"))

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        rng = generator(self.config.seed, 1, step)
        numbers = rng.choice(self._training, self.config.batch)
        noise = rng.uniform(*self.config.noise_db, len(numbers))
        clean = rng.random(len(numbers)) < self.config.clean
        features_BGS, notes_BG = self._batch(numbers, noise, clean, rng)
        loss = F.cross_entropy(self.head(features_BGS).flatten(0, 1), notes_BG.flatten())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return {"nats": float(loss.detach())}

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return the share of sung frames of held-out songs whose note is heard, exactly and as a pitch class."""
        figures: Metrics = {}
        numbers = np.array(self.pairs.numbers("validation")[:_VALIDATION_PAIRS])
        for name, is_clean in (("clean", True), ("separated", False)):
            same = chroma = sung = 0
            for group in np.array_split(numbers, 8):
                features_BGS, notes_BG = self._batch(
                    group, np.full(len(group), -20.0), np.full(len(group), is_clean), generator(0, 3, 0)
                )
                found_BG = self.head(features_BGS).argmax(dim=-1)
                here = notes_BG > 0
                same += int((found_BG == notes_BG)[here].sum())
                chroma += int((((found_BG - notes_BG) % 12 == 0) & (found_BG > 0))[here].sum())
                sung += int(here.sum())
            figures |= {f"{name}_note": round(same / sung, 4), f"{name}_pitch_class": round(chroma / sung, 4)}
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return weights and the optimiser."""
        return {"head": self.head.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _batch(
        self,
        numbers: NDArray[np.int64],
        noise_db: NDArray[np.float64],
        clean: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        rate = self._semantic.config.frame_rate_hz
        voices, notes = [], []
        for number, db, is_clean in zip(numbers.tolist(), noise_db.tolist(), clean.tolist(), strict=True):
            voice = self.pairs.voice(number) if is_clean else self._separated_NT[number].astype(np.float32) / 32768
            voices.append(noisy(levelled(voice), db, int(rng.integers(2**32))))
            notes.append(note_tokens(self.pairs.pairs[number].sung, round(len(voice) / 16_000 * rate), rate))
        features_BGS = self._semantic.features(torch.from_numpy(np.stack(voices)))
        return features_BGS.clone(), torch.from_numpy(np.stack(notes))
