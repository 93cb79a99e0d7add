"""What the engine asks of a model.

Shapes: S rows, K codebooks, D width, V vocabulary of a codebook.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from models.transformer import Trunk


class DecoderModel(Protocol):
    """Embeddings, a trunk, and a linear head for each codebook."""

    codebooks: int

    @property
    def trunk(self) -> Trunk:
        """What turns inputs into hidden states."""

    @property
    def head_KVD(self) -> Tensor:
        """The heads' weights: the logits of codebook k are head_KVD[k] @ hidden."""

    def embed(self, codes_SK: Tensor, positions_S: Tensor) -> Tensor:
        """Return the input x_SD that carries one step's codes (int64), for rows at these positions (int64)."""
