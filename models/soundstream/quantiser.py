"""Residual vector quantiser: SoundStream (Zeghidour et al. 2021), sections III-C and III-D.

Codebooks follow an exponential average of what is assigned to them; an entry that is hardly used is replaced by an
input of the present batch. Some items of a batch use only their first codebooks (quantiser dropout), so that every
prefix of the codes can be decoded.

Shapes: B batch, F codec frames, D latent width, K codebooks, V codebook entries, N = B * F vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_START, _REFRESHED = 0.1, 0.2  # spread of new codebooks; weight of a replaced entry
_LEAST = 0.03  # average assignments a step below which an entry is replaced


@dataclass(frozen=True, slots=True)
class Quantised:
    """What training needs of a quantisation: values with the gradient passed straight through, loss, use."""

    z_BFD: Tensor
    commitment: Tensor
    used_K: Tensor  # share of entries in use


class ResidualVQ(nn.Module):
    """K codebooks, each coding what the ones before it left over."""

    codebooks_KVD: Tensor
    counts_KV: Tensor
    sums_KVD: Tensor
    started: Tensor

    def __init__(self, *, codebooks: int, entries: int, width: int, decay: float = 0.97) -> None:
        super().__init__()
        self.codebooks, self.entries, self.width, self.decay = codebooks, entries, width, decay
        self.register_buffer("codebooks_KVD", torch.zeros(codebooks, entries, width))
        self.register_buffer("counts_KV", torch.ones(codebooks, entries), persistent=False)
        self.register_buffer("sums_KVD", torch.zeros(codebooks, entries, width), persistent=False)
        self.register_buffer("started", torch.tensor(False), persistent=False)

    def encode(self, z_BFD: Tensor, codebooks: int | None = None) -> Tensor:
        """Return codes_BFK, int64 in [0, V), coarsest codebook first."""
        codes: list[Tensor] = []
        rest_BFD = z_BFD
        for codebook_VD in self.codebooks_KVD[:codebooks]:
            codes.append(nearest(rest_BFD, codebook_VD))
            rest_BFD = rest_BFD - F.embedding(codes[-1], codebook_VD)
        return torch.stack(codes, dim=-1)

    def decode(self, codes_BFK: Tensor) -> Tensor:
        """Return z_BFD: the sum of the entries that the first K codes name."""
        z_BFD = F.embedding(codes_BFK[..., 0], self.codebooks_KVD[0])
        for k in range(1, codes_BFK.shape[-1]):
            z_BFD = z_BFD + F.embedding(codes_BFK[..., k], self.codebooks_KVD[k])
        return z_BFD

    def quantise(self, z_BFD: Tensor, used_B: Tensor, random: torch.Generator) -> Quantised:
        """Quantise in training: item b uses its first used_B[b] codebooks; the codebooks follow.

        Args:
            z_BFD: latents, float32.
            used_B: int64 in [1, K].
            random: where replaced entries are drawn from.
        """
        batch, frames, width = z_BFD.shape
        rest_ND = z_BFD.reshape(-1, width)
        sum_ND = torch.zeros_like(rest_ND)
        used_N = used_B.repeat_interleave(frames)
        commitment = rest_ND.new_zeros(())
        for k in range(self.codebooks):
            active_N1 = (used_N > k)[:, None]
            code_N = self._follow(k, rest_ND.detach(), active_N1[:, 0], random)
            entry_ND = F.embedding(code_N, self.codebooks_KVD[k])
            error_N1 = (rest_ND - entry_ND).square().mean(dim=1, keepdim=True)
            commitment = commitment + (error_N1 * active_N1).sum() / active_N1.sum().clamp_min(1)
            sum_ND = sum_ND + entry_ND * active_N1
            rest_ND = rest_ND - entry_ND
        self.started.fill_(value=True)
        straight_BFD = z_BFD + (sum_ND.view(batch, frames, width) - z_BFD).detach()
        return Quantised(straight_BFD, commitment / self.codebooks, (self.counts_KV > _LEAST).float().mean(dim=1))

    @torch.no_grad()
    def _follow(self, k: int, rest_ND: Tensor, active_N: Tensor, random: torch.Generator) -> Tensor:
        """Assign vectors to entries of codebook k, move the entries, and return code_N."""
        codebook_VD, counts_V, sums_VD = self.codebooks_KVD[k], self.counts_KV[k], self.sums_KVD[k]
        if not self.started:
            picked = torch.randint(len(rest_ND), (self.entries,), generator=random)
            noise = torch.randn(self.entries, self.width, generator=random).to(rest_ND.device)
            codebook_VD.copy_(rest_ND[picked] + _START * noise * rest_ND.std())
            sums_VD.copy_(codebook_VD)
        code_N = nearest(rest_ND, codebook_VD)
        counts_V.mul_(self.decay).index_add_(0, code_N, active_N.float(), alpha=1 - self.decay)
        sums_VD.mul_(self.decay).index_add_(0, code_N, rest_ND * active_N[:, None], alpha=1 - self.decay)
        unused_V = counts_V < _LEAST
        if replaced := int(unused_V.sum()):
            picked = torch.randint(len(rest_ND), (replaced,), generator=random)
            sums_VD[unused_V] = rest_ND[picked] * _REFRESHED
            counts_V[unused_V] = _REFRESHED
        codebook_VD.copy_(sums_VD / counts_V.clamp_min(1e-4)[:, None])
        return code_N

    def following(self) -> dict[str, Tensor]:
        """Return the running sums that a resumed training needs beside the weights."""
        return {"counts_KV": self.counts_KV, "sums_KVD": self.sums_KVD, "started": self.started}

    def follow_on(self, state: dict[str, Tensor]) -> None:
        """Take up what `following` gave."""
        self.counts_KV.copy_(state["counts_KV"])
        self.sums_KVD.copy_(state["sums_KVD"])
        self.started.copy_(state["started"])


def nearest(x_ND: Tensor, codebook_VD: Tensor) -> Tensor:
    """Return the index of the nearest entry for each vector, int64; x may have any leading shape."""
    return (2 * x_ND @ codebook_VD.T - codebook_VD.square().sum(dim=1)).argmax(dim=-1)
