"""Transport costs and matches of token sequences."""

import numpy as np
import pytest

from models.evaluation.memorisation import (
    TrainingItems,
    longest_shared_run,
    matching_cost,
    memorisation,
    token_distances,
)
from models.evaluation.transport import transport_cost

LINE = np.abs(np.arange(6.0)[:, None] - np.arange(6.0)[None, :])  # tokens on a line, one apart


@pytest.mark.parametrize(
    ("a", "b", "cost"),
    [
        ([1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], 3.0),
        ([1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], 1.0),
        ([2, 0, 0, 0, 0, 2], [0, 1, 0, 0, 1, 0], 1.0),
        ([1, 2, 3, 0, 0, 0], [2, 4, 6, 0, 0, 0], 0.0),
    ],
)
def test_moving_mass_along_a_line_costs_what_it_must(a, b, cost):
    assert transport_cost(np.array(a, dtype=float), np.array(b, dtype=float), LINE) == pytest.approx(cost, abs=0.05)


def test_histograms_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        transport_cost(np.ones(3), np.ones(6), LINE)
    with pytest.raises(ValueError, match="do not fit"):
        transport_cost(np.zeros(6), np.ones(6), LINE)


@pytest.fixture(scope="module")
def study():
    """Twelve items of which three are continued word for word, two nearly, the rest freely."""
    rng = np.random.default_rng(0)
    centroids = rng.standard_normal((64, 8))
    distances = token_distances(centroids)
    true = np.stack([rng.choice(rng.choice(64, 8, replace=False), 50) for _ in range(12)])
    continued = np.stack([rng.choice(rng.choice(64, 8, replace=False), 50) for _ in range(12)])
    continued[:3] = true[:3]
    continued[3:5] = true[3:5, ::-1]
    return distances, continued, true


def test_exact_and_near_continuations_are_counted_and_free_ones_are_not(study):
    distances, continued, true = study
    found = memorisation(continued, true, distances)
    assert (found.items, found.exact, found.approximate) == (12, pytest.approx(3 / 12), pytest.approx(5 / 12))
    assert found.threshold <= min(found.costs[5:])


def test_distances_are_in_units_of_their_mean(study):
    distances, _, _ = study
    assert distances[~np.eye(64, dtype=bool)].mean() == pytest.approx(1.0)
    assert np.diagonal(distances).max() == 0.0


def test_the_nearest_item_is_found_as_by_trying_all(study):
    distances, continued, true = study
    items = TrainingItems(true, distances)
    for asset in continued[5:8]:
        costs = [matching_cost(asset, item, distances) for item in true]
        found = items.nearest(asset)
        assert found.item == int(np.argmin(costs))
        assert found.cost == pytest.approx(min(costs))


def test_tokens_that_are_the_same_in_place_are_counted_in_one_item_at_a_time():
    items = TrainingItems(np.array([[1, 2, 3, 4], [5, 5, 5, 0]]), LINE)
    assert items.same(np.array([1, 2, 5, 5])) == 0.5
    assert items.same(np.array([5, 5])) == 1.0


def test_the_longest_shared_run_is_found_wherever_it_lies():
    items = np.array([[1, 2, 3, 4, 5, 6, 7, 8], [9, 9, 9, 9, 9, 9, 9, 9]])
    assert longest_shared_run(np.array([0, 0, 3, 4, 5, 0, 9, 9]), items) == 3
    assert longest_shared_run(np.array([0, 0, 0]), items) == 0
    assert longest_shared_run(items[0], items) == 8
