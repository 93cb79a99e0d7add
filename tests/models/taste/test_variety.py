"""Lists that do not say one thing over and over, and flow."""

import numpy as np

from models.taste.sequence import NO_KEY, Character, fifths, in_sequence, steps
from models.taste.space import directions
from models.taste.variety import VariedList


def varied(scores, vectors, families, *, relevance=0.5, most=9):
    return VariedList(
        np.array(scores),
        directions(np.array(vectors, np.float32)),
        relevance=relevance,
        family_K=np.array(families),
        most_of_a_family=most,
    )


def test_a_worse_piece_that_sounds_unlike_comes_before_a_better_one_that_sounds_alike():
    made = varied([1.0, 0.9, 0.6], [[1, 0], [1, 0.01], [0, 1]], [0, 1, 2])
    made.fill(3, np.ones(3, dtype=bool))
    assert made.numbers == [0, 2, 1]


def test_no_more_of_a_family_than_allowed_even_if_nothing_else_is_left():
    made = varied([1.0, 0.9, 0.8, 0.1], [[1, 0], [0, 1], [1, 1], [1, -1]], [7, 7, 7, 8], relevance=1.0, most=2)
    made.fill(4, np.ones(4, dtype=bool))
    assert made.numbers == [0, 1, 3]


def test_what_is_taken_beforehand_counts_for_its_family():
    made = varied([1.0, 0.9, 0.8], [[1, 0], [0, 1], [1, 1]], [7, 7, 8], most=1)
    made.take(2)
    made.fill(3, np.array([True, True, False]))
    assert made.numbers == [2, 0]


def character(tempo, keys, energy):
    return Character(np.array(tempo, float), np.array(keys), np.array(energy, float))


def test_the_order_goes_to_what_is_nearest_in_tempo_key_and_liveliness():
    alike = np.tile(np.array([[1, 0]], np.float32), (4, 1))
    told = character([60, 80, 62, 78], [0, 6, 0, 6], [1, 5, 1.2, 4.8])
    assert in_sequence(told, alike).tolist() == [0, 2, 3, 1]


def test_half_the_tempo_is_no_step_and_what_is_not_known_is_half_a_step():
    alike = np.tile(np.array([[1, 0]], np.float32), (3, 1))
    cost = steps(character([60, 120, 0], [3, 3, NO_KEY], [1, 1, 1]), alike)
    assert cost[0, 1] == 0
    assert cost[0, 2] == 0.75


def test_a_minor_key_lies_where_its_relative_major_does():
    assert fifths(9, minor=True) == fifths(0, minor=False) == 0
    assert fifths(7, minor=False) == 1
