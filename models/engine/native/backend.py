"""The step in C++ on a CPU (step.cpp): the same bits on every machine, in any slot and company, on any threads.

Weights are packed once: as they are (fp32), as bfloat16, or as bytes (int8: each output has a scale, and so has each
row of inputs, found anew at every step). Keys and values are kept in fp32 or bfloat16. Only rows that are fed cost
anything, and a chunk of a prefix gives the bits of its inputs one by one.

Shapes: R rows, D width, K codebooks, V vocabulary, C inputs of a chunk, M rows of a memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ctypes import byref
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.engine.backend import CHUNK, BackendUnavailableError, CacheSize, Feed, SavedRow
from models.engine.model import DecoderModel
from models.engine.native import structures
from models.engine.native.library import load, runnable
from models.engine.native.packing import GROUP, LargePages, PackedLinear
from models.transformer import Block, rotary_table

CACHE_STEP = 64  # cache lengths are multiples of this


class NativeBackend:
    """Runs a trunk and its heads with step.cpp."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(
        self,
        model: DecoderModel,
        size: CacheSize,
        *,
        weights: str,
        half_cache: bool,
        threads: int,
        build: str | None = None,
    ) -> None:
        """Pack the weights and allocate the cache.

        Args:
            model: in any dtype, on any device; it is copied.
            size: of the cache; its lengths are rounded up to multiples of 64.
            weights: "fp32", "bf16" or "int8".
            half_cache: keep keys and values as bfloat16.
            threads: how many work on a step.
            build: which build of step.cpp, by default the best this machine runs.

        Raises:
            BackendUnavailableError: no build runs here, or the model's sizes are none it can run.
        """
        config = self.config = model.trunk.config
        if config.width % GROUP or config.feed_forward % GROUP or config.head_width % GROUP:
            raise BackendUnavailableError("the native step needs widths, and those of heads, in multiples of 16")
        if config.gated:
            raise BackendUnavailableError("the native step has no gated feed-forward")
        builds = [build] if build else runnable()
        if not builds:
            raise BackendUnavailableError("the native step was not built, or not for this processor")
        self.name = f"native-{weights}" + ("-half-cache" if half_cache else "")
        self.size = replace(size, length=_up(size.length), memory=_up(size.memory) if config.cross_attention else 0)
        self.threads, self._weights, self._library = threads, weights, load(builds[0])
        self._kept: list[PackedLinear | Tensor] = []  # what structures point into
        self._pages = LargePages()
        self._allocate(torch.bfloat16 if half_cache else torch.float32)
        self._layers = (structures.Layer * config.layers)(*map(self._layer, self._blocks(model)))
        remembering = "fp32" if weights == "fp32" else "bf16"  # once a sequence: bytes would save little
        self._remembering = [
            self._pack(block.cross.key_value.weight, remembering) for block in self._blocks(model) if block.cross
        ]
        self._outputs = model.head_KVD.shape[:2]
        head = self._pack(model.head_KVD.flatten(0, 1), weights)
        self._logits_RN = torch.empty((size.slots, head.outputs))
        self._model = structures.Model(
            layers=config.layers,
            width=config.width,
            heads=config.heads,
            feed_forward=config.feed_forward,
            slots=size.slots,
            rotary=config.rotary_base is not None,
            cross=config.cross_attention,
            half_cache=half_cache,
            layer=self._layers,
            norm=self._norm(model.trunk.norm),
            head=head,
            cache=structures.Cache(self.keys.data_ptr(), self.values.data_ptr(), self.size.length),
            memory=structures.Cache(self.memory_keys.data_ptr(), self.memory_values.data_ptr(), self.size.memory),
            memory_lengths=self._memory_lengths_S.ctypes.data,
            rotary_table=self._keep(rotary_table(config, torch.arange(size.positions)).contiguous()).data_ptr(),
        )
        rows, wide = max(size.slots, CHUNK, self.size.memory), max(config.width, config.feed_forward)
        room = (config.width, 3 * config.width, config.width, config.feed_forward, wide)
        self._scratch = structures.Scratch(*(self._keep(torch.empty((rows, width))).data_ptr() for width in room))

    def step(self, feeds: Sequence[Feed], x_RD: Tensor) -> NDArray[np.float32]:
        """Feed one input to each of some rows; return their logits_RKV."""
        self._run(feeds, x_RD, self._logits_RN.data_ptr())
        codebooks, vocabulary = self._outputs
        logits_RN: NDArray[np.float32] = self._logits_RN[: len(feeds), : codebooks * vocabulary].numpy()
        return logits_RN.reshape(len(feeds), codebooks, vocabulary)

    def prefill(self, slot: int, position: int, x_CD: Tensor) -> None:
        """Feed CHUNK inputs to one row, into the cache entries of their positions."""
        places = range(position, position + CHUNK)
        self._run([Feed(slot=slot, position=at, entry=at, filled=at + 1) for at in places], x_CD, None)

    def remember(self, slot: int, memory_MD: Tensor | None) -> None:
        """Let a row attend to a memory from now on."""
        if memory_MD is None:
            return
        memory_MD = memory_MD.to(self.device, self.dtype).contiguous()
        rows = self._memory_lengths_S[slot] = len(memory_MD)
        pairs_MN = torch.empty((rows, 2 * self.config.width))
        for layer, linear in enumerate(self._remembering):
            self._library.tutti_linear(
                byref(linear), memory_MD.data_ptr(), rows, byref(self._scratch), pairs_MN.data_ptr(), 0, self.threads
            )
            self._library.tutti_remember(byref(self._model), layer, slot, rows, pairs_MN.data_ptr())

    def save(self, slot: int, filled: int) -> SavedRow:
        """Return a copy of what the cache holds of a row."""
        heard = int(self._memory_lengths_S[slot])
        caches = (self.keys, self.values, self.memory_keys, self.memory_values)
        lengths = (-(-filled // GROUP), filled, -(-heard // GROUP), heard)
        return SavedRow(
            tuple(cache[:, slot, :, :length].clone() for cache, length in zip(caches, lengths, strict=True))
        )

    def restore(self, slot: int, saved: SavedRow) -> None:
        """Put a copy back, into any row."""
        caches = (self.keys, self.values, self.memory_keys, self.memory_values)
        for cache, kept in zip(caches, saved.tensors, strict=True):
            cache[:, slot, :, : kept.shape[2]] = kept
        self._memory_lengths_S[slot] = saved.tensors[3].shape[2]

    def _run(self, feeds: Sequence[Feed], x_RD: Tensor, logits: int | None) -> None:
        x_RD = x_RD.to(self.device, self.dtype, copy=True).contiguous()  # the step overwrites it
        given = (structures.Feed * len(feeds))(
            *(structures.Feed(feed.slot, feed.position, feed.entry, feed.filled) for feed in feeds)
        )
        self._library.tutti_step(
            byref(self._model), given, len(feeds), byref(self._scratch), x_RD.data_ptr(), logits, self.threads
        )

    def _allocate(self, dtype: torch.dtype) -> None:
        config, size = self.config, self.size
        rows = (config.layers, size.slots, config.heads)
        self.keys, self.memory_keys = (
            self._pages.zeros((*rows, length // GROUP, config.head_width, GROUP), dtype)
            for length in (size.length, size.memory)
        )
        self.values, self.memory_values = (
            self._pages.zeros((*rows, length, config.head_width), dtype) for length in (size.length, size.memory)
        )
        self._memory_lengths_S = np.zeros(size.slots, dtype=np.int64)

    @staticmethod
    def _blocks(model: DecoderModel) -> Iterable[Block]:
        return map(model.trunk.block, range(model.trunk.config.layers))

    def _layer(self, block: Block) -> structures.Layer:
        layer = structures.Layer(
            attention_norm=self._norm(block.attention_norm),
            feed_forward_norm=self._norm(block.feed_forward_norm),
            qkv=self._pack(block.qkv.weight, self._weights),
            attention_out=self._pack(block.attention_out.weight, self._weights),
            up=self._pack(block.up.weight, self._weights),
            down=self._pack(block.down.weight, self._weights),
        )
        if block.cross is not None:
            layer.cross_norm = self._norm(block.cross.norm)
            layer.query = self._pack(block.cross.query.weight, self._weights)
            layer.cross_out = self._pack(block.cross.out.weight, self._weights)
        return layer

    def _pack(self, weight_NI: Tensor, kind: str) -> structures.Linear:
        packed = PackedLinear(weight_NI, kind, self._pages)
        self._kept.append(packed)
        return packed.structure()

    def _norm(self, norm: nn.LayerNorm) -> structures.Norm:
        weight, bias = (
            self._keep(t.detach().to(self.device, self.dtype, copy=True)) for t in (norm.weight, norm.bias)
        )
        return structures.Norm(weight.data_ptr(), bias.data_ptr())

    def _keep(self, tensor: Tensor) -> Tensor:
        self._kept.append(tensor)
        return tensor


def _up(length: int) -> int:
    return -(-length // CACHE_STEP) * CACHE_STEP
