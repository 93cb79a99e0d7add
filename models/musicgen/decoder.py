"""MusicGen's decoder: K codebooks with delay, sinusoidal positions, attention to a text (Copet et al. 2023).

The melody variant attends to nothing: its conditioning comes before the codes as inputs.

Shapes: S rows, K codebooks, V entries of a codebook, D width, P positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import MusicgenDecoderConfig, MusicgenMelodyDecoderConfig

from models.transformer import Trunk, TrunkConfig

PREFIX = "decoder."  # of the decoder's tensors in a checkpoint
_LAYER = "model.decoder.layers."


class MusicGenDecoder(nn.Module):
    """Embeddings, trunk and heads."""

    def __init__(self, config: MusicgenDecoderConfig | MusicgenMelodyDecoderConfig, *, cross_attention: bool) -> None:
        """Make the decoder of a checkpoint's configuration.

        Raises:
            ValueError: it asks for what this decoder does not do.
        """
        super().__init__()
        if config.activation_function != "gelu":
            raise ValueError(f"its activation is {config.activation_function!r}, not 'gelu'")
        self.config = config
        self.codebooks: int = config.num_codebooks
        self.hole: int = config.vocab_size  # the code of a codebook that is silent, and of the start
        self.trunk = Trunk(
            TrunkConfig(
                layers=config.num_hidden_layers,
                width=config.hidden_size,
                heads=config.num_attention_heads,
                feed_forward=config.ffn_dim,
                rotary_base=None,
                cross_attention=cross_attention,
            )
        )
        self.embedding_KVD = nn.Parameter(torch.empty(self.codebooks, config.vocab_size + 1, config.hidden_size))
        self.head_KVD = nn.Parameter(torch.empty(self.codebooks, config.vocab_size, config.hidden_size))

    def embed(self, codes_SK: Tensor, positions_S: Tensor) -> Tensor:
        """Return x_SD: the sum of the codes' embeddings, at its position."""
        table_ND = self.embedding_KVD.flatten(0, 1)
        offsets_K = torch.arange(self.codebooks, device=codes_SK.device) * (self.hole + 1)
        x_SD = table_ND[codes_SK + offsets_K].sum(dim=1)
        return x_SD + self.position(positions_S).to(x_SD.dtype)

    def position(self, positions_S: Tensor) -> Tensor:
        """Return the sinusoids of positions, (S, D): cosines and then sines."""
        half = self.trunk.config.width // 2
        rates = torch.exp(torch.arange(half, device=positions_S.device).float() * -(math.log(10_000) / (half - 1)))
        angles = positions_S.float()[:, None] * rates
        return torch.cat((angles.cos(), angles.sin()), dim=1)


def decoder_state(tensors: Mapping[str, Tensor], decoder: MusicGenDecoder) -> dict[str, Tensor]:
    """Return a checkpoint's tensors (without their prefix) under the names of our decoder.

    Raises:
        KeyError: one is missing.
    """
    codebooks = range(decoder.codebooks)
    state = {
        "embedding_KVD": torch.stack([tensors[f"model.decoder.embed_tokens.{k}.weight"] for k in codebooks]),
        "head_KVD": torch.stack([tensors[f"lm_heads.{k}.weight"] for k in codebooks]),
    }
    for end in ("weight", "bias"):
        state[f"trunk.norm.{end}"] = tensors[f"model.decoder.layer_norm.{end}"]
    for index in range(decoder.trunk.config.layers):
        layer, block = f"{_LAYER}{index}.", f"trunk.blocks.{index}."
        parts = [tensors[f"{layer}self_attn.{name}_proj.weight"] for name in "qkv"]
        state[f"{block}qkv.weight"] = torch.cat(parts)
        renamed = {"attention_out": "self_attn.out_proj", "up": "fc1", "down": "fc2"}
        norms = {"attention_norm": "self_attn_layer_norm", "feed_forward_norm": "final_layer_norm"}
        if decoder.trunk.config.cross_attention:
            parts = [tensors[f"{layer}encoder_attn.{name}_proj.weight"] for name in "kv"]
            state[f"{block}cross.key_value.weight"] = torch.cat(parts)
            renamed |= {"cross.query": "encoder_attn.q_proj", "cross.out": "encoder_attn.out_proj"}
            norms |= {"cross.norm": "encoder_attn_layer_norm"}
        for ours, theirs in renamed.items():
            state[f"{block}{ours}.weight"] = tensors[f"{layer}{theirs}.weight"]
        for ours, theirs in norms.items():
            for end in ("weight", "bias"):
                state[f"{block}{ours}.{end}"] = tensors[f"{layer}{theirs}.{end}"]
    return state
