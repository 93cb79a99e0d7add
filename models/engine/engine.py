"""Batch decoding with fixed slots: schedule, step, postprocess.

A request takes a free slot and keeps it until its sequence ends; the next one takes the slot in the same step. Every
step runs all slots, busy or not, so each linear layer always sees the same number of rows, and attention runs slot
by slot over a cache length that depends on that slot alone: no bit of a sequence depends on its neighbours.

The cache of a slot holds the prefix for good and the latest tokens in a ring behind it.

Shapes: S slots, L layers, H heads, C cache entries, F entries filled (0 to C), E head width, D width, V vocabulary.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.engine.requests import Completion, Request
from models.sampling import sample_token, uniform
from models.transformer import Transformer, rotary_table

CACHE_BUCKET = 128  # attention lengths are multiples of this


class EngineError(ValueError):
    """A request that the engine cannot serve; the message gives the sizes."""


@dataclass(slots=True)
class _Slot:
    request: Request
    submitted: float
    started: float
    position: int = 0
    token: int = 0
    tokens: list[int] = field(default_factory=list)
    log_likelihood: float = 0.0


class Engine:
    """Continues token sequences with one transformer, `slots` at a time."""

    def __init__(self, model: Transformer, *, slots: int, cache_length: int, max_positions: int) -> None:
        """Allocate the cache on the model's device, in the model's dtype."""
        if cache_length % CACHE_BUCKET:
            raise EngineError(f"cache_length {cache_length} is not a multiple of {CACHE_BUCKET}")
        self.model, self.slots, self.cache_length, self.max_positions = (
            model.eval(),
            slots,
            cache_length,
            max_positions,
        )
        config, weight = model.config, model.embedding.weight
        shape = (config.layers, slots, config.heads, cache_length, config.head_width)
        self.keys_LSHCE = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.values_LSHCE = torch.zeros_like(self.keys_LSHCE)
        self.device = weight.device
        self._rotary_P2E = rotary_table(config, torch.arange(max_positions, device=self.device))
        self._rows = torch.arange(slots, device=self.device)
        entries = torch.arange(cache_length, device=self.device)
        beyond_FC = entries >= torch.arange(cache_length + 1, device=self.device)[:, None]
        self._masks_FC = torch.zeros_like(beyond_FC, dtype=weight.dtype).masked_fill_(beyond_FC, float("-inf"))
        self._slots: list[_Slot | None] = [None] * slots
        self._queue: deque[tuple[Request, float]] = deque()

    @property
    def busy(self) -> int:
        """Return how many requests are queued or decoded."""
        return sum(slot is not None for slot in self._slots) + len(self._queue)

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            EngineError: its prefix leaves no room in the cache, or it may outgrow the positions.
        """
        if not 1 <= len(request.prefix) < self.cache_length // 2:
            raise EngineError(f"a prefix of {len(request.prefix)} tokens, the cache holds {self.cache_length}")
        if len(request.prefix) + request.max_tokens > self.max_positions:
            raise EngineError(f"{request.max_tokens} tokens asked, {self.max_positions} positions at most")
        self._queue.append((request, time.monotonic()))

    def step(self) -> list[Completion]:
        """Advance every slot by one token and return the sequences that ended."""
        self._schedule()
        if not any(self._slots):
            return []
        logits_SV = self._run()
        return [done for index in range(self.slots) if (done := self._postprocess(index, logits_SV[index]))]

    def _schedule(self) -> None:
        for index, slot in enumerate(self._slots):
            if slot is None and self._queue:
                request, submitted = self._queue.popleft()
                self._slots[index] = _Slot(request, submitted, time.monotonic(), token=request.prefix[0])

    @torch.inference_mode()
    def _run(self) -> NDArray[np.float32]:
        """Run the transformer over the current token of every slot; return logits_SV on the host."""
        tokens_S = torch.tensor([slot.token if slot else 0 for slot in self._slots], device=self.device)
        positions = [slot.position if slot else 0 for slot in self._slots]
        entries_S = torch.tensor([self._entry(slot) for slot in self._slots], device=self.device)
        table_S12E = self._rotary_P2E[torch.tensor(positions, device=self.device)][:, None]
        x_S1D = self.model.embedding(tokens_S)[:, None]
        spans = [self._span(slot) if slot else None for slot in self._slots]
        for layer in range(self.model.config.layers):
            block = self.model.block(layer)
            q_S1HE, k_S1HE, v_S1HE = block.project(x_S1D, table_S12E)
            keys_SHCE, values_SHCE = self.keys_LSHCE[layer], self.values_LSHCE[layer]
            keys_SHCE[self._rows, :, entries_S] = k_S1HE[:, 0]
            values_SHCE[self._rows, :, entries_S] = v_S1HE[:, 0]
            x_S1D = block.absorb(x_S1D, self._attend(q_S1HE, keys_SHCE, values_SHCE, spans))
        logits: NDArray[np.float32] = self.model.logits(x_S1D)[:, 0].float().cpu().numpy()
        return logits

    def _attend(self, q_S1HE: Tensor, keys_SHCE: Tensor, values_SHCE: Tensor, spans: list[Tensor | None]) -> Tensor:
        mixed = [
            torch.zeros_like(q_S1HE[s : s + 1]).transpose(1, 2)
            if span is None
            else F.scaled_dot_product_attention(
                q_S1HE[s : s + 1].transpose(1, 2),
                keys_SHCE[s : s + 1, :, : span.shape[-1]],
                values_SHCE[s : s + 1, :, : span.shape[-1]],
                attn_mask=span,
            )
            for s, span in enumerate(spans)
        ]
        return torch.cat(mixed).transpose(1, 2).flatten(2)

    def _entry(self, slot: _Slot | None) -> int:
        """Return where in the cache the current token of a slot is written."""
        if slot is None:
            return 0
        kept = len(slot.request.prefix)
        if slot.position < self.cache_length:
            return slot.position
        return kept + (slot.position - kept) % (self.cache_length - kept)

    def _span(self, slot: _Slot) -> Tensor:
        """Return what is added to a slot's scores: 0 for the entries it has filled, -inf up to its bucket's end."""
        filled = min(slot.position + 1, self.cache_length)
        length = -(-filled // CACHE_BUCKET) * CACHE_BUCKET
        return self._masks_FC[filled, :length][None, None, None]

    def _postprocess(self, index: int, logits_V: NDArray[np.float32]) -> Completion | None:
        slot = self._slots[index]
        if slot is None:
            return None
        request = slot.request
        slot.position += 1
        if slot.position < len(request.prefix):
            slot.token = request.prefix[slot.position]
            return None
        allowed = request.constraint.allowed()
        draw = uniform(request.seed, request.stage, len(slot.tokens))
        token = sample_token(logits_V, allowed, temperature=request.temperature, top_p=request.top_p, draw=draw)
        slot.log_likelihood += _log_probability(logits_V, allowed, token)
        slot.tokens.append(token)
        slot.token = token
        request.constraint.push(token)
        if not request.constraint.done and len(slot.tokens) < request.max_tokens:
            return None
        self._slots[index] = None
        return Completion(
            key=request.key,
            tokens=tuple(slot.tokens),
            exhausted=not request.constraint.done,
            log_likelihood=slot.log_likelihood,
            queued_s=slot.started - slot.submitted,
            wall_s=time.monotonic() - slot.started,
        )


def _log_probability(logits_V: NDArray[np.float32], allowed_V: NDArray[np.bool_], token: int) -> float:
    scores = logits_V[allowed_V].astype(np.float64)
    return float(logits_V[token] - scores.max() - np.log(np.exp(scores - scores.max()).sum()))
