"""The decoder."""

import pytest
import torch

from models.transformer import Transformer, TransformerConfig, rotary_table, rotate


def small(**changes: int) -> Transformer:
    sizes = {"vocabulary": 40, "layers": 2, "width": 32, "heads": 2, "feed_forward": 64} | changes
    model = Transformer(TransformerConfig(**sizes))
    model.reset_parameters(torch.Generator().manual_seed(0))
    return model.eval()


@torch.inference_mode()
def test_no_token_sees_the_future() -> None:
    model, positions = small(), torch.arange(12)[None]
    tokens = torch.arange(12)[None]
    changed = tokens.clone()
    changed[0, 8:] = 3
    assert torch.equal(model(tokens, positions)[:, :8], model(changed, positions)[:, :8])
    assert not torch.equal(model(tokens, positions)[:, 8:], model(changed, positions)[:, 8:])


@torch.inference_mode()
def test_only_distances_between_positions_matter() -> None:
    model, tokens = small(), torch.randint(0, 40, (1, 10), generator=torch.Generator().manual_seed(1))
    near, far = model(tokens, torch.arange(10)[None]), model(tokens, torch.arange(10)[None] + 5000)
    assert torch.allclose(near, far, atol=2e-5)


def test_rotation_keeps_lengths() -> None:
    config = small().config
    x = torch.randn(1, 7, 2, 16, generator=torch.Generator().manual_seed(2))
    turned = rotate(x, rotary_table(config, torch.arange(7)[None] * 100))
    assert torch.allclose(x.norm(dim=-1), turned.norm(dim=-1), atol=1e-5)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="width 30"):
        TransformerConfig(vocabulary=4, layers=1, width=30, heads=4, feed_forward=8)
