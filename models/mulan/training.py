"""Training of the towers by contrast, then of the quantiser over the vectors of both.

The loss begins at ln(batch); one that stays there has collapsed (all vectors alike), which the figure `spread`,
the mean distance between vectors of different clips, tells at once.

Shapes: B batch, E joint width, S sentence width, N vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.material.clips import CLIP_SAMPLES, ClipSet
from models.mulan.model import Mulan, MulanConfig
from models.mulan.sentences import Sentences
from models.training.averaging import Average
from models.training.draws import generator, torch_generator
from models.training.run import Metrics
from models.w2v_bert.kmeans import kmeans

_AVERAGED_EVERY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MulanTrainingConfig:
    """Recipe of the training."""

    model: MulanConfig
    manifest: str
    seed: int = 2
    batch: int = 48
    segment: int = 143_360  # 8.96 s: crops of clips, so that no two are alike
    noise: float = 0.02  # added to sentence vectors, so that near words land near
    weight_decay: float = 0.05
    averaging: float = 0.99
    dtype: str = "bfloat16"
    quantiser_iterations: int = 30


class MulanTrainee:
    """Towers, their optimiser, and clips with their captions' vectors."""

    def __init__(
        self, config: MulanTrainingConfig, clips: ClipSet, captions_NCS: Tensor, device: str = "cpu"
    ) -> None:
        """Take clips and the sentence vectors of their captions, C for each clip (`caption_vectors`)."""
        self.config, self.clips, self.device = config, clips, torch.device(device)
        self.captions_NCS = captions_NCS
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = Mulan(config.model).to(self.device)
        self.average = Average(self.model, config.averaging**_AVERAGED_EVERY)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), weight_decay=config.weight_decay, betas=(0.9, 0.98), fused=True
        )
        self._training, self._validation = clips.numbers("train"), clips.numbers("validation")

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        rng = generator(config.seed, 0, step)
        numbers = rng.choice(self._training, config.batch, replace=False)
        audio, sentences = [], []
        for number in numbers:
            start = int(rng.integers(CLIP_SAMPLES - config.segment + 1))
            audio.append(
                self.clips.waveform(int(number), start, config.segment) * np.float32(10 ** (rng.uniform(-8, 8) / 20))
            )
            sentences.append(self.captions_NCS[number, int(rng.integers(self.captions_NCS.shape[1]))])
        noise = torch.randn(config.batch, sentences[0].shape[-1], generator=torch_generator(config.seed, 1, step))
        sentence_BS = (torch.stack(sentences) + config.noise * noise).to(self.device)
        mel = self.model.audio.mel(torch.from_numpy(np.stack(audio)).to(self.device))
        autocast = torch.autocast(self.device.type, getattr(torch, config.dtype), enabled=config.dtype != "float32")
        with autocast:
            audio_BE = self.model.audio.of_mel(mel)
        text_BE = self.model.text(sentence_BS)
        scores_BB = self.model.similarity(audio_BE, text_BE)
        same = torch.arange(len(scores_BB), device=self.device)
        loss = (F.cross_entropy(scores_BB, same) + F.cross_entropy(scores_BB.T, same)) / 2
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        if step % _AVERAGED_EVERY == 0:
            self.average.follow(self.model, step // _AVERAGED_EVERY)
        spread = 1 - (audio_BE @ audio_BE.T).detach().mean()
        return {
            "loss": float(loss.detach()),
            "spread": float(spread),
            "scale": float(self.model.log_scale.detach().exp()),
        }

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return recall@10 of held-out clips from their first caption, and how many there are."""
        model = self.average.module
        assert isinstance(model, Mulan)
        audio_NE = self.audio_vectors(self._validation)
        text_NE = model.text(self.captions_NCS[self._validation, 0].to(self.device))
        scores_NN = text_NE @ audio_NE.T
        rank_N = (scores_NN > scores_NN.diagonal()[:, None]).sum(dim=1)
        return {"recall_at_10": round(float((rank_N < 10).float().mean()), 4), "pairs": len(self._validation)}

    def audio_vectors(self, numbers: list[int]) -> Tensor:
        """Return the averaged audio tower's vectors of whole clips."""
        model = self.average.module
        assert isinstance(model, Mulan)
        return torch.stack(
            [model.embed_audio(torch.from_numpy(self.clips.waveform(n)).to(self.device)) for n in numbers]
        )

    @torch.inference_mode()
    def quantise(self, progress: Callable[[int, int], None]) -> Mulan:
        """Fit the codebooks by k-means, level by level, to vectors of training clips and of their captions."""
        config, model = self.config, self.average.module
        assert isinstance(model, Mulan)
        audio = []
        for done, number in enumerate(self._training, start=1):
            audio.append(self.audio_vectors([number]))
            progress(done, len(self._training))
        text = [model.text(self.captions_NCS[self._training, c].to(self.device)) for c in range(2)]
        rest_NE = torch.cat([*audio, *text])
        for level in range(config.model.codebooks):
            centres = kmeans(
                rest_NE, config.model.entries, iterations=config.quantiser_iterations,
                random=torch_generator(config.seed, 3, level),
            )  # fmt: skip
            model.quantiser.codebooks_KVD[level] = centres
            nearest = (2 * rest_NE @ centres.T - centres.square().sum(dim=1)).argmax(dim=1)
            rest_NE = rest_NE - centres[nearest]
        return model

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


def caption_vectors(clips: ClipSet, sentences: Sentences, progress: Callable[[int, int], None]) -> Tensor:
    """Return the sentence vectors of every caption of every clip, (N, C, S)."""
    rows = []
    for start in range(0, len(clips), 256):
        some = clips.clips[start : start + 256]
        vectors = sentences.many([text for clip in some for text in clip.captions])
        rows.append(vectors.view(len(some), -1, vectors.shape[-1]))
        progress(min(start + 256, len(clips)), len(clips))
    return torch.cat(rows)
