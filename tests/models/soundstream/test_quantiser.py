"""The residual quantiser: what it codes, and how its codebooks follow."""

import torch

from models.soundstream.quantiser import ResidualVQ


def vectors(n=4096, width=6):
    return torch.randn(4, n // 4, width, generator=torch.Generator().manual_seed(0))


def trained(steps=40):
    quantiser = ResidualVQ(codebooks=4, entries=32, width=6, decay=0.9)
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        used = quantiser.quantise(vectors(), torch.tensor([4, 4, 2, 1]), draw).used_K
    return quantiser, used


def test_every_further_codebook_leaves_less():
    quantiser, _ = trained()
    codes = quantiser.encode(vectors())
    left = [float((vectors() - quantiser.decode(codes[..., :k])).square().mean()) for k in range(1, 5)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.25 * left[0]


def test_all_entries_come_into_use():
    _, used_K = trained()
    assert float(used_K.min()) > 0.9


def test_the_gradient_passes_straight_through():
    quantiser, _ = trained(steps=2)
    z = vectors().requires_grad_()
    quantiser.quantise(z, torch.full((4,), 4), torch.Generator().manual_seed(2)).z_BFD.sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))


def test_an_item_that_uses_fewer_codebooks_is_coded_by_those_alone():
    quantiser, _ = trained(steps=3)
    z = vectors()
    made = quantiser.quantise(z, torch.tensor([1, 2, 3, 4]), torch.Generator().manual_seed(2)).z_BFD
    error = (made - z).square().mean(dim=(1, 2))
    assert error.tolist() == sorted(error.tolist(), reverse=True)
