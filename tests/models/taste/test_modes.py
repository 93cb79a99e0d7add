"""Moods of a listener."""

import numpy as np
import pytest

from models.taste.modes import modes_of
from models.taste.space import directions, space_of


def cluster(centre, count, random):
    return centre + 0.2 * random.standard_normal((count, 8))


@pytest.fixture
def two_moods():
    random = np.random.default_rng(0)
    centres = np.eye(8)[:2]
    vectors = np.concatenate([cluster(centres[0], 6, random), cluster(centres[1], 3, random)]).astype(np.float32)
    return directions(vectors)


def test_what_sounds_unlike_is_two_moods_the_heavier_first(two_moods):
    modes = modes_of(two_moods, np.ones(9, np.float32), spread=1.0, most=4)
    assert len(modes) == 2
    assert modes.share_M.tolist() == pytest.approx([6 / 9, 3 / 9])
    assert modes.member_N.tolist() == [0] * 6 + [1] * 3
    assert modes.closeness_M.min() > 0.8


def test_one_liked_piece_is_a_mood(two_moods):
    modes = modes_of(two_moods[:1], np.ones(1, np.float32), spread=1.0, most=4)
    assert modes.direction_ME[0] == pytest.approx(two_moods[0])


def test_lesser_moods_are_left_out_when_there_are_too_many(two_moods):
    modes = modes_of(two_moods, np.ones(9, np.float32), spread=1.0, most=1)
    assert modes.member_N.tolist() == [0] * 6 + [-1] * 3


def test_moods_are_told_apart_relative_to_how_far_apart_the_catalogue_is():
    random = np.random.default_rng(1)
    crowded = (np.ones(8) * 20 + random.standard_normal((200, 8))).astype(np.float32)
    space = space_of(crowded)
    assert space.spread == pytest.approx(1.0, abs=0.05)
    assert abs(space.piece_IE.mean()) < 0.05
