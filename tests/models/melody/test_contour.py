"""Melodies as classes: the highest note of each frame, moved by octaves within the range."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.melody.contour import ENTRIES, FIRST, HIGHEST, LOWEST, REST, UNTOLD, class_of, fits, moved, skyline


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


@given(
    melody=st.lists(st.sampled_from([UNTOLD, REST, *range(FIRST, ENTRIES)]), min_size=1, max_size=20),
    octaves=st.integers(-3, 3),
)
def test_a_melody_that_fits_moves_as_a_whole(melody, octaves):
    before = np.array(melody, dtype=np.uint8)
    pitched = before >= FIRST
    moves = moved(before, octaves)[pitched].astype(int) - before[pitched] == 12 * octaves
    assert fits(before, octaves) == (pitched.any() and bool(moves.all()))


def test_a_frame_in_twenty_may_be_heard_wrong():
    melody = np.full(40, class_of(60), dtype=np.uint8)
    melody[:2] = class_of(HIGHEST)
    assert fits(melody, 1)
    melody[2] = class_of(HIGHEST)
    assert not fits(melody, 1)
