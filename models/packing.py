"""Weights in less space: the matrices of a module as 8-bit integers with a scale for each row.

A model's matrices lose little by it (its card says how much); vectors, codebooks and everything else are kept in
half precision. A packed matrix `name` is two tensors: `name` (int8) and `name.row_scale` (float32, a value a row).
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import torch
from torch import Tensor

SCALE = ".row_scale"


def pack(tensors: Mapping[str, Tensor], *, whole: Container[str] = ()) -> dict[str, Tensor]:
    """Return the tensors with every floating matrix of two or more axes as int8, rows along the last axis.

    Those named in `whole` are kept in half precision: codebooks and k-means centres, which are compared with inputs.
    """
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or not tensor.is_floating_point() or name in whole:
            packed[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        scale = tensor.float().abs().amax(dim=-1).clamp_min(1e-12) / 127
        packed[name] = (tensor.float() / scale[..., None]).round().to(torch.int8)
        packed[name + SCALE] = scale
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what `pack` was given, as float32, rounded to what it kept."""
    return {
        name: tensor.float() * packed[name + SCALE][..., None] if name + SCALE in packed else _widened(tensor)
        for name, tensor in packed.items()
        if not name.endswith(SCALE)
    }


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
