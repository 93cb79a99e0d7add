"""Training of the separator: mixes of pairs, compared by the voice's magnitudes.

Shapes: B batch, T samples, F frames, W bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.singsong.pairs import PAIR_SAMPLES, PairSet
from models.singsong.separator import Separator, SeparatorConfig
from models.training.averaging import Average
from models.training.distortion import si_sdr_db
from models.training.draws import generator
from models.training.run import Metrics

_AVERAGED_EVERY = 4
_VALIDATION_PAIRS = 32
_EXPONENT = 0.5  # magnitudes are compared under a root: quiet bins count


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparatorTrainingConfig:
    """Recipe of a separator's training; everything drawn is keyed by `seed` and the step."""

    separator: SeparatorConfig
    manifest: str
    seed: int = 11
    batch: int = 8
    segment: int = 64_000
    remixed: float = 0.3  # share of items whose accompaniment is another song's
    averaging: float = 0.995
    weight_decay: float = 0.001


class SeparatorTrainee:
    """A separator, its optimiser, and pairs to mix."""

    def __init__(self, config: SeparatorTrainingConfig, pairs: PairSet, device: str = "cpu") -> None:
        """Begin with new weights."""
        self.config, self.pairs, self.device = config, pairs, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # torch's layers draw their weights from the global generator
            self.separator = Separator(config.separator).to(self.device)
        self.average = Average(self.separator, config.averaging**_AVERAGED_EVERY)
        self.optimiser = torch.optim.AdamW(self.separator.parameters(), weight_decay=config.weight_decay)
        self._training = np.array(pairs.numbers("train"))

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        mix_BT, voice_BT = self._batch(generator(self.config.seed, 1, step))
        loss = self._loss(self.separator, mix_BT, voice_BT)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.separator.parameters(), 1.0)
        self.optimiser.step()
        if step % _AVERAGED_EVERY == 0:
            self.average.follow(self.separator, step // _AVERAGED_EVERY)
        return {"distance": float(loss.detach())}

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return the ratio of signal to distortion on held-out songs, beside that of doing nothing."""
        separator = cast(Separator, self.average.module)
        separated, untouched = [], []
        for number in self.pairs.numbers("validation")[:_VALIDATION_PAIRS]:
            voice = torch.from_numpy(self.pairs.voice(number))
            mix = voice + torch.from_numpy(self.pairs.accompaniment(number))
            separated.append(si_sdr_db(separator.voice(mix[None].to(self.device))[0].cpu(), voice))
            untouched.append(si_sdr_db(mix, voice))
        return {
            "voice_si_sdr_db": round(float(np.mean(separated)), 2),
            "mix_si_sdr_db": round(float(np.mean(untouched)), 2),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return weights, averages and the optimiser."""
        return {
            "separator": self.separator.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.separator.load_state_dict(state["separator"])
        self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _loss(self, separator: Separator, mix_BT: Tensor, voice_BT: Tensor) -> Tensor:
        spectrum_BFW = separator.spectrum(mix_BT)
        found = (spectrum_BFW.abs() * separator.mask(spectrum_BFW)).clamp_min(1e-6) ** _EXPONENT
        return F.mse_loss(found, separator.spectrum(voice_BT).abs().clamp_min(1e-6) ** _EXPONENT)

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        config, voices, mixes = self.config, [], []
        for number in rng.choice(self._training, config.batch):
            other = int(rng.choice(self._training)) if rng.random() < config.remixed else int(number)
            start = int(rng.integers(PAIR_SAMPLES - config.segment + 1))
            span = slice(start, start + config.segment)
            gain = np.float32(10 ** (rng.uniform(-8, 4) / 20))
            voice = gain * self.pairs.voice(int(number))[span]
            balance = np.float32(10 ** (rng.uniform(-4, 4) / 20))
            voices.append(voice)
            mixes.append(voice + gain * balance * self.pairs.accompaniment(other)[span])
        return tuple(torch.from_numpy(np.stack(part)).to(self.device) for part in (mixes, voices))  # type: ignore[return-value]
