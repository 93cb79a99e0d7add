"""A share of the items forgets codes of its own, half of it all of them; the others none."""

import numpy as np
import torch

from models.training.forgetting import forgotten


def test_half_of_the_share_forgets_all_and_the_rest_of_it_a_part():
    lost_BN = forgotten(4000, 50, 0.5, np.random.default_rng(0)).float().mean(dim=1)
    assert abs(float((lost_BN == 1).float().mean()) - 0.25) < 0.03
    assert abs(float((lost_BN == 0).float().mean()) - 0.5) < 0.03


def test_the_same_draws_forget_the_same():
    first, second = (forgotten(8, 20, 0.5, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, second)
