"""What the engine is asked for and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Constraint(Protocol):
    """Follows one sequence and says which tokens may come next."""

    done: bool

    def allowed(self) -> NDArray[np.bool_]:
        """Return mask_V: True where a token may come next."""

    def push(self, token: int) -> None:
        """Follow the sequence by one token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One sequence to be continued.

    `prefix` is never forgotten, however long the sequence grows. Every draw is keyed by (seed, stage, step).
    """

    key: str
    prefix: tuple[int, ...]
    constraint: Constraint
    seed: int
    stage: str
    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A finished sequence: `tokens` follow the prefix. `exhausted` if max_tokens came before the end."""

    key: str
    tokens: tuple[int, ...]
    exhausted: bool
    log_likelihood: float  # nats, of the tokens under the model's own distribution over the allowed ones
    queued_s: float
    wall_s: float
