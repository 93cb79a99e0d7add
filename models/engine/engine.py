"""Batch decoding with fixed slots: schedule, step, postprocess.

A sequence takes free slots and keeps them until it ends; the next one takes them before the next step. No bit of a
sequence depends on its neighbours: every draw is keyed by what it is for, and a backend runs each row by itself.

The cache of a slot holds the prefix for good and the latest inputs in a ring behind it.

Shapes: R rows fed, D width, Q sequences that draw, K codebooks, V vocabulary, I known inputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.engine.backend import CHUNK, Backend, CacheSize, Feed
from models.engine.model import DecoderModel
from models.engine.patterns import FREE
from models.engine.requests import Completion, Conditioning, EngineError, Progress, Request
from models.engine.scheduler import Scheduler
from models.engine.sequence import Row, Sequence, begin
from models.engine.statistics import Statistics
from models.engine.torch_backend import TorchBackend
from models.sampling import log_probabilities, sample_tokens, uniform

CHUNKS_A_STEP = 32  # of prefill, over all sequences: bounds how long a step can take


class Engine:
    """Continues sequences of codes with one model, as many at a time as its slots hold.

    Args:
        model: what continues them.
        slots: rows of the cache; a sequence with guidance takes two.
        cache_length: inputs that a row holds.
        max_positions: inputs of a row altogether, by default as many as it holds.
        memory_length: rows of memory a sequence may attend to, for models with cross-attention.
        backend: makes what runs the model (`models.engine.backends.choose_backend`).
    """

    def __init__(
        self,
        model: DecoderModel,
        *,
        slots: int,
        cache_length: int,
        max_positions: int | None = None,
        memory_length: int = 0,
        backend: Callable[[DecoderModel, CacheSize], Backend] = TorchBackend,
    ) -> None:
        """Allocate the cache."""
        model.trunk.eval()
        self.model = model
        self.size = CacheSize(
            slots=slots, length=cache_length, positions=max_positions or cache_length, memory=memory_length
        )
        self.backend = backend(model, self.size)
        self._scheduler = Scheduler(slots)
        self._statistics = Statistics()

    @property
    def statistics(self) -> Statistics:
        """Return a copy of the sums so far."""
        return replace(self._statistics)

    @property
    def busy(self) -> int:
        """Return how many requests wait or run."""
        return len(self._scheduler)

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            EngineError: the cache or the positions cannot hold it, or it does not fit the model.
        """
        self._check(request)
        self._scheduler.add(begin(request, self.model, self.backend.device, self.backend.dtype))

    def step(self) -> list[Completion]:
        """Advance every running sequence by one step and return those that ended."""
        with self._statistics.time("total_s"):
            self._schedule()
            self._prefill()
            running = self._scheduler.running
            fed = [(each, each.due()) for each in running if not any(map(self._takes_chunk, each.rows))]
            if not fed:
                return []
            logits_RKV = self._run([(sequence, row) for sequence, rows in fed for row in rows])
            return self._postprocess(fed, logits_RKV)

    def progress(self) -> dict[str, Progress]:
        """Return how far each request is."""
        sequences = (*self._scheduler.running, *self._scheduler.waiting)
        return {sequence.request.key: sequence.progress() for sequence in sequences}

    def cancel(self, key: str) -> bool:
        """Forget a request; return whether there was one."""
        sequence = self._scheduler.find(key)
        if sequence is None:
            return False
        if sequence in self._scheduler.running:
            self._scheduler.release(sequence)
        else:
            self._scheduler.waiting.remove(sequence)
        return True

    def preempt(self, key: str) -> bool:
        """Take a running request off its slots and queue it again; it goes on later as if nothing had happened."""
        sequence = self._scheduler.find(key)
        if sequence is None or sequence not in self._scheduler.running:
            return False
        for row in sequence.rows:
            row.saved = self.backend.save(row.slot, min(row.position, self.size.length))
        self._scheduler.release(sequence)
        self._scheduler.add(sequence)
        return True

    def _schedule(self) -> None:
        """Give free slots to sequences that wait, with what their rows held or are to hear."""
        for sequence in self._scheduler.admit():
            if sequence.started is None:
                sequence.started = time.monotonic()
            for row in sequence.rows:
                with self._statistics.time("running_s"):
                    if row.saved is None:
                        self.backend.remember(row.slot, row.conditioning.memory_MD)
                    else:
                        self.backend.restore(row.slot, row.saved)
                row.saved = None

    def _prefill(self) -> None:
        """Feed known inputs in chunks, as far as there are whole ones."""
        chunks = CHUNKS_A_STEP
        for row in (row for sequence in self._scheduler.running for row in sequence.rows):
            while chunks and self._takes_chunk(row):
                with self._statistics.time("running_s"):
                    self.backend.prefill(row.slot, row.position, row.known_ID[row.position : row.position + CHUNK])
                row.position += CHUNK
                chunks -= 1

    def _takes_chunk(self, row: Row) -> bool:
        return row.remaining > CHUNK and row.position + CHUNK <= self.size.length

    @torch.inference_mode()
    def _run(self, rows: list[tuple[Sequence, Row]]) -> NDArray[np.float32]:
        """Feed each row its next input; return logits_RKV."""
        self._statistics.count(len(rows), self.size.slots, waiting=bool(self._scheduler.waiting))
        feeds = [self._feed(row) for _, row in rows]
        with self._statistics.time("running_s"):
            logits_RKV = self.backend.step(feeds, self._inputs(rows))
        for _, row in rows:
            row.position += 1
        return logits_RKV

    def _inputs(self, rows: list[tuple[Sequence, Row]]) -> Tensor:
        device, dtype = self.backend.device, self.backend.dtype
        x_RD = torch.empty((len(rows), self.model.trunk.config.width), device=device, dtype=dtype)
        drawn = [index for index, (_, row) in enumerate(rows) if row.remaining <= 0]
        if drawn:
            codes = np.stack([_fed_back(*rows[index]) for index in drawn])
            positions = torch.tensor([rows[index][1].position for index in drawn], device=device)
            x_RD[drawn] = self.model.embed(torch.from_numpy(codes).to(device), positions).to(dtype)
        for index, (sequence, row) in enumerate(rows):
            if row.remaining > 0:
                x_RD[index] = row.known_ID[row.position]
            elif row.conditioning.added_ND is not None:
                x_RD[index] += row.conditioning.added_ND[sequence.made].to(device, dtype)
        return x_RD

    def _feed(self, row: Row) -> Feed:
        entry, kept, length = row.position, row.prefix, self.size.length
        if entry >= length:
            entry = kept + (entry - kept) % (length - kept)
        return Feed(slot=row.slot, position=row.position, entry=entry, filled=min(row.position + 1, length))

    def _postprocess(
        self, fed: list[tuple[Sequence, list[Row]]], logits_RKV: NDArray[np.float32]
    ) -> list[Completion]:
        """Draw the codes of every sequence whose known inputs are fed; return what ended."""
        drawing, first = [], 0
        for sequence, rows in fed:
            if rows[0].remaining <= 0:
                drawing.append((sequence, first))
            first += len(rows)
        if not drawing:
            return []
        with self._statistics.time("drawing_s"):
            logits_QKV = _guided(drawing, logits_RKV)
            for (sequence, _), logits_KV in zip(drawing, logits_QKV, strict=True):
                if sequence.request.constraint is not None:
                    logits_KV[:, ~sequence.request.constraint.allowed()] = -np.inf
            _draw([sequence for sequence, _ in drawing], logits_QKV)
        ended = []
        for sequence, _ in drawing:
            constraint = sequence.request.constraint
            if sequence.made == len(sequence.codes_NK) or (constraint is not None and constraint.done):
                self._scheduler.release(sequence)
                ended.append(sequence.completion())
        return ended

    def _check(self, request: Request) -> None:
        steps, codebooks = request.given_NK.shape
        if self._scheduler.find(request.key) is not None:
            raise EngineError(f"request {request.key!r} is already here")
        if codebooks != self.model.codebooks:
            raise EngineError(f"{codebooks} codes a step asked of a model with {self.model.codebooks} codebooks")
        if not (request.given_NK == FREE).any():
            raise EngineError(f"none of the {steps} steps is to be decoded")
        if request.constraint is not None and codebooks != 1:
            raise EngineError(f"a constraint follows one code a step, not {codebooks}")
        twin = request.unconditional
        if self.size.slots < 2 and twin is not None:
            raise EngineError("guidance needs two slots, the engine has one")
        for conditioning in (request.conditioning, *([twin] if twin is not None else [])):
            self._check_room(conditioning, steps)

    def _check_room(self, conditioning: Conditioning, steps: int) -> None:
        prefix, length = len(conditioning.prefix_PD), self.size.length
        if not 1 <= prefix <= length or (prefix + steps - 1 > length and prefix >= length // 2):
            raise EngineError(f"a prefix of {prefix} inputs before {steps} steps, the cache holds {length}")
        if prefix + steps > self.size.positions:
            raise EngineError(f"{prefix} inputs and {steps} steps, {self.size.positions} positions at most")
        if conditioning.added_ND is not None and len(conditioning.added_ND) < steps:
            raise EngineError(f"inputs are added to {len(conditioning.added_ND)} of {steps} steps")
        if conditioning.instead_N is not None and len(conditioning.instead_N) < steps:
            raise EngineError(f"what is fed back is told of {len(conditioning.instead_N)} of {steps} steps")
        memory = conditioning.memory_MD
        if self.model.trunk.config.cross_attention and memory is None:
            raise EngineError("the model attends to a memory, none is given")
        if memory is not None and not 1 <= len(memory) <= self.size.memory:
            raise EngineError(f"a memory of {len(memory)} rows, the cache holds {self.size.memory}")


def _fed_back(sequence: Sequence, row: Row) -> NDArray[np.int64]:
    """Return the codes of the last step, codes_K, as a row is fed them."""
    codes_K: NDArray[np.int64] = sequence.codes_NK[sequence.made - 1]
    instead_N = row.conditioning.instead_N
    if instead_N is None or instead_N[sequence.made - 1] == FREE:
        return codes_K
    return np.full_like(codes_K, instead_N[sequence.made - 1])


def _guided(drawing: list[tuple[Sequence, int]], logits_RKV: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits_QKV of the sequences, those with a twin moved away from it by their guidance scale."""
    logits_QKV: NDArray[np.float32] = logits_RKV[[first for _, first in drawing]]
    twins = [q for q, (sequence, _) in enumerate(drawing) if len(sequence.rows) == 2]
    if twins:
        without = logits_RKV[[drawing[q][1] + 1 for q in twins]]
        scales = np.array([drawing[q][0].request.guidance_scale for q in twins], dtype=np.float32)
        logits_QKV[twins] = without + scales[:, None, None] * (logits_QKV[twins] - without)
    return logits_QKV


def _draw(sequences: list[Sequence], logits_QKV: NDArray[np.float32]) -> None:
    """Draw every code of the next step that is not given, for all sequences at once."""
    free_QK = np.stack([sequence.codes_NK[sequence.made] == FREE for sequence in sequences])
    at_N, codebooks_N = np.nonzero(free_QK)
    if len(at_N):
        requests = [sequences[q].request for q in at_N]
        draws = [
            uniform(request.seed, request.stage, sequences[q].made, k)
            for request, q, k in zip(requests, at_N, codebooks_N.tolist(), strict=True)
        ]
        logits_NV = logits_QKV[at_N, codebooks_N]
        tokens_N = sample_tokens(
            logits_NV,
            np.array(draws),
            temperature_N=np.array([request.temperature for request in requests]),
            top_k_N=np.array([request.top_k for request in requests]),
            top_p_N=np.array([request.top_p for request in requests]),
        )
        nats_N = log_probabilities(logits_NV, tokens_N)
        for q, k, token, nats in zip(at_N, codebooks_N, tokens_N, nats_N, strict=True):
            sequences[q].codes_NK[sequences[q].made, k] = token
            sequences[q].log_likelihood += float(nats)
    for sequence in sequences:
        if sequence.request.constraint is not None:
            sequence.request.constraint.push(int(sequence.codes_NK[sequence.made, 0]))
        sequence.made += 1
