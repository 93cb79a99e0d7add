"""musicnn, a judge of music: 50 tags, trained at Universitat Pompeu Fabra on MagnaTagATune (Pons & Serra 2019).

The network of "musicnn: Pre-trained convolutional neural networks for music audio tagging", with the weights of its
package, which this file's neighbour `musicnn.md` tells of. Shapes: P patches of 3 s, F frames, M mel bands,
C channels, T tags, D width of the embedding.
"""

from __future__ import annotations

import importlib.resources

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from models.judges.sound import Waveform, at_least
from models.resampling import at_rate

SAMPLE_RATE_HZ = 16_000
HOP, FFT, MEL_BANDS = 256, 512, 96
PATCH_FRAMES = 187  # 3 s, as in its training
PATCH_HOP_FRAMES = 94
EPSILON = 1e-3  # of batch normalisation, as in its training
WEIGHTS = "musicnn.safetensors"
TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man",
    "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello",
    "no voice", "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip


class Block(nn.Module):
    """A convolution, a rectifier, then batch normalisation."""

    def __init__(self, inputs: int, channels: int, kernel: tuple[int, int], pad_frames: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, kernel)
        self.norm = nn.BatchNorm2d(channels, eps=EPSILON)
        self._padding = (0, 0, *pad_frames)

    def forward(self, x_PCFM: Tensor) -> Tensor:
        """Return (P, C, F, what is left of the width)."""
        y: Tensor = self.norm(F.relu(self.conv(F.pad(x_PCFM, self._padding))))
        return y


class Network(nn.Module):
    """Timbral and temporal filters over the mel spectrogram, three dense layers over time, pooling, two linear."""

    def __init__(self) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm2d(1, eps=EPSILON)
        self.front = nn.ModuleList(
            [
                Block(1, 204, (7, 38), (3, 3)),
                Block(1, 204, (7, 67), (3, 3)),
                Block(1, 51, (128, 1), (63, 64)),
                Block(1, 51, (64, 1), (31, 32)),
                Block(1, 51, (32, 1), (15, 16)),
            ]
        )
        self.middle = nn.ModuleList([Block(1, 64, (7, width), (3, 3)) for width in (561, 64, 64)])
        self.pooled_norm = nn.BatchNorm1d(1506, eps=EPSILON)
        self.dense = nn.Linear(1506, 200)
        self.dense_norm = nn.BatchNorm1d(200, eps=EPSILON)
        self.tags = nn.Linear(200, len(TAGS))

    def forward(self, mel_PFM: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tags' probabilities (P, T) and the embedding below them (P, D)."""
        x = self.input_norm(mel_PFM[:, None])
        front_PFC = torch.cat([block(x).amax(dim=3) for block in self.front], dim=1).transpose(1, 2)
        layers = [front_PFC]
        for block in self.middle:
            y_PFC = block(layers[-1][:, None]).squeeze(3).transpose(1, 2)
            layers.append(y_PFC if len(layers) == 1 else y_PFC + layers[-1])
        features_PFC = torch.cat(layers, dim=2)
        # Interleaved as TensorFlow flattens (C, 2).
        pooled = torch.stack([features_PFC.amax(dim=1), features_PFC.mean(dim=1)], dim=2).flatten(1)
        embedding_PD: Tensor = self.dense_norm(F.relu(self.dense(self.pooled_norm(pooled))))
        return torch.sigmoid(self.tags(embedding_PD)), embedding_PD


class Musicnn:
    """The network with its weights and its ear."""

    def __init__(self, network: Network) -> None:
        self._network = network.eval()
        self._mel = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE_HZ, n_fft=FFT, hop_length=HOP, n_mels=MEL_BANDS, norm="slaney", mel_scale="slaney"
        )

    @classmethod
    def load(cls) -> Musicnn:
        """Read the weights that lie beside this file."""
        network = Network()
        with importlib.resources.as_file(importlib.resources.files(__package__) / WEIGHTS) as path:
            network.load_state_dict(load_file(path))
        return cls(network)

    @torch.inference_mode()
    def listen(self, waveform: Waveform, sample_rate_hz: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities (P, T) and embeddings (P, D) for patches of 3 s, a new one each 1.5 s.

        Raises:
            ValueError: the waveform is not one channel of finite samples.
        """
        samples = at_least(at_rate(waveform, sample_rate_hz, SAMPLE_RATE_HZ), PATCH_FRAMES * HOP)
        log_mel_FM = torch.log10(1 + 10_000 * self._mel(torch.from_numpy(samples))).T
        patches_PFM = log_mel_FM.unfold(0, PATCH_FRAMES, PATCH_HOP_FRAMES).transpose(1, 2)
        tags, embeddings = self._network(patches_PFM)
        return tags.numpy(), embeddings.numpy()

    def tags(self, waveform: Waveform, sample_rate_hz: int) -> dict[str, float]:
        """Return each tag's mean probability."""
        means = self.listen(waveform, sample_rate_hz)[0].mean(axis=0)
        return dict(zip(TAGS, means.tolist(), strict=True))
