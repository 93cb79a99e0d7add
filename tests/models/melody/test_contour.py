"""Melodies as classes: the highest note of each frame, moved by octaves within the range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.melody.contour import (
    ENTRIES,
    FIRST,
    HIGHEST,
    LOWEST,
    REST,
    UNTOLD,
    class_of,
    moved,
    octaves_beside,
    skyline,
)


def test_the_highest_sounding_note_counts_and_silence_is_a_rest():
    classes = skyline([(0.0, 0.4, 60), (0.2, 0.1, 72), (0.2, 0.1, 48)], 15)
    low, high = class_of(60), class_of(72)
    assert classes.tolist() == [low] * 5 + [high] * 3 + [low] * 2 + [REST] * 5


def test_notes_that_ended_before_or_begin_after_are_not_there():
    assert skyline([(-1.5, 1.0, 90), (-1.0, 0.4, 80), (9.0, 1.0, 70)], 10).tolist() == [REST] * 10
    assert skyline([(-1.0, 1.2, 60)], 10).tolist() == [class_of(60)] * 5 + [REST] * 5


@given(pitch=st.integers(0, 127))
def test_every_pitch_has_a_class_of_its_pitch_class(pitch):
    found = class_of(pitch)
    assert FIRST <= found < ENTRIES
    assert (found - FIRST + LOWEST - pitch) % 12 == 0


@given(
    melody=st.lists(st.sampled_from([UNTOLD, REST, *range(FIRST, ENTRIES)]), min_size=1, max_size=20),
    octaves=st.integers(-3, 3),
)
def test_an_octave_more_or_less_keeps_pitch_classes_rests_and_the_range(melody, octaves):
    before = np.array(melody, dtype=np.uint8)
    after = moved(before, octaves)
    silent = before < FIRST
    assert np.array_equal(after[silent], before[silent])
    assert ((after[~silent] >= FIRST) & (after[~silent] <= FIRST + HIGHEST - LOWEST)).all()
    assert ((after[~silent].astype(int) - before[~silent]) % 12 == 0).all()


@given(melody=st.lists(st.sampled_from([UNTOLD, REST, *range(FIRST, ENTRIES)]), min_size=1, max_size=19))
def test_where_a_melody_can_be_moved_it_moves_as_a_whole(melody):
    before = np.array(melody, dtype=np.uint8)
    pitched = before >= FIRST
    whole = [
        octaves
        for octaves in range(-4, 5)
        if octaves and (moved(before, octaves)[pitched].astype(int) - before[pitched] == 12 * octaves).all()
    ]
    assert sorted(octaves_beside(before)) == (whole if pitched.any() else [])


@pytest.mark.parametrize(("pitch", "octaves"), [(47, [2, 1, 3, 4]), (70, [-1, 1, -2, 2]), (84, [-1, -2, -3, -4])])
def test_octaves_are_tried_from_the_middle_outwards(pitch, octaves):
    assert octaves_beside(np.full(40, class_of(pitch), dtype=np.uint8)) == octaves


def test_a_frame_in_twenty_may_be_heard_wrong():
    melody = np.full(40, class_of(60), dtype=np.uint8)
    melody[:2] = class_of(HIGHEST)
    assert 1 in octaves_beside(melody)
    melody[2] = class_of(HIGHEST)
    assert 1 not in octaves_beside(melody)
