"""The structures of step.cpp as ctypes sees them: the same fields in the same order, all of eight bytes."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int64, c_void_p


def _fields(kind: type, *names: str) -> tuple[tuple[str, type], ...]:
    return tuple((name, kind) for name in names)


class Linear(ctypes.Structure):
    """Weights of a linear layer, packed."""

    _fields_ = (*_fields(c_void_p, "weights", "scales", "sums"), *_fields(c_int64, "outputs", "inputs", "kind"))


class Norm(ctypes.Structure):
    """A layer norm."""

    _fields_ = _fields(c_void_p, "weight", "bias")


class Layer(ctypes.Structure):
    """A block of the trunk."""

    _fields_ = (
        *_fields(Norm, "attention_norm", "cross_norm", "feed_forward_norm"),
        *_fields(Linear, "qkv", "attention_out", "query", "cross_out", "up", "down"),
    )


class Cache(ctypes.Structure):
    """Keys and values of all layers and slots."""

    _fields_ = (*_fields(c_void_p, "keys", "values"), *_fields(c_int64, "length"))


class Model(ctypes.Structure):
    """A trunk, its heads and its cache."""

    _fields_ = (
        *_fields(c_int64, "layers", "width", "heads", "feed_forward", "slots", "rotary", "cross", "half_cache"),
        ("layer", POINTER(Layer)),
        ("norm", Norm),
        ("head", Linear),
        ("cache", Cache),
        ("memory", Cache),
        *_fields(c_void_p, "memory_lengths", "rotary_table"),
    )


class Feed(ctypes.Structure):
    """One row's part of a step."""

    _fields_ = _fields(c_int64, "slot", "position", "entry", "filled")


class Scratch(ctypes.Structure):
    """Room to work in."""

    _fields_ = _fields(c_void_p, "normed", "projected", "mixed", "widened", "gathered")
