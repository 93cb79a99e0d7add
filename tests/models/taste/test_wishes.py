"""Where the catalogue leaves a taste unserved, and whose wish is made first."""

from dataclasses import replace

import numpy as np
import pytest

from models.taste.choosing import Catalogue, Person
from models.taste.modes import modes_of
from models.taste.sequence import Character
from models.taste.space import space_of
from models.taste.wishes import Wish, granted, wishes_of

NONE = np.zeros(0, dtype=np.int64)


@pytest.fixture(scope="module")
def vectors():
    """Fifty pieces of one sound, eight of another."""
    random = np.random.default_rng(0)
    centres = np.eye(2, 8)[[0] * 50 + [1] * 8]
    return (centres + 0.1 * random.standard_normal((58, 8))).astype(np.float32)


def person(vectors, liked):
    space, liked = space_of(vectors), np.array(liked)
    weight = np.ones(len(liked), np.float32)
    modes = modes_of(space.piece_IE[liked], weight, spread=space.spread, most=4)
    count = len(vectors)
    character = Character(np.full(count, 90.0), np.zeros(count, np.int64), np.ones(count))
    catalogue = Catalogue(space, character, np.arange(count), np.ones(count, np.float32), np.ones(count, bool))
    return catalogue, Person(1, liked, weight, NONE, liked, NONE, NONE, modes)


def test_a_mood_of_which_everything_was_heard_is_a_wish_and_a_well_served_one_is_none(vectors):
    catalogue, someone = person(vectors, [0, 1, 2, 3, *range(50, 58)])
    (wish,) = wishes_of("ann", someone, catalogue, vectors)
    assert set(wish.near) <= set(range(50, 58))
    likeness = vectors @ wish.vector_E
    assert likeness[50:].min() > likeness[:50].max()


def test_a_sentence_alone_makes_no_wish(vectors):
    catalogue, someone = person(vectors, [50])
    assert wishes_of("ann", replace(someone, by_sentence=True), catalogue, vectors) == []


def wish(name, gap, mode=0):
    return Wish(name, mode, gap, np.zeros(2, np.float32), (0,))


def grants(wishes, budget_s, had_s=None, most_each=2):
    seeds = {name: number for number, name in enumerate(wishes)}
    found = granted(wishes, had_s=had_s or {}, budget_s=budget_s, piece_s=20.0, most_each=most_each, seeds=seeds)
    return [each.listener for each in found]


def test_never_more_seconds_than_the_budget():
    wishes = {name: [wish(name, 1.0), wish(name, 0.5, 1)] for name in "abcdef"}
    for budget in (0, 19.9, 20, 99, 1000):
        assert len(grants(wishes, budget)) == min(int(budget // 20), 12)


def test_everybody_has_one_before_anybody_has_two():
    wishes = {name: [wish(name, 1.0), wish(name, 0.5, 1)] for name in "abc"}
    assert sorted(grants(wishes, 60)) == ["a", "b", "c"]
    assert sorted(grants(wishes, 1000, most_each=1)) == ["a", "b", "c"]


def test_who_had_least_is_next_and_among_equals_the_wider_gap():
    wishes = {"a": [wish("a", 9.0)], "b": [wish("b", 0.1)], "c": [wish("c", 0.2)], "d": []}
    assert grants(wishes, 60, had_s={"a": 40.0}) == ["c", "b", "a"]
