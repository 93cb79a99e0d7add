"""Fréchet distances of sets whose distance is known."""

import numpy as np
import pytest

from models.evaluation.frechet import frechet_distance


def exactly(mean: np.ndarray, deviations: np.ndarray, count: int = 400) -> np.ndarray:
    """A set with just this mean and these independent deviations."""
    x = np.random.default_rng(1).standard_normal((count, len(mean)))
    x = np.linalg.qr(x - x.mean(axis=0)).Q * np.sqrt(count - 1)
    return mean + x * deviations


def test_gaussians_along_the_same_axes_differ_by_means_and_deviations():
    a = exactly(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 0.5]))
    b = exactly(np.array([3.0, 1.0, 1.0]), np.array([1.0, 1.0, 2.5]))
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 1 + 4)


def test_a_turned_gaussian_has_the_distance_of_the_closed_form():
    a, b = (np.random.default_rng(seed).standard_normal((300, 5)) @ np.diag([1, 2, 3, 1, 1]) for seed in (0, 1))
    b = b @ np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5))).Q + 0.3
    A, B = np.cov(a.T), np.cov(b.T)
    values = np.linalg.eigvals(A @ B)
    shift = a.mean(axis=0) - b.mean(axis=0)
    expected = shift @ shift + np.trace(A) + np.trace(B) - 2 * np.sqrt(values.real).sum()
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_sets_smaller_than_their_width_have_a_distance_too():
    a = np.random.default_rng(0).standard_normal((20, 100))
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(a, a + 0.1) == pytest.approx(100 * 0.01)


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="no Fréchet distance"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="no Fréchet distance"):
        frechet_distance(np.zeros((5, 3)), np.zeros((5, 4)))
