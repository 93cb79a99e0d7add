"""Codes given back as a stage would draw them: by the odds it gives, no more than asked, holes left alone."""

import pytest
import torch
from torch.nn import functional as F

from models.training.drawn_back import drawn_back

HOLE, ENTRIES = 8, 8


def drawn(most, logits=None, seed=0):
    codes = torch.zeros(50, 40, 2, dtype=torch.int64)
    codes[:, 0, 1] = HOLE
    logits = torch.zeros(50, 40, 2, ENTRIES) if logits is None else logits.expand(50, 40, 2, ENTRIES)
    return drawn_back(codes, logits, HOLE, most, torch.Generator().manual_seed(seed))


def test_nothing_is_drawn_where_nothing_is_asked_for():
    assert set(drawn(0.0).unique().tolist()) == {0, HOLE}


def test_items_differ_in_how_much_is_drawn_and_holes_stay():
    found = drawn(1.0)
    assert (found[:, 0, 1] == HOLE).all()
    assert (found[:, 1:] < ENTRIES).all()
    shares = (found[:, 1:] != 0).float().mean(dim=(1, 2))  # the code 0 is drawn one time in eight as well
    assert shares.min() < 0.1
    assert 0.7 < shares.max() <= 1.0
    assert shares.mean() == pytest.approx(0.5 * 7 / 8, abs=0.08)


def test_codes_are_drawn_by_the_odds_of_the_logits_and_by_the_seed_alone():
    odds = torch.tensor([0.0, 0.5, 0.3, 0.2, 0.0, 0.0, 0.0, 0.0])
    found = drawn(1.0, odds.clamp_min(1e-9).log())
    counted = F.one_hot(found[found < ENTRIES], ENTRIES).sum(dim=0).float()
    assert counted[1:] / counted[1:].sum() == pytest.approx(odds[1:], abs=0.03)
    assert torch.equal(found, drawn(1.0, odds.clamp_min(1e-9).log()))
    assert not torch.equal(found, drawn(1.0, odds.clamp_min(1e-9).log(), seed=1))
