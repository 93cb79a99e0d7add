"""A stage of the hierarchy: a decoder over codes, told by a prefix and by codes known for every step.

Semantic (MusicLM, section 3.2): prefix MuLan tokens; one codebook, a step for each semantic token.
Coarse: prefix MuLan tokens; the coarse codebooks of the codec in the delay pattern; the semantic tokens of each
frame's time are added to its input. Fine: the coarse codes of each frame are added to its input.
Semantic and coarse stages may be told a melody too: its class at each step's time is added. The paper (section 4.4)
puts melody tokens beside those of MuLan.
The paper puts what a stage is told before its codes and flattens the codebooks into one sequence: a clip of 10 s then
has 2,262 coarse steps where here it has 503, which is what two processor cores can learn and play in reasonable time.
`paper` keeps the paper's sizes in this layout.

Shapes: B batch, P rows of the prefix, N steps, K codebooks, V entries, A added codebooks, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.melody import contour
from models.transformer import Trunk, TrunkConfig

SILENT = -1  # in the place of a token that a step is not told


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """Size of a stage and what it is told.

    `prefix_codebooks` of `prefix_entries` come before the codes; `added_codebooks` of `added_entries` are added to
    each step's input; with `melody` the last of them is the melody's. With `melody_table` rests and pitches have a
    table of their own, and only what is added where nothing is told stays with the others. `codebooks` of `entries`
    are predicted.
    """

    trunk: TrunkConfig
    codebooks: int
    entries: int
    prefix_codebooks: int = 0
    prefix_entries: int = 0
    added_codebooks: int = 0
    added_entries: int = 0
    melody: bool = False
    melody_table: bool = False

    @property
    def hole(self) -> int:
        """The code that stands where a codebook of the delay pattern has not begun or has ended."""
        return self.entries


def _trunk(layers: int, width: int) -> TrunkConfig:
    return TrunkConfig(layers=layers, width=width, heads=width // 64, feed_forward=4 * width)


def semantic(trunk: TrunkConfig, *, classes: int, prefix: tuple[int, int]) -> StageConfig:
    """Return the first stage: MuLan tokens (codebooks, entries) and a melody to semantic tokens."""
    return StageConfig(
        trunk=trunk, codebooks=1, entries=classes, prefix_codebooks=prefix[0], prefix_entries=prefix[1],
        added_codebooks=1, added_entries=contour.ENTRIES, melody=True,
    )  # fmt: skip


def coarse(trunk: TrunkConfig, *, codebooks: int, entries: int, classes: int, prefix: tuple[int, int]) -> StageConfig:
    """Return the second stage: MuLan and semantic tokens and a melody to coarse codes.

    A step hears its semantic token and the next.
    """
    return StageConfig(
        trunk=trunk, codebooks=codebooks, entries=entries, prefix_codebooks=prefix[0], prefix_entries=prefix[1],
        added_codebooks=3, added_entries=max(classes, contour.ENTRIES), melody=True,
    )  # fmt: skip


def without_melody(config: StageConfig) -> StageConfig:
    """Return a stage of the same size that is told no melody: what a stage is trained as first."""
    left = config.added_codebooks - 1
    return replace(config, melody=False, added_codebooks=left, added_entries=config.added_entries if left else 0)


def with_melody_table(config: StageConfig) -> StageConfig:
    """Return a stage of the same size whose melodies have a table of their own: what is trained of it last."""
    return replace(config, melody_table=True)


def fine(trunk: TrunkConfig, *, codebooks: int, coarse_codebooks: int, entries: int) -> StageConfig:
    """Return the third stage: coarse codes to fine codes."""
    return StageConfig(
        trunk=trunk, codebooks=codebooks, entries=entries, added_codebooks=coarse_codebooks, added_entries=entries
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The three stages of a model, and how the codec's codebooks are shared out."""

    semantic: StageConfig
    coarse: StageConfig
    fine: StageConfig


def small() -> Stages:
    """Return the stages that ship: 6.6, 8.9 and 5.3 million parameters."""
    prefix = (8, 256)
    return Stages(
        semantic=semantic(_trunk(8, 256), classes=512, prefix=prefix),
        coarse=coarse(_trunk(8, 256), codebooks=4, entries=1024, classes=512, prefix=prefix),
        fine=fine(_trunk(6, 192), codebooks=4, coarse_codebooks=4, entries=1024),
    )


