"""A small random decoder of several codebooks, of the kinds the engine serves, and requests for it."""

import numpy as np
import torch
from torch import Tensor, nn

from models.engine.patterns import FREE, Delay
from models.engine.requests import Conditioning, Request
from models.transformer import Trunk, TrunkConfig

CODEBOOKS, ENTRIES = 3, 40


class TinyDecoder(nn.Module):
    """Sums the codebooks' embeddings; entry ENTRIES of each is the hole of the delay pattern."""

    codebooks = CODEBOOKS

    def __init__(
        self, *, cross_attention: bool = False, rotary: bool = True, layers: int = 2, width: int = 64
    ) -> None:
        super().__init__()
        config = TrunkConfig(
            layers=layers,
            width=width,
            heads=width // 32,
            feed_forward=2 * width,
            cross_attention=cross_attention,
            rotary_base=10_000.0 if rotary else None,
        )
        self.trunk = Trunk(config)
        self.embedding_KVD = nn.Parameter(torch.empty(CODEBOOKS, ENTRIES + 1, width))
        self.head_KVD = nn.Parameter(torch.empty(CODEBOOKS, ENTRIES, width))
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                # far from even: neighbours that leaked would change the choice
                parameter.normal_(1.0 if "norm.weight" in name else 0.0, 0.2, generator=generator)
        self.requires_grad_(False)

    def embed(self, codes_SK: Tensor, positions_S: Tensor) -> Tensor:
        x_SD = sum(self.embedding_KVD[k][codes_SK[:, k]] for k in range(CODEBOOKS))
        if self.trunk.config.rotary_base is None:
            x_SD = x_SD + torch.sin(positions_S[:, None] / (1 + torch.arange(x_SD.shape[1])))
        return x_SD


def rows(seed: int, count: int, width: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def request(
    n: int,
    model: TinyDecoder,
    *,
    frames: int | None = None,
    prefix: int | None = None,
    given: int = 0,
    guided: bool | None = None,
    **changes: object,
) -> Request:
    """The nth of a mixed crowd: with and without guidance, prefixes, additions, holes fed back and continuations."""
    width = model.trunk.config.width
    frames = frames if frames is not None else 4 + 3 * (n % 4)
    codes_TK = np.full((frames, CODEBOOKS), FREE)
    codes_TK[:given] = np.random.default_rng(n).integers(0, ENTRIES, (given, CODEBOOKS))
    grid_NK = Delay(ENTRIES).spread(codes_TK)

    def told(seed: int, length: int) -> Conditioning:
        return Conditioning(
            prefix_PD=rows(seed, length, width),
            added_ND=rows(seed + 1, len(grid_NK), width) if n % 2 else None,
            memory_MD=rows(seed + 2, 2 + n % 5, width) if model.trunk.config.cross_attention else None,
            instead_N=np.where(np.random.default_rng(n).random(len(grid_NK)) < 0.5, ENTRIES, FREE)
            if n % 3 == 2
            else None,
        )

    prefix = prefix if prefix is not None else 1 + (37 * n) % 50
    arguments = {
        "key": str(n),
        "conditioning": told(100 * n, prefix),
        "unconditional": told(100 * n + 50, 1 + n % 3) if (n % 3 == 1 if guided is None else guided) else None,
        "guidance_scale": 3.0,
        "given_NK": grid_NK,
        "seed": n,
        "stage": "test",
        "top_k": 20 if n % 4 == 3 else 0,
    }
    return Request(**(arguments | changes))
