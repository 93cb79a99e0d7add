"""What the engine is asked for and what it gives back.

Shapes: P rows of a prefix, N steps, K codes a step, D width, M rows of a memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class EngineError(ValueError):
    """A request that the engine cannot serve; the message gives the sizes."""


class Constraint(Protocol):
    """Follows a sequence of one code a step and says which may come next."""

    @property
    def done(self) -> bool:
        """Whether the sequence has ended."""

    def allowed(self) -> NDArray[np.bool_]:
        """Return mask_V: True where a token may come next."""

    def push(self, token: int) -> None:
        """Follow the sequence by one token."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditioning:
    """What a sequence is told.

    Attributes:
        prefix_PD: embedded inputs before the first code, at least one; step 0 is predicted from the last of them.
            They are never forgotten, however long the sequence grows.
        added_ND: added to the input from which step n is predicted: added_ND[0] to the last row of the prefix,
            added_ND[n] to the embedded codes of step n - 1.
        memory_MD: what cross-attention attends to.
        instead_N: a code that is fed back for every codebook instead of those drawn at step n, FREE (-1) where these
            are: what a model makes of a hole is to go by what else it is told.
    """

    prefix_PD: Tensor
    added_ND: Tensor | None = None
    memory_MD: Tensor | None = None
    instead_N: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One sequence to be continued. Every draw is keyed by (seed, stage, step, codebook).

    Attributes:
        key: names the request; unique among those the engine holds.
        conditioning: what the sequence is told.
        unconditional: what its twin is told, for classifier-free guidance (Ho and Salimans 2022).
        guidance_scale: 1 leaves the twin without effect, more moves away from it.
        given_NK: the codes of every step, FREE (-1) where they are to be drawn (`models.engine.patterns`).
        constraint: says what may come next and when the end has come; for one code a step.
        temperature: 0 takes the likeliest code.
        top_k: draw from so many of the likeliest; 0 from all.
        top_p: draw from the nucleus of this mass; 1 from all.
        expected_steps: how many steps it will likely take, to schedule it; by default as many as there are.
    """

    key: str
    conditioning: Conditioning
    given_NK: NDArray[np.int64]
    seed: int
    stage: str
    unconditional: Conditioning | None = None
    guidance_scale: float = 1.0
    constraint: Constraint | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    expected_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completion:
    """A finished sequence: the codes of its steps, given ones included.

    `exhausted` if the steps ran out before the constraint's end.
    """

    key: str
    codes_NK: NDArray[np.int64]
    exhausted: bool
    log_likelihood: float  # nats, of the codes drawn, under the model's own distribution over the allowed ones
    queued_s: float
    wall_s: float

    @property
    def tokens(self) -> tuple[int, ...]:
        """The codes, for one code a step."""
        return tuple(self.codes_NK[:, 0].tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a request is: steps made, of at most so many. `running` is false while it waits."""

    made: int
    steps: int
    running: bool
