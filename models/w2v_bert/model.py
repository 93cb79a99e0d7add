"""w2v-BERT: a contrastive module below a masked-prediction module (Chung et al. 2021, section 3).

Masked frames are to be told from other frames of the clip (contrastive, as in wav2vec 2.0), and their codes of a
learnt codebook predicted (as in BERT). The codebook follows the log-mel frames by an exponential average, as the
codec's does, not by a Gumbel softmax: that one did not leave chance within 350 steps here. Semantic tokens are
k-means classes of an intermediate layer of the masked-prediction module (Borsos et al. 2022, section III-B).

Shapes: B batch, T samples, F frames at 25 Hz, D width, G codebooks, V entries, S stacked bands, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.mel import LogMel, MelConfig
from models.soundstream.quantiser import ResidualVQ
from models.transformer import TrunkConfig, rotary_table
from models.w2v_bert.conformer import ConformerBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class W2vBertConfig:
    """Size of the model. `mel` frames are stacked `stacking` at a time: 100 Hz become 25 Hz."""

    mel: MelConfig
    stacking: int = 4
    width: int
    heads: int
    contrastive_layers: int
    masked_layers: int
    semantic_layer: int  # of all layers, from 1
    codebooks: int = 2
    entries: int = 256
    target_width: int = 128
    dropout: float = 0.0
    classes: int = 1024  # semantic tokens

    @property
    def frame_rate_hz(self) -> float:
        """Semantic tokens a second."""
        return self.mel.sample_rate_hz / self.mel.hop_length / self.stacking


def small() -> W2vBertConfig:
    """Return the size that ships: 5 million parameters."""
    return W2vBertConfig(
        mel=MelConfig(sample_rate_hz=16_000, fft_length=640, hop_length=160, bands=80),
        width=192, heads=4, contrastive_layers=3, masked_layers=4, semantic_layer=5, classes=512,
    )  # fmt: skip


def paper() -> W2vBertConfig:
    """Return w2v-BERT XL's size, layer 7 of its masked-prediction module, 1024 classes (MusicLM, section 4.1)."""
    return W2vBertConfig(
        mel=MelConfig(sample_rate_hz=16_000, fft_length=640, hop_length=160, bands=80),
        width=1024, heads=16, contrastive_layers=12, masked_layers=12, semantic_layer=19,
        entries=1024, target_width=1024,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class W2vBertLosses:
    """Losses of one batch, in nats, and the share of entries that were chosen."""

    contrastive: Tensor
    masked: Tensor
    used: Tensor


class W2vBert(nn.Module):
    """Log-mel to contextual frames; k-means centres beside the weights."""

    centres_CD: Tensor
    scale_D: Tensor
    shift_D: Tensor

    def __init__(self, config: W2vBertConfig) -> None:
        super().__init__()
        self.config = config
        self.mel = LogMel(config.mel)
        stacked = config.stacking * config.mel.bands
        self.into = nn.Linear(stacked, config.width)
        self.mask_D = nn.Parameter(torch.randn(config.width) * 0.1)
        layers = config.contrastive_layers + config.masked_layers
        self.blocks = nn.ModuleList(ConformerBlock(config.width, config.heads, config.dropout) for _ in range(layers))
        self.quantiser = ResidualVQ(codebooks=config.codebooks, entries=config.entries, width=stacked)
        self.of_code = nn.Linear(stacked, config.target_width)
        self.to_target = nn.Linear(config.width, config.target_width)
        self.predict = nn.Linear(config.width, config.codebooks * config.entries)
        self._rotary = TrunkConfig(layers=1, width=config.width, heads=config.heads, feed_forward=1)
        self.register_buffer("centres_CD", torch.zeros(config.classes, config.width))
        self.register_buffer("scale_D", torch.ones(config.width))
        self.register_buffer("shift_D", torch.zeros(config.width))

    def features(self, x_BT: Tensor) -> Tensor:
        """Return stacked log-mel frames at the semantic rate, (B, F, stacking x bands)."""
        mel_BFM = self.mel(x_BT)
        frames = mel_BFM.shape[1] // self.config.stacking
        stacked_BFS: Tensor = mel_BFM[:, : frames * self.config.stacking].reshape(len(x_BT), frames, -1)
        return stacked_BFS

    def losses(
        self, features_BFS: Tensor, masked_BF: Tensor, *, random: torch.Generator, dtype: torch.dtype
    ) -> W2vBertLosses:
        """Return the losses of a batch whose frames in masked_BF are hidden; in training the codebook follows.

        Args:
            features_BFS: what `features` gave.
            masked_BF: True where a frame is hidden.
            random: where distractors and replaced entries come from.
            dtype: what the layers compute in.
        """
        config = self.config
        if self.training:
            all_B = torch.full((len(features_BFS),), config.codebooks, device=features_BFS.device)
            self.quantiser.quantise(features_BFS, all_B, random)
        code_BFG = self.quantiser.encode(features_BFS)
        target_BFD = self.of_code(self.quantiser.decode(code_BFG))
        with torch.autocast(features_BFS.device.type, dtype, enabled=dtype != torch.float32):
            hidden = self.into(features_BFS)
            hidden = torch.where(masked_BF[..., None], self.mask_D.to(hidden.dtype), hidden)
            below, above = self._through(hidden)
            predicted = self.predict(above[masked_BF]).float().unflatten(-1, (config.codebooks, config.entries))
            context_BFD = self.to_target(below).float()
        return W2vBertLosses(
            contrastive=_contrastive(context_BFD, target_BFD, masked_BF, random),
            masked=F.cross_entropy(predicted.flatten(0, 1), code_BFG[masked_BF].flatten()),
            used=(self.quantiser.counts_KV > 0.03).float().mean(),
        )

    def _through(self, hidden_BFD: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output of the contrastive module and of the whole."""
        table = rotary_table(self._rotary, torch.arange(hidden_BFD.shape[1], device=hidden_BFD.device))
        below = hidden_BFD
        for index, block in enumerate(self.blocks, start=1):
            hidden_BFD = block(hidden_BFD, table)
            if index == self.config.contrastive_layers:
                below = hidden_BFD
        return below, hidden_BFD

    def represent(self, x_BT: Tensor) -> Tensor:
        """Return the intermediate layer's frames_BFD, standardised over the training material."""
        hidden = self.into(self.features(x_BT))
        table = rotary_table(self._rotary, torch.arange(hidden.shape[1], device=hidden.device))
        for block in list(self.blocks)[: self.config.semantic_layer]:
            hidden = block(hidden, table)
        standard_BFD: Tensor = (hidden.float() - self.shift_D) * self.scale_D
        return standard_BFD

    def tokens(self, x_BT: Tensor) -> Tensor:
        """Return semantic tokens_BF, int64 in [0, C)."""
        frames_BFD = self.represent(x_BT)
        distance = self.centres_CD.square().sum(dim=1) - 2 * frames_BFD @ self.centres_CD.T
        return distance.argmin(dim=-1)


_DISTRACTORS = 50
_SHARPNESS = 10.0


def _contrastive(context_BFD: Tensor, target_BFD: Tensor, masked_BF: Tensor, random: torch.Generator) -> Tensor:
    """Tell each hidden frame's target from those of other hidden frames of its clip (wav2vec 2.0, section 3.2)."""
    losses = []
    for context, target, masked in zip(context_BFD, target_BFD, masked_BF, strict=True):
        mine, theirs = F.normalize(context[masked], dim=-1), F.normalize(target[masked], dim=-1)
        count = len(mine)
        scores = _SHARPNESS * mine @ theirs.T
        keep = torch.rand(count, count, generator=random) < _DISTRACTORS / max(count, 1)
        keep = keep.to(scores.device) | torch.eye(count, dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(~keep, float("-inf"))
        losses.append(F.cross_entropy(scores, torch.arange(count, device=scores.device)))
    return torch.stack(losses).mean()
