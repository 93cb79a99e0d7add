"""Weights laid out for step.cpp.

Shapes: N outputs, I inputs of a linear layer.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

from models.engine.native.structures import Linear

GROUP, BLOCK = 16, 64  # outputs whose weights lie side by side; what the number of outputs is padded to
KINDS = {"fp32": 0, "bf16": 1, "int8": 2}

_CHUNK_BYTES, _ALIGNED = 64 << 20, 64


class LargePages:
    """Memory in pages of 2 MB where Linux gives them: a step reads much of it once, and finds it sooner."""

    def __init__(self) -> None:
        self._chunk = torch.empty(0, dtype=torch.uint8)

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return a tensor of zeros, which holds its memory as any tensor does."""
        size = math.prod(shape) * dtype.itemsize
        if size > len(self._chunk):
            self._chunk = _mapped(max(size, _CHUNK_BYTES))
        found = self._chunk[:size].view(dtype).view(*shape)
        self._chunk = self._chunk[-(-size // _ALIGNED) * _ALIGNED :]
        return found

    def keep(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor."""
        return self.zeros(tensor.shape, tensor.dtype).copy_(tensor)


def _mapped(size: int) -> Tensor:
    """Return zeros, of which only those that are touched take memory."""
    chunk = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        chunk.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(chunk, dtype=torch.uint8)


class PackedLinear:
    """A weight as float32, as bfloat16, or as signed bytes with a scale for each output.

    Attributes:
        outputs: N, rounded up to a multiple of 16; those beyond N are 0.
    """

    def __init__(self, weight_NI: Tensor, kind: str, pages: LargePages | None = None) -> None:
        outputs, inputs = weight_NI.shape
        full_NI = torch.zeros((-(-outputs // BLOCK) * BLOCK, inputs))
        full_NI[:outputs] = weight_NI.detach()
        self.kind, self.inputs, self.outputs = kind, inputs, -(-outputs // GROUP) * GROUP
        keep = pages.keep if pages else Tensor.contiguous
        self.scales_N = self.sums_N = torch.empty(0)
        if kind == "int8":
            self.scales_N = (full_NI.abs().amax(dim=1) / 127).clamp_min(1e-12)
            bytes_NI = (full_NI / self.scales_N[:, None]).round().to(torch.int8)
            self.sums_N = bytes_NI.sum(dim=1, dtype=torch.int32)
            self.weights = keep(bytes_NI.view(-1, GROUP, inputs // 4, 4).permute(0, 2, 1, 3))
        else:
            dtype = torch.bfloat16 if kind == "bf16" else torch.float32
            self.weights = keep(full_NI.view(-1, GROUP, inputs).permute(0, 2, 1).to(dtype))

    def structure(self) -> Linear:
        """Return what step.cpp is given; it points into this object."""
        tensors = (self.weights, self.scales_N, self.sums_N)
        return Linear(*(tensor.data_ptr() for tensor in tensors), self.outputs, self.inputs, KINDS[self.kind])
