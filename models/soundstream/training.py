"""Training of the codec: reconstruction and commitment losses, and adversarial ones from a given step on.

Shapes: B batch, T samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.material.clips import CLIP_SAMPLES, ClipSet
from models.soundstream.codec import SoundStream, SoundStreamConfig
from models.soundstream.discriminators import FFT_LENGTHS, Discriminators
from models.soundstream.losses import Reconstruction, Spectra
from models.training.averaging import Average
from models.training.distortion import si_sdr_db
from models.training.draws import generator, torch_generator
from models.training.run import Metrics

_AVERAGED_EVERY = 4
_BETAS = (0.8, 0.99)
_SCALES = (0, 1, 2, 3)
_MEASURED = 2  # the resolution that validation is measured at: 1024
_VALIDATION_CLIPS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecTrainingConfig:
    """Recipe of a codec's training; everything drawn is keyed by `seed` and the step.

    From `codes_fixed_from` on, encoder and codebooks stay as they are (what was coded before stays true) and only
    the decoder learns. From `adversary_from` on, discriminators join.
    """

    codec: SoundStreamConfig
    manifest: str
    seed: int = 0
    batch: int = 16
    segment: int = 16_000
    mixed: float = 0.25  # share of items that are two clips at once
    mel_weight: float = 5.0
    spectrum_weight: float = 1.0
    late_spectrum_weight: float = 1.0  # from `late_from` on: first the sound, then the waveform
    late_from: int = 10**9
    commitment_weight: float = 0.25
    hinge_weight: float = 0.1
    feature_weight: float = 0.5
    adversary_from: int = 10**9
    asked: int = len(FFT_LENGTHS)  # discriminators a step
    codes_fixed_from: int = 10**9
    adversary_rate: float = 3e-4
    weight_decay: float = 0.01
    averaging: float = 0.995
    start: str = ""  # the digest of the version that it goes on from
    dtype: str = "bfloat16"  # of the perceptrons; the rest is float32


class CodecTrainee:
    """Codec, discriminators, their optimisers, and the clips they learn from."""

    def __init__(
        self, config: CodecTrainingConfig, clips: ClipSet, device: str = "cpu", start: SoundStream | None = None
    ) -> None:
        """Begin with new weights, or with those of `start`."""
        self.config, self.clips, self.device = config, clips, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # torch's layers draw their weights from the global generator
            self.codec = SoundStream(config.codec)
            if start is not None:
                self.codec.load_state_dict(start.state_dict())
            self.codec.to(self.device)
            self.discriminators = Discriminators().to(self.device)
        self.reconstruction = Reconstruction(config.codec.sample_rate_hz).to(self.device)
        self.average = Average(self.codec, config.averaging**_AVERAGED_EVERY)
        self.optimiser = torch.optim.AdamW(
            self.codec.parameters(), weight_decay=config.weight_decay, betas=_BETAS, fused=True
        )
        self.adversary = torch.optim.AdamW(
            self.discriminators.parameters(), lr=config.adversary_rate, betas=_BETAS, fused=True
        )
        self._training = clips.numbers("train")
        self._validation = clips.numbers("validation")[
            :: max(len(clips.numbers("validation")) // _VALIDATION_CLIPS, 1)
        ]

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        target_BT = self._batch(step).to(self.device)
        rng = generator(config.seed, 1, step)
        scales = sorted({_MEASURED, int(rng.choice(_SCALES)), int(rng.choice(_SCALES))})
        made_BT, commitment, used = self._reconstruct(target_BT, step)
        losses = self.reconstruction(made_BT, target_BT, scales)
        spectrum_weight = config.late_spectrum_weight if step >= config.late_from else config.spectrum_weight
        total = (
            config.mel_weight * losses.mel + spectrum_weight * losses.spectrum + config.commitment_weight * commitment
        )
        figures = {"mel": losses.mel, "spectrum": losses.spectrum, "commitment": commitment, "used": used}
        asked = sorted(rng.choice(len(FFT_LENGTHS), config.asked, replace=False).tolist())
        if step >= config.adversary_from:
            adversarial = self.discriminators.of_generator(made_BT, target_BT, asked)
            total = total + config.hinge_weight * adversarial.hinge + config.feature_weight * adversarial.features
            figures |= {"hinge": adversarial.hinge, "features": adversarial.features}
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.codec.parameters(), 1.0)
        self.optimiser.step()
        if step >= config.adversary_from:
            self.adversary.zero_grad(set_to_none=True)
            loss = self.discriminators.of_themselves(made_BT, target_BT, asked)
            loss.backward()  # type: ignore[no-untyped-call]
            self.adversary.step()
            figures["discriminators"] = loss
        if step % _AVERAGED_EVERY == 0:
            self.average.follow(self.codec, step // _AVERAGED_EVERY)
        return {name: float(value.detach()) for name, value in figures.items()}

    def _reconstruct(self, target_BT: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return made_BT, the commitment loss, and the share of entries in use."""
        config, codec = self.config, self.codec
        autocast = torch.autocast(self.device.type, getattr(torch, config.dtype), enabled=config.dtype != "float32")
        if step >= config.codes_fixed_from:
            with torch.no_grad(), autocast:
                z_BFD = codec.encoder(target_BT).float()
                z_BFD = codec.quantiser.decode(codec.quantiser.encode(z_BFD))
            with autocast:
                return codec.decoder(z_BFD), target_BT.new_zeros(()), target_BT.new_zeros(())
        rng = generator(config.seed, 2, step)
        used = np.where(
            rng.random(config.batch) < 0.5,
            codec.config.codebooks,
            rng.integers(1, codec.config.codebooks + 1, config.batch),
        )
        with autocast:
            z_BFD = codec.encoder(target_BT)
        quantised = codec.quantiser.quantise(
            z_BFD.float(), torch.from_numpy(used).to(self.device), torch_generator(config.seed, 3, step)
        )
        with autocast:
            made_BT = codec.decoder(quantised.z_BFD)
        return made_BT, quantised.commitment, quantised.used_K.mean()

    def _batch(self, step: int) -> Tensor:
        rng = generator(self.config.seed, 0, step)
        return torch.from_numpy(np.stack([self._item(rng) for _ in range(self.config.batch)]))

    def _item(self, rng: np.random.Generator) -> np.ndarray:
        item = self._segment(rng)
        if rng.random() < self.config.mixed:
            item = 0.6 * item + 0.4 * self._segment(rng)
        peak = max(float(np.abs(item).max()), 1e-4)
        gain = min(float(10 ** (rng.uniform(-12, 10) / 20)), 0.98 / peak)
        return (item * np.float32(gain * rng.choice((-1, 1)))).astype(np.float32)

    def _segment(self, rng: np.random.Generator) -> np.ndarray:
        number = self._training[int(rng.integers(len(self._training)))]
        start = int(rng.integers(CLIP_SAMPLES - self.config.segment + 1))
        return self.clips.waveform(number, start, self.config.segment)

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return the averaged codec's mel distance (80 bands, FFT 1024) and SI-SDR on held-out music and ambience."""
        found: dict[str, list[float]] = {}
        codec = self.average.module
        assert isinstance(codec, SoundStream)
        scale = self.reconstruction.scales[_MEASURED]
        assert isinstance(scale, Spectra)
        for number in self._validation:
            kind = "ambience" if self.clips.clips[number].labels.kind == "scene" else "music"
            target = torch.from_numpy(self.clips.waveform(number))[None].to(self.device)
            made = codec.decode(codec.encode(target))
            mel = (scale.log_mel(scale(made)) - scale.log_mel(scale(target))).abs().mean()
            found.setdefault(f"{kind}_mel", []).append(float(mel))
            found.setdefault(f"{kind}_si_sdr_db", []).append(si_sdr_db(made[0], target[0]))
        return {name: round(float(np.mean(values)), 4) for name, values in found.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return weights, averages, the quantiser's sums and the optimisers."""
        return {
            "codec": self.codec.state_dict(),
            "following": self.codec.quantiser.following(),
            "average": self.average.module.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "adversary": self.adversary.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.codec.load_state_dict(state["codec"])
        self.codec.quantiser.follow_on(state["following"])
        self.average.module.load_state_dict(state["average"])
        self.discriminators.load_state_dict(state["discriminators"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.adversary.load_state_dict(state["adversary"])
