"""Packed weights come back close to what they were."""

import torch

from models.packing import pack, unpack


def test_matrices_keep_seven_bits_a_row_and_vectors_half_precision():
    draw = torch.Generator().manual_seed(0)
    given = {
        "scale": torch.randn(9, generator=draw),
        "w": torch.randn(5, 64, generator=draw) * torch.tensor([[1e-3], [1.0], [50.0], [0.0], [1.0]]),
        "n": torch.arange(4),
    }
    packed = pack(given)
    assert packed["w"].dtype == torch.int8
    back = unpack(packed)
    assert back.keys() == given.keys()
    assert torch.equal(back["n"], given["n"])
    torch.testing.assert_close(back["scale"], given["scale"], rtol=1e-3, atol=0)
    steps = given["w"].abs().amax(dim=1, keepdim=True) / 127
    assert ((back["w"] - given["w"]).abs() <= steps / 2 + 1e-9).all()


def test_packing_what_was_packed_changes_nothing():
    packed = pack({"w": torch.randn(8, 32, generator=torch.Generator().manual_seed(0))})
    again = pack(unpack(packed))
    assert torch.equal(again["w"], packed["w"])
