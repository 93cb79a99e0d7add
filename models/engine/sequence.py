"""A request on its way: its codes so far, and the cache rows it holds.

Shapes: I known inputs, N steps, K codes a step, D width.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.engine.backend import SavedRow
from models.engine.model import DecoderModel
from models.engine.patterns import FREE
from models.engine.requests import Completion, Conditioning, Progress, Request


@dataclass(slots=True, eq=False)
class Row:
    """One row of the cache, fed with one conditioning: a guided sequence has two.

    Its first inputs are known from the start: the prefix, and the codes of the steps up to the first that is drawn.
    """

    conditioning: Conditioning
    known_ID: Tensor
    slot: int = -1
    position: int = 0  # of the next input
    saved: SavedRow | None = None  # what the cache held when the sequence was taken off

    @property
    def prefix(self) -> int:
        """How many inputs are never forgotten."""
        return len(self.conditioning.prefix_PD)

    @property
    def remaining(self) -> int:
        """How many inputs are known and not yet fed; 0 and less once codes are drawn."""
        return len(self.known_ID) - self.position


@dataclass(slots=True, eq=False)
class Sequence:
    """A request with its codes so far."""

    request: Request
    rows: tuple[Row, ...]
    codes_NK: NDArray[np.int64]
    made: int  # steps whose codes are final
    submitted: float = field(default_factory=time.monotonic)
    started: float | None = None
    log_likelihood: float = 0.0

    @property
    def expected(self) -> int:
        """How many inputs are still to be fed, as far as can be guessed."""
        steps = self.request.expected_steps or len(self.codes_NK)
        return max(row.remaining for row in self.rows) + max(steps - self.made, 0)

    def due(self) -> list[Row]:
        """Return the rows to be fed next: twins with prefixes of unlike lengths arrive together at the first draw."""
        behind = max(row.remaining for row in self.rows)
        return [row for row in self.rows if row.remaining == behind]

    def progress(self) -> Progress:
        """Return how far it is."""
        return Progress(made=self.made, steps=len(self.codes_NK), running=self.rows[0].slot >= 0)

    def completion(self) -> Completion:
        """Return what the request comes to."""
        constraint, now = self.request.constraint, time.monotonic()
        started = now if self.started is None else self.started
        return Completion(
            key=self.request.key,
            codes_NK=self.codes_NK[: self.made].copy(),
            exhausted=constraint is not None and not constraint.done,
            log_likelihood=self.log_likelihood,
            queued_s=started - self.submitted,
            wall_s=now - started,
        )


@torch.inference_mode()
def begin(request: Request, model: DecoderModel, device: torch.device, dtype: torch.dtype) -> Sequence:
    """Return a request as a sequence that has not begun."""
    codes_NK = request.given_NK.copy()
    undecided = np.flatnonzero((codes_NK == FREE).any(axis=1))
    given = int(undecided[0]) if undecided.size else len(codes_NK)
    told = [request.conditioning] + ([request.unconditional] if request.unconditional is not None else [])
    rows = []
    for conditioning in told:
        known_ID = conditioning.prefix_PD.to(device=device, dtype=dtype)
        start = len(known_ID)
        if given:
            positions = torch.arange(start, start + given, device=device)
            codes = torch.from_numpy(codes_NK[:given]).to(device)
            known_ID = torch.cat((known_ID, model.embed(codes, positions).to(dtype)))
        if conditioning.added_ND is not None:
            known_ID = known_ID.clone()
            known_ID[start - 1 :] += conditioning.added_ND[: given + 1].to(device=device, dtype=dtype)
        rows.append(Row(conditioning, known_ID))
    return Sequence(request, tuple(rows), codes_NK, given)
