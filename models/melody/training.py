"""Training of the net that hears melodies, on clips whose notes are known.

Shapes: B batch, T samples, F frames, P pitches and a rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.material.clips import CLIP_SAMPLES, ClipSet
from models.melody.contour import FIRST, REST, UNTOLD, Classes
from models.melody.model import HOP_LENGTH, MelodyNet, MelodyNetConfig, small
from models.training.averaging import Average
from models.training.draws import generator
from models.training.run import Metrics

_AVERAGED_EVERY = 4
_VALIDATION_BATCHES = 12
_NOISE_DB = (-60.0, -12.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MelodyTrainingConfig:
    """Recipe of the training."""

    manifest: str
    model: MelodyNetConfig = field(default_factory=small)
    seed: int = 21
    batch: int = 12
    frames: int = 100
    weight_decay: float = 0.01
    averaging: float = 0.998


class MelodyTrainee:
    """The net, its optimiser, and the clips it learns from: those with a melody."""

    def __init__(
        self, config: MelodyTrainingConfig, clips: ClipSet, melodies_NF: Classes, device: str = "cpu"
    ) -> None:
        """Take the clips and their melodies, by number."""
        self.config, self.clips, self.device = config, clips, torch.device(device)
        self._melodies_NF = melodies_NF
        sung = set(np.flatnonzero((melodies_NF != UNTOLD).any(axis=1)).tolist())
        self._training = [n for n in clips.numbers("train") if n in sung]
        self._validation = [n for n in clips.numbers("validation") if n in sung]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.net = MelodyNet(config.model).to(self.device)
        self.average = Average(self.net, config.averaging**_AVERAGED_EVERY)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), weight_decay=config.weight_decay, fused=True)

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.net.train()
        x_BT, wanted_BF = self._batch(self._training, 0, step)
        loss = F.cross_entropy(self.net(x_BT).flatten(0, 1), wanted_BF.flatten(), label_smoothing=0.05)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        if step % _AVERAGED_EVERY == 0:
            self.average.follow(self.net, step // _AVERAGED_EVERY)
        return {"nats": float(loss.detach())}

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return the share of frames of held-out clips heard right, and right but for the octave."""
        right, chroma = [], []
        for number in range(_VALIDATION_BATCHES):
            x_BT, wanted_BF = self._batch(self._validation, 1, number)
            heard_BF = self.average.module(x_BT).argmax(dim=-1)
            right.append((heard_BF == wanted_BF).float().mean())
            same = (heard_BF > 0) & (wanted_BF > 0) & ((heard_BF - wanted_BF) % 12 == 0)
            chroma.append((same | (heard_BF == wanted_BF)).float().mean())
        return {
            "validation_right": round(float(torch.stack(right).mean()), 4),
            "validation_chroma": round(float(torch.stack(chroma).mean()), 4),
        }

    def _batch(self, numbers: list[int], purpose: int, step: int) -> tuple[Tensor, Tensor]:
        config, rng = self.config, generator(self.config.seed, purpose, step)
        sounds, melodies = [], []
        for _ in range(config.batch):
            number = numbers[int(rng.integers(len(numbers)))]
            first = int(rng.integers(CLIP_SAMPLES // HOP_LENGTH - config.frames + 1))
            sound_T = self.clips.waveform(number, first * HOP_LENGTH, config.frames * HOP_LENGTH)
            level = np.sqrt(np.mean(sound_T**2)) * 10 ** (rng.uniform(*_NOISE_DB) / 20)
            sounds.append(sound_T + (rng.standard_normal(len(sound_T)) * level).astype(np.float32))
            melodies.append(self._melodies_NF[number, first : first + config.frames])
        classes_BF = torch.from_numpy(np.stack(melodies)).long()
        wanted_BF = torch.where(classes_BF <= REST, 0, classes_BF - FIRST + 1)
        return torch.from_numpy(np.stack(sounds)).to(self.device), wanted_BF.to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, averages and the optimiser."""
        return {
            "net": self.net.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.net.load_state_dict(state["net"])
        self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