def paper() -> Stages:
    """Return the paper's stages: 24 layers, 16 heads, width 1024, feed-forward 4096; 12 codebooks of 1024.

    430 million parameters each, as the paper says, are these sizes with T5's gated feed-forward.
    """
    prefix, trunk = (
        (12, 1024),
        TrunkConfig(layers=24, width=1024, heads=16, feed_forward=4096, dropout=0.1, gated=True),
    )
    return Stages(
        semantic=semantic(trunk, classes=1024, prefix=prefix),
        coarse=coarse(trunk, codebooks=4, entries=1024, classes=1024, prefix=prefix),
        fine=fine(trunk, codebooks=8, coarse_codebooks=4, entries=1024),
    )


class Stage(nn.Module):
    """Embeddings, a trunk, and a head for each codebook."""

    def __init__(self, config: StageConfig) -> None:
        super().__init__()
        self.config, width = config, config.trunk.width
        self.codebooks = config.codebooks
        self.trunk = Trunk(config.trunk)
        self.codes = nn.Embedding(config.codebooks * (config.entries + 1), width)  # an entry more: the hole
        self.heads_KVD = nn.Parameter(torch.zeros(config.codebooks, config.entries, width))
        self.start_1D = nn.Parameter(torch.zeros(1, width))
        self.prefix = nn.Embedding(max(config.prefix_codebooks * config.prefix_entries, 1), width)
        self.untold_PD = nn.Parameter(torch.zeros(config.prefix_codebooks, width))
        self.added = nn.Embedding(max(config.added_codebooks * config.added_entries, 1), width)
        self.melody = nn.Embedding(contour.ENTRIES - contour.REST, width) if config.melody_table else None

    @property
    def head_KVD(self) -> Tensor:
        """The heads' weights, as the engine asks for them."""
        return self.heads_KVD

    def embed(self, codes_SK: Tensor, positions_S: Tensor) -> Tensor:  # noqa: ARG002  # positions are rotary
        """Return x_SD: the sum of the embedded codes; leading shapes may be any."""
        return _summed(self.codes, codes_SK, self.config.entries + 1)

    def embed_prefix(self, tokens_P: Tensor | None) -> Tensor:
        """Return the prefix (1 + P, D) of these tokens, or what stands for none: the untold prefix of guidance."""
        told = self.untold_PD if tokens_P is None else self._prefix_rows(tokens_P)
        return torch.cat([told, self.start_1D])

    def embed_added(self, codes_NA: Tensor) -> Tensor:
        """Return what is added to the inputs, (N, D); what is SILENT adds nothing."""
        rows_NAD = self.added(codes_NA.clamp_min(0) + _offsets(codes_NA, self.config.added_entries))
        if self.melody is not None:
            melody_N = codes_NA[..., -1]
            said_ND = self.melody((melody_N - contour.REST).clamp_min(0))
            said_ND = torch.where((melody_N >= contour.REST)[..., None], said_ND, rows_NAD[..., -1, :])
            rows_NAD = torch.cat([rows_NAD[..., :-1, :], said_ND[..., None, :]], dim=-2)
        return cast(Tensor, rows_NAD.masked_fill((codes_NA == SILENT)[..., None], 0.0).sum(dim=-2))

    def forward(
        self,
        codes_BNK: Tensor,
        prefix_BP: Tensor | None,
        told_B: Tensor | None,
        added_BNA: Tensor | None,
        forgotten_BN: Tensor | None = None,
    ) -> Tensor:
        """Return logits_BNKV of every step's codes, given those before; arguments are those of `inputs`."""
        return self.score(codes_BNK, self.inputs(codes_BNK, prefix_BP, told_B, added_BNA, forgotten_BN=forgotten_BN))

    def score(self, codes_BNK: Tensor, x_BTD: Tensor) -> Tensor:
        """Return logits_BNKV of every step's codes from what the trunk is fed."""
        positions_1T = torch.arange(x_BTD.shape[1], device=x_BTD.device)[None]
        hidden_BND = self.trunk.hidden(x_BTD, positions_1T)[:, -codes_BNK.shape[1] :]
        return torch.einsum("bnd,kvd->bnkv", hidden_BND, self.heads_KVD.to(hidden_BND.dtype))

    def inputs(
        self,
        codes_BNK: Tensor,
        prefix_BP: Tensor | None,
        told_B: Tensor | None,
        added_BNA: Tensor | None,
        heard_BND: Tensor | None = None,
        forgotten_BN: Tensor | None = None,
    ) -> Tensor:
        """Return x_BTD, what the trunk is fed: the prefix, and for each step the codes before it.

        Args:
            codes_BNK: steps as the pattern lays them out, holes included.
            prefix_BP: tokens before the codes, if the stage has any.
            told_B: False for items whose prefix is left untold, which guidance learns from.
            added_BNA: codes added to each step's input, if the stage has any.
            heard_BND: what else is added to each step's input.
            forgotten_BN: True for steps whose codes are not given to the one after, if any.
        """
        batch, steps, _ = codes_BNK.shape
        rows = [self.start_1D.expand(batch, 1, -1)]
        if prefix_BP is not None and told_B is not None:
            told = torch.where(told_B[:, None, None], self._prefix_rows(prefix_BP), self.untold_PD)
            rows.insert(0, told)
        if forgotten_BN is not None:
            codes_BNK = codes_BNK.masked_fill(forgotten_BN[..., None], self.config.hole)
        rows.append(self.embed(codes_BNK[:, :-1], codes_BNK))
        x_BTD = torch.cat(rows, dim=1)
        before = x_BTD.shape[1] - steps
        if added_BNA is not None:
            x_BTD = x_BTD + F.pad(self.embed_added(added_BNA), (0, 0, before, 0))
        if heard_BND is not None:
            x_BTD = x_BTD + F.pad(heard_BND, (0, 0, before, 0))
        return x_BTD

    @torch.no_grad()
    def take_up(self, other: Stage) -> None:
        """Begin with the weights of a stage that differs only in what it knows of melodies.

        If it is told none, what they add begins as 0; if it has no table of them, that begins as what it has instead.
        A table that this has no place for is left.
        """
        state = other.state_dict()
        rows = state.pop("added.weight")[: other.config.added_codebooks * other.config.added_entries]
        self.load_state_dict(state, strict=False)
        self.added.weight.zero_()
        self.added.weight[: len(rows)] = rows
        if self.melody is not None and other.melody is None:
            first = (self.config.added_codebooks - 1) * self.config.added_entries
            self.melody.weight.copy_(self.added.weight[first:][contour.REST : contour.ENTRIES])

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw all weights."""
        self.trunk.reset_parameters(generator)
        with torch.no_grad():
            for weight in (self.codes.weight, self.heads_KVD, self.start_1D, self.prefix.weight, self.untold_PD):
                weight.normal_(0.0, 0.02, generator=generator)
            self.added.weight.normal_(0.0, 0.02, generator=generator)
            if self.melody is not None:
                self.melody.weight.normal_(0.0, 0.02, generator=generator)

    def _prefix_rows(self, tokens_P: Tensor) -> Tensor:
        offsets = torch.arange(self.config.prefix_codebooks, device=tokens_P.device) * self.config.prefix_entries
        return cast(Tensor, self.prefix(tokens_P + offsets))


def _summed(table: nn.Embedding, codes_K: Tensor, entries: int) -> Tensor:
    """Return the sum over the last axis of the codes' embeddings; codebook k has the k-th block of the table."""
    return cast(Tensor, table(codes_K + _offsets(codes_K, entries)).sum(dim=-2))


