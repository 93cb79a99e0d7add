"""What an accompaniment should sound on at each time, guessed from what is sung: the guide of both stages.

SingSong learns from 46,000 hours which harmony goes with a voice. Here that is a model of its own, which learns it
from notes alone and in all keys: the chroma of the accompaniment and how much begins, frame by frame. The stages are
guided by it, and in training half of the time by the true accompaniment's, which they learn to follow quickly.

Shapes: B batch, G frames, A tokens of a frame, H = 13 values of the guide (12 pitch classes, onsets), E width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.singsong.encoder import EncoderConfig, VocalEncoder
from models.singsong.features import chroma, onset_strength
from models.training.averaging import Average
from models.training.draws import generator
from models.training.run import Metrics

GUIDE = 13
_SMOOTHED_S = 0.4
_VALIDATION_BATCHES = 4


class Harmony(nn.Module):
    """Vocals' tokens to a guide."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config, self.encoder = config, VocalEncoder(config)
        self.out = nn.Linear(config.width, GUIDE)

    def logits(self, vocals_BGA: Tensor) -> Tensor:
        """Return logits_BGH; of a frame's tokens the last are heard, as many as the encoder has codebooks."""
        return cast(Tensor, self.out(self.encoder(vocals_BGA[..., -self.config.codebooks :])))

    def forward(self, vocals_BGA: Tensor) -> Tensor:
        """Return guide_BGH: shares of the pitch classes, which sum to 1, and the strength of onsets, 0 to 1."""
        logits_BGH = self.logits(vocals_BGA).float()
        return torch.cat([logits_BGH[..., :12].softmax(dim=-1), logits_BGH[..., 12:].sigmoid()], dim=-1)


def decided(guess_GH: Tensor, power: float, pulse_G: Tensor) -> Tensor:
    """Return a guess made a guide: pitch classes raised to a power, and the pulse in place of the guessed onsets.

    A guess is a mean over what might be, so flatter than anything that is.
    """
    classes = guess_GH[..., :12] ** power
    return torch.cat([classes / classes.sum(dim=-1, keepdim=True).clamp_min(1e-9), pulse_G[..., None]], dim=-1)


def true_guide(
    accompaniment_T: NDArray[np.float32], sample_rate_hz: int, frame_rate_hz: float
) -> NDArray[np.float32]:
    """Return guide_GH of an accompaniment itself."""
    frames = round(len(accompaniment_T) / sample_rate_hz * frame_rate_hz)
    width = max(round(_SMOOTHED_S * frame_rate_hz), 1)
    classes = chroma(accompaniment_T, sample_rate_hz, frame_rate_hz)[:frames]
    smooth = np.stack([np.convolve(row, np.ones(width) / width, mode="same") for row in classes.T], axis=1)
    sums = smooth.sum(axis=1, keepdims=True)
    smooth = np.where(sums > 1e-6, smooth / np.maximum(sums, 1e-6), 1 / 12)
    onsets = onset_strength(accompaniment_T, sample_rate_hz, frames)
    return np.concatenate([smooth, onsets[:, None]], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmonyTrainingConfig:
    """Recipe of the training. With `transposed` the one token of a frame is a note, and is learnt in all keys."""

    encoder: EncoderConfig
    manifest: str
    seed: int = 15
    batch: int = 16
    transposed: bool = True
    averaging: float = 0.99
    weight_decay: float = 0.05


class HarmonyTrainee:
    """The model, its optimiser, and vocals with the guides of their accompaniments."""

    def __init__(
        self,
        config: HarmonyTrainingConfig,
        vocals: Sequence[Tensor],
        guides_NGH: Tensor,
        training: Sequence[int],
        validation: Sequence[int],
    ) -> None:
        """Take one or several hearings of the vocals, vocals_NGA, and the guide of every accompaniment."""
        self.config, self._vocals, self._guides_NGH = config, vocals, guides_NGH
        self._training, self._validation = np.array(training), np.array(validation)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # torch's layers draw their weights from the global generator
            self.model = Harmony(config.encoder)
        self.average = Average(self.model, config.averaging)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), weight_decay=config.weight_decay)

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        rng = generator(self.config.seed, 1, step)
        chosen = torch.from_numpy(rng.choice(self._training, self.config.batch))
        vocals, guide = self._batch(chosen, rng)
        if self.config.transposed:
            steps = torch.from_numpy(rng.integers(-6, 6, self.config.batch))
            vocals, guide = _transposed(vocals, steps, self.config.encoder.entries), _rolled(guide, steps)
        loss = _loss(self.model, vocals, guide).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.average.follow(self.model, step)
        return {"nats": float(loss.detach())}

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return what pitch classes cost beyond knowing them, and what they cost without hearing anything."""
        model = cast(Harmony, self.average.module)
        told, untold, onsets = [], [], []
        for number in range(_VALIDATION_BATCHES):
            rng = generator(self.config.seed, 2, number)
            vocals, guide = self._batch(torch.from_numpy(rng.choice(self._validation, self.config.batch)), rng)
            nats = _loss(model, vocals, guide)
            sure = guide[..., :12].clamp_min(1e-9)
            entropy = float(-(sure * sure.log()).sum(dim=-1).mean())
            told.append(float(nats[0]) - entropy)
            untold.append(float(np.log(12)) - entropy)
            onsets.append(float(nats[1]))
        return {
            "chroma_divergence": round(float(np.mean(told)), 4),
            "flat_divergence": round(float(np.mean(untold)), 4),
            "onsets": round(float(np.mean(onsets)), 4),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return weights, averages and the optimiser."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _batch(self, chosen: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        hearing = self._vocals[int(rng.integers(len(self._vocals)))]
        return hearing[chosen].long()[..., -self.config.encoder.codebooks :], self._guides_NGH[chosen].float()


def _loss(model: Harmony, vocals_BGA: Tensor, guide_BGH: Tensor) -> Tensor:
    """Return the cross-entropy of pitch classes and that of onsets."""
    logits_BGH = model.logits(vocals_BGA)
    classes = -(guide_BGH[..., :12] * logits_BGH[..., :12].log_softmax(dim=-1)).sum(dim=-1).mean()
    return torch.stack([classes, F.binary_cross_entropy_with_logits(logits_BGH[..., 12], guide_BGH[..., 12])])


def _transposed(notes_BG1: Tensor, steps_B: Tensor, entries: int) -> Tensor:
    """Move notes by semitones, by octaves back into what can be told; 0 stays none."""
    moved = notes_BG1 + steps_B[:, None, None]
    moved = torch.where(moved < 1, moved + 12, torch.where(moved >= entries, moved - 12, moved))
    return torch.where(notes_BG1 > 0, moved, 0)


def _rolled(guide_BGH: Tensor, steps_B: Tensor) -> Tensor:
    at = (torch.arange(12)[None] - steps_B[:, None]) % 12
    classes = guide_BGH[..., :12].gather(2, at[:, None].expand(-1, guide_BGH.shape[1], -1))
    return torch.cat([classes, guide_BGH[..., 12:]], dim=-1)
