"""The step as one CUDA graph: captured once, then replayed on new inputs.

All rows are run over the whole cache, masked, so that the graph is the same for every step.

Shapes: S rows, H heads, C cache entries, E head width, D width, M rows of a memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.engine.backend import CacheSize, Feed, SavedRow
from models.engine.model import DecoderModel
from models.engine.torch_backend import TorchBackend, mix
from models.transformer import CrossAttention

WARM_UPS = 3  # before a capture, as CUDA's libraries ask for


class CudaGraphBackend(TorchBackend):
    """PyTorch on a GPU, a graph a step. Without `captured` the same operations run one by one, on any device."""

    name = "cuda-graphs"

    def __init__(self, model: DecoderModel, size: CacheSize, *, captured: bool = True) -> None:
        """Allocate the cache with an entry for rows that are not fed, and capture the step."""
        super().__init__(model, size, spare_entries=1)
        slots = size.slots
        self._x_S1D = torch.zeros((slots, 1, self.config.width), dtype=self.dtype, device=self.device)
        self._positions_S, self._entries_S = torch.zeros((2, slots), dtype=torch.long, device=self.device)
        self._mask_S11C = torch.zeros((slots, 1, 1, size.length), dtype=self.keys_LSHCE.dtype, device=self.device)
        self._memory_mask_S11M = torch.zeros(
            (slots, 1, 1, size.memory), dtype=self.keys_LSHCE.dtype, device=self.device
        )
        self._rows_S = torch.arange(slots, device=self.device)
        self._graph = self._capture() if captured else None

    @torch.inference_mode()
    def step(self, feeds: Sequence[Feed], x_RD: Tensor) -> NDArray[np.float32]:
        """Feed one input to each of some rows; return their logits_RKV."""
        slots = [feed.slot for feed in feeds]
        host = torch.tensor([[0, self.size.length, 0]] * self.size.slots)  # position, entry, filled
        host[slots] = torch.tensor([[feed.position, feed.entry, feed.filled] for feed in feeds])
        positions_S, entries_S, filled_S = host.to(self.device).unbind(dim=1)
        self._positions_S.copy_(positions_S)
        self._entries_S.copy_(entries_S)
        self._mask_S11C.copy_(self._masks_FC[filled_S.where(filled_S > 0, self.size.length)][:, None, None])
        self._x_S1D[slots, 0] = x_RD
        if self._graph is None:
            self._logits_SN = self._forward()
        else:
            self._graph.replay()
        logits: NDArray[np.float32] = self._logits_SN[slots].float().cpu().numpy()
        return logits.reshape(len(feeds), *self.head_KVD.shape[:2])

    def remember(self, slot: int, memory_MD: Tensor | None) -> None:
        """Let a row attend to a memory from now on."""
        super().remember(slot, memory_MD)
        if memory_MD is not None:
            self._mask_memory(slot)

    def restore(self, slot: int, saved: SavedRow) -> None:
        """Put a copy back, into any row."""
        super().restore(slot, saved)
        if self.config.cross_attention:
            self._mask_memory(slot)

    def _mask_memory(self, slot: int) -> None:
        self._memory_mask_S11M[slot] = 0
        self._memory_mask_S11M[slot, ..., self.memory_lengths_S[slot] :] = float("-inf")

    @torch.inference_mode()
    def _capture(self) -> torch.cuda.CUDAGraph:
        aside = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._forward()
        torch.cuda.current_stream(self.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._logits_SN = self._forward()
        return graph

    def _forward(self) -> Tensor:
        """Return logits_SN of all rows, from what the buffers hold."""
        length = self.size.length
        table_S12E = self._rotary_P2E[self._positions_S][:, None]
        x_S1D = self._x_S1D
        for layer in range(self.config.layers):
            block = self.trunk.block(layer)
            q_S1HE, k_S1HE, v_S1HE = block.project(x_S1D, table_S12E)
            keys_SHCE, values_SHCE = self.keys_LSHCE[layer], self.values_LSHCE[layer]
            keys_SHCE[self._rows_S, :, self._entries_S] = k_S1HE[:, 0].to(keys_SHCE.dtype)
            values_SHCE[self._rows_S, :, self._entries_S] = v_S1HE[:, 0].to(keys_SHCE.dtype)
            mixed_S1D = mix(q_S1HE, keys_SHCE[:, :, :length], values_SHCE[:, :, :length], self._mask_S11C)
            x_S1D = x_S1D + block.attention_out(mixed_S1D)
            if block.cross is not None:
                x_S1D = x_S1D + self._hear_all(block.cross, layer, x_S1D)
            x_S1D = block.feed(x_S1D)
        found: Tensor = self.head(self.trunk.norm(x_S1D)[:, 0])
        return found

    def _hear_all(self, cross: CrossAttention, layer: int, x_S1D: Tensor) -> Tensor:
        q_S1HE = cross.query(cross.norm(x_S1D)).unflatten(-1, (self.config.heads, -1))
        keys_SHME, values_SHME = self.memory_keys_LSHME[layer], self.memory_values_LSHME[layer]
        heard: Tensor = cross.out(mix(q_S1HE, keys_SHME, values_SHME, self._memory_mask_S11M))
        return heard