def _offsets(codes_K: Tensor, entries: int) -> Tensor:
    return torch.arange(codes_K.shape[-1], device=codes_K.device) * entries


def heard_by(tokens_F: Tensor, steps: int) -> Tensor:
    """Return added_N2 for the coarse stage: the semantic token of each step's time and the one after.

    Shapes: F semantic tokens, at half the codec's frame rate.
    """
    now = (torch.arange(steps, device=tokens_F.device) // 2).clamp(max=tokens_F.shape[-1] - 1)
    following = (now + 1).clamp(max=tokens_F.shape[-1] - 1)
    return torch.stack([tokens_F[..., now], tokens_F[..., following]], dim=-1)


def unheard(added_NA: Tensor) -> Tensor:
    """Return what `heard_by` gave with no token told."""
    return torch.full_like(added_NA, SILENT)


def held_for(codes_BFK: Tensor, steps: int) -> Tensor:
    """Return added_BNK for the fine stage: the codes of each step's frame; past the end, the last one's."""
    frames = torch.arange(steps, device=codes_BFK.device).clamp(max=codes_BFK.shape[1] - 1)
    return codes_BFK[:, frames]


def with_melody(added_NA: Tensor | None, melody_Q: Tensor, steps: int) -> Tensor:
    """Return added_N(A + 1): what is added to each step, and the melody's class at the step's time.

    `melody_Q` has the rate of semantic tokens: one for each step of the semantic stage, whose `added_NA` is None, and
    one for every two frames of the coarse stage. Leading shapes may be any.
    """
    each = 1 if added_NA is None else 2
    at_N = (torch.arange(steps, device=melody_Q.device) // each).clamp(max=melody_Q.shape[-1] - 1)
    melody_N1 = melody_Q[..., at_N, None]
    return melody_N1 if added_NA is None else torch.cat([added_NA, melody_N1], dim=-1)
