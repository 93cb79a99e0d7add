"""The step in PyTorch, on any device.

Every step runs all rows, busy or not, so that each linear layer always sees the same number of them. Attention runs
over rows that are filled about alike; with how many others, and to what length it is padded, changes no bit of a row.

Shapes: S rows, R rows that are fed, L layers, H heads, E head width, D width, C cache entries, F filled entries,
M rows of a memory, N heads of the rows that are fed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.engine.backend import CHUNK, CacheSize, Feed, SavedRow
from models.engine.model import DecoderModel
from models.engine.packed import PackedLinear, check_packing, packed_trunk
from models.transformer import Block, rotary_table

BUCKET = 32  # attention lengths are multiples of this


class TorchBackend:
    """Eager PyTorch, on a CPU also with packed linear layers."""

    name = "torch"

    def __init__(self, model: DecoderModel, size: CacheSize, *, packed: bool = False, spare_entries: int = 0) -> None:
        """Allocate the cache on the model's device, in the model's dtype.

        Raises:
            BackendUnavailableError: linear layers are to be packed and cannot be.
        """
        self.size, self.trunk, self.head_KVD = size, model.trunk, model.head_KVD
        self.device, self.dtype = self.head_KVD.device, self.head_KVD.dtype
        weight_ND = self.head_KVD.detach().flatten(0, 1)
        self.head: Callable[[Tensor], Tensor] = lambda hidden_SD: F.linear(hidden_SD, weight_ND)
        if packed:
            check_packing(weight_ND)
            self.name = "torch-packed"
            self.trunk, self.head = packed_trunk(model.trunk), PackedLinear(weight_ND)
        # on a CPU attention takes 2.5 times as long in bfloat16
        cached = torch.float32 if self.device.type == "cpu" else self.dtype
        config = self.config = model.trunk.config
        shape = (config.layers, size.slots, config.heads, size.length + spare_entries, config.head_width)
        self.keys_LSHCE = torch.zeros(shape, dtype=cached, device=self.device)
        self.values_LSHCE = torch.zeros_like(self.keys_LSHCE)
        if config.cross_attention:
            shape = (config.layers, size.slots, config.heads, size.memory, config.head_width)
            self.memory_keys_LSHME = torch.zeros(shape, dtype=cached, device=self.device)
            self.memory_values_LSHME = torch.zeros_like(self.memory_keys_LSHME)
        self.memory_lengths_S = [0] * size.slots
        self._rotary_P2E = rotary_table(config, torch.arange(size.positions, device=self.device))
        self._masks_FC, self._memory_masks_FM = (
            _masks(length, cached, self.device) for length in (size.length, size.memory)
        )

    @torch.inference_mode()
    def step(self, feeds: Sequence[Feed], x_RD: Tensor) -> NDArray[np.float32]:
        """Feed one input to each of some rows; return their logits_RKV."""
        rows_R = torch.tensor([feed.slot for feed in feeds], device=self.device)
        entries_R = torch.tensor([feed.entry for feed in feeds], device=self.device)
        heads_H = torch.arange(self.config.heads, device=self.device)
        first_RH = (rows_R[:, None] * self.config.heads + heads_H) * self.keys_LSHCE.shape[3]
        written_N = (first_RH + entries_R[:, None]).flatten()
        positions_S = torch.zeros(self.size.slots, dtype=torch.long, device=self.device)
        positions_S[rows_R] = torch.tensor([feed.position for feed in feeds], device=self.device)
        table_S12E = self._rotary_P2E[positions_S][:, None]
        x_S1D = torch.zeros((self.size.slots, 1, self.config.width), dtype=self.dtype, device=self.device)
        x_S1D[rows_R, 0] = x_RD
        filled = {feed.slot: feed.filled for feed in feeds}
        runs = self._runs([filled.get(slot, 0) for slot in range(self.size.slots)], self._masks_FC)
        heard = [self.memory_lengths_S[slot] if slot in filled else 0 for slot in range(self.size.slots)]
        memory_runs = self._runs(heard, self._memory_masks_FM) if self.config.cross_attention else []
        for layer in range(self.config.layers):
            block = self.trunk.block(layer)
            q_S1HE, k_S1HE, v_S1HE = block.project(x_S1D, table_S12E)
            keys_SHCE, values_SHCE = self.keys_LSHCE[layer], self.values_LSHCE[layer]
            for cache_SHCE, new_S1HE in ((keys_SHCE, k_S1HE), (values_SHCE, v_S1HE)):
                new_NE = new_S1HE[rows_R, 0].to(cache_SHCE.dtype).flatten(0, 1)
                cache_SHCE.flatten(0, 2).index_copy_(0, written_N, new_NE)  # half the time of an assignment
            x_S1D = x_S1D + block.attention_out(_attend(q_S1HE, keys_SHCE, values_SHCE, runs))
            if block.cross is not None:
                q_S1HE = block.cross.query(block.cross.norm(x_S1D)).unflatten(-1, (self.config.heads, -1))
                memory = self.memory_keys_LSHME[layer], self.memory_values_LSHME[layer]
                x_S1D = x_S1D + block.cross.out(_attend(q_S1HE, *memory, memory_runs))
            x_S1D = block.feed(x_S1D)
        logits_SN = self.head(self.trunk.norm(x_S1D)[:, 0])
        logits_RKV = logits_SN[rows_R].view(len(feeds), *self.head_KVD.shape[:2])
        logits: NDArray[np.float32] = logits_RKV.float().cpu().numpy()
        return logits

    @torch.inference_mode()
    def prefill(self, slot: int, position: int, x_CD: Tensor) -> None:
        """Feed CHUNK inputs to one row, into the cache entries of their positions."""
        end = position + CHUNK
        table_1C2E = self._rotary_P2E[position:end][None]
        mask_CF = self._masks_FC[position + 1 : end + 1, :end]
        x_1CD = x_CD[None]
        for layer in range(self.config.layers):
            block: Block = self.trunk.block(layer)
            q_1CHE, k_1CHE, v_1CHE = block.project(x_1CD, table_1C2E)
            keys_1HCE, values_1HCE = self.keys_LSHCE[layer, slot, None], self.values_LSHCE[layer, slot, None]
            keys_1HCE[:, :, position:end] = k_1CHE.transpose(1, 2)
            values_1HCE[:, :, position:end] = v_1CHE.transpose(1, 2)
            mixed_1CD = mix(q_1CHE, keys_1HCE[:, :, :end], values_1HCE[:, :, :end], mask_CF)
            x_1CD = x_1CD + block.attention_out(mixed_1CD)
            if block.cross is not None:
                q_1CHE = block.cross.query(block.cross.norm(x_1CD)).unflatten(-1, (self.config.heads, -1))
                x_1CD = x_1CD + block.cross.out(self._recall(layer, slot, q_1CHE))
            x_1CD = block.feed(x_1CD)

    @torch.inference_mode()
    def remember(self, slot: int, memory_MD: Tensor | None) -> None:
        """Let a row attend to a memory from now on."""
        if memory_MD is None:
            return
        length = self.memory_lengths_S[slot] = len(memory_MD)
        memory_1MD = memory_MD.to(self.device, self.dtype)[None]
        for layer in range(self.config.layers):
            cross = self.trunk.block(layer).cross
            assert cross is not None
            k_1MHE, v_1MHE = cross.remember(memory_1MD)
            self.memory_keys_LSHME[layer, slot, :, :length] = k_1MHE[0].transpose(0, 1)
            self.memory_values_LSHME[layer, slot, :, :length] = v_1MHE[0].transpose(0, 1)

    def save(self, slot: int, filled: int) -> SavedRow:
        """Return a copy of what the cache holds of a row."""
        kept = [cache[:, slot, :, :filled].clone() for cache in (self.keys_LSHCE, self.values_LSHCE)]
        if self.config.cross_attention:
            length = self.memory_lengths_S[slot]
            memories = (self.memory_keys_LSHME, self.memory_values_LSHME)
            kept += [cache[:, slot, :, :length].clone() for cache in memories]
        return SavedRow(tuple(kept))

    def restore(self, slot: int, saved: SavedRow) -> None:
        """Put a copy back, into any row."""
        caches = [self.keys_LSHCE, self.values_LSHCE]
        if self.config.cross_attention:
            caches += [self.memory_keys_LSHME, self.memory_values_LSHME]
            self.memory_lengths_S[slot] = saved.tensors[2].shape[2]
        for cache, kept in zip(caches, saved.tensors, strict=True):
            cache[:, slot, :, : kept.shape[2]] = kept

    def _recall(self, layer: int, slot: int, q_1CHE: Tensor) -> Tensor:
        """Return mixed_1CD: what one row's queries find in its memory."""
        length = self.memory_lengths_S[slot]
        memory = (
            cache[layer, slot, None, :, :length] for cache in (self.memory_keys_LSHME, self.memory_values_LSHME)
        )
        return mix(q_1CHE, *memory)

    def _runs(self, filled_S: Sequence[int], masks_FC: Tensor) -> list[_Run]:
        """Return neighbouring rows whose entries end in the same bucket, as one each; 0 filled is not fed."""
        runs = []
        bucketed = (-(-filled // BUCKET) * BUCKET for filled in filled_S)
        lengths = [min(length, masks_FC.shape[1]) for length in bucketed]
        for length, rows in groupby(range(len(filled_S)), key=lengths.__getitem__):
            slots = list(rows)
            filled = torch.tensor([filled_S[slot] for slot in slots], device=self.device)
            mask = masks_FC[filled, :length][:, None, None] if length else None
            runs.append(_Run(slice(slots[0], slots[-1] + 1), length, mask))
        return runs


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Rows that attend together. `mask` is added to their scores: 0 for filled entries, -inf up to `length`."""

    rows: slice
    length: int
    mask: Tensor | None


def _masks(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return masks_FC: for F filled of so many entries, 0 for these and -inf for the rest."""
    entries = torch.arange(length, device=device)
    beyond_FC = entries >= torch.arange(length + 1, device=device)[:, None]
    return torch.zeros_like(beyond_FC, dtype=dtype).masked_fill_(beyond_FC, float("-inf"))


def _attend(q_S1HE: Tensor, keys_SHCE: Tensor, values_SHCE: Tensor, runs: list[_Run]) -> Tensor:
    """Return mixed_S1D: what each row that is fed finds among its entries, and zeros for the others."""
    mixed = [
        torch.zeros_like(q_S1HE[run.rows]).flatten(2)
        if run.mask is None
        else mix(
            q_S1HE[run.rows],
            keys_SHCE[run.rows, :, : run.length],
            values_SHCE[run.rows, :, : run.length],
            run.mask,
        )
        for run in runs
    ]
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def mix(q_RCHE: Tensor, keys_RHFE: Tensor, values_RHFE: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return mixed_RCD: attention in the dtype of the cache, the result in that of the queries."""
    mixed_RHCE = F.scaled_dot_product_attention(
        q_RCHE.transpose(1, 2).to(keys_RHFE.dtype), keys_RHFE, values_RHFE, attn_mask=mask
    )
    return mixed_RHCE.transpose(1, 2).flatten(2).to(q_RCHE.dtype)
