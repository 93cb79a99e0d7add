"""Figures of known values."""

import math

import numpy as np
import pytest

from models.evaluation.clip import derangement
from models.evaluation.scores import area_under_curve, bootstrap_interval, kl_divergence, recall_at, share


def test_the_area_is_one_half_for_alike_one_for_apart_and_counts_draws_half():
    assert area_under_curve([1, 2, 3], [1, 2, 3]) == 0.5
    assert area_under_curve([2, 3], [0, 1]) == 1.0
    assert area_under_curve([0, 1], [2, 3]) == 0.0
    assert area_under_curve([1], [0, 1, 2, 3]) == pytest.approx(1.5 / 4)


def test_an_area_needs_both_sides():
    with pytest.raises(ValueError, match="0 with and 1 without"):
        area_under_curve([], [1.0])


def test_divergence_has_its_textbook_value_and_is_not_symmetric():
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    assert kl_divergence(p, q) == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))
    assert kl_divergence(p, 7 * p) == pytest.approx(0.0)
    assert kl_divergence(p, q) != pytest.approx(kl_divergence(q, p))


def test_recall_counts_the_right_one_among_the_nearest_and_is_not_fooled_by_sameness():
    similarity = np.array([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.3, 0.2, 0.1]])
    assert [recall_at(similarity, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert recall_at(np.ones((100, 100)), 10) == 0.0


def test_a_derangement_leaves_nobody_in_place_and_leaves_nobody_out():
    for count in (2, 3, 10):
        order = derangement(count, seed=3)
        assert sorted(order) == list(range(count))
        assert all(place != n for n, place in enumerate(order))
    assert derangement(10, seed=3) == derangement(10, seed=3)
    with pytest.raises(ValueError, match="cannot swap"):
        derangement(1, seed=0)


def test_the_interval_of_coin_tosses_is_that_of_their_mean():
    tosses = np.array([0.0, 1.0] * 200)
    low, high = bootstrap_interval(lambda places: float(tosses[places].mean()), 400)
    assert low == pytest.approx(0.5 - 1.96 * 0.5 / 20, abs=0.01)
    assert high == pytest.approx(0.5 + 1.96 * 0.5 / 20, abs=0.01)


def test_what_can_mostly_not_be_measured_has_no_interval():
    assert bootstrap_interval(lambda places: None if 0 in places else 1.0, 2) is None


def test_a_share_of_nothing_is_refused():
    assert share([True, False, False, True]) == 0.5
    with pytest.raises(ValueError, match="nothing"):
        share([])
