"""How the codes of K codebooks are laid out over decoding steps (MusicGen, Copet et al. 2023, section 2.2).

A pattern spreads frames of codes over steps and gathers them again. FREE marks what is to be decoded; what is given
(the beginning of a piece that is continued) keeps its value and is never drawn.

Shapes: T frames, K codebooks, N steps, J codes a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FREE = -1
Codes = NDArray[np.int64]


class Pattern(Protocol):
    """One way to lay codes out."""

    def spread(self, codes_TK: Codes) -> Codes:
        """Return codes_NJ: what the engine is given."""

    def gather(self, codes_NJ: Codes) -> Codes:
        """Return codes_TK: the frames of what the engine gives back."""


def to_decode(given_TK: Codes, frames: int) -> Codes:
    """Return codes of `frames` frames: those given first, the rest FREE."""
    codes_TK = np.full((frames, given_TK.shape[1]), FREE, dtype=np.int64)
    codes_TK[: len(given_TK)] = given_TK[:frames]
    return codes_TK


@dataclass(frozen=True, slots=True)
class Parallel:
    """A frame a step, all codebooks at once."""

    def spread(self, codes_TK: Codes) -> Codes:
        """Return the codes as they are."""
        return codes_TK.copy()

    def gather(self, codes_NJ: Codes) -> Codes:
        """Return the codes as they are."""
        return codes_NJ.copy()


@dataclass(frozen=True, slots=True)
class Delay:
    """Codebook k comes k steps later, so that it has heard the coarser ones of its frame.

    `hole` is the code that stands where a codebook has not begun or has already ended. Codebooks of several
    `channels` lie side by side, those of one level with one delay.
    """

    hole: int
    channels: int = 1

    def spread(self, codes_TK: Codes) -> Codes:
        """Return T + K / channels - 1 steps of K codes."""
        frames, codebooks = codes_TK.shape
        codes_NJ = np.full((frames + self._longest(codebooks), codebooks), self.hole, dtype=np.int64)
        for k in range(codebooks):
            delay = k // self.channels
            codes_NJ[delay : delay + frames, k] = codes_TK[:, k]
        return codes_NJ

    def gather(self, codes_NJ: Codes) -> Codes:
        """Return the N - K / channels + 1 frames of N steps."""
        steps, codebooks = codes_NJ.shape
        frames = steps - self._longest(codebooks)
        return np.stack(
            [codes_NJ[k // self.channels : k // self.channels + frames, k] for k in range(codebooks)], axis=1
        )

    def _longest(self, codebooks: int) -> int:
        return codebooks // self.channels - 1


@dataclass(frozen=True, slots=True)
class Flattened:
    """A code a step, coarsest first, as tokens of one vocabulary: codebook k's code v is token k * entries + v."""

    codebooks: int
    entries: int

    def spread(self, codes_TK: Codes) -> Codes:
        """Return T * K steps of one token."""
        tokens_TK = codes_TK + self.entries * np.arange(self.codebooks)
        return np.where(codes_TK == FREE, FREE, tokens_TK).reshape(-1, 1)

    def gather(self, codes_NJ: Codes) -> Codes:
        """Return the frames of N steps, N a multiple of K."""
        return codes_NJ.reshape(-1, self.codebooks) - self.entries * np.arange(self.codebooks)

    def constraint(self, steps: int) -> FlattenedConstraint:
        """Return what keeps each step to the tokens of its codebook, for a request of so many steps."""
        return FlattenedConstraint(self, steps)


@dataclass(slots=True)
class FlattenedConstraint:
    """Allows at each step the tokens of the codebook whose turn it is."""

    pattern: Flattened
    steps: int
    at: int = 0

    @property
    def done(self) -> bool:
        """Whether all steps are made."""
        return self.at >= self.steps

    def allowed(self) -> NDArray[np.bool_]:
        """Return mask_V over the tokens of all codebooks."""
        mask_KV = np.zeros((self.pattern.codebooks, self.pattern.entries), dtype=bool)
        mask_KV[self.at % self.pattern.codebooks] = True
        return mask_KV.reshape(-1)

    def push(self, token: int) -> None:  # noqa: ARG002  # whatever it was, the next codebook is next
        """Go on to the next codebook."""
        self.at += 1
