"""The pulse finds the beat of what begins on it, none where nothing begins, and follows a singer who slows down."""

import numpy as np
import pytest

from models.singsong.estimates import estimate
from models.singsong.hearing import note_tokens
from models.singsong.pulse import pulse, pulse_of

RATE, FRAMES_HZ = 16_000, 25.0


def _beats(times_s, seconds=10.0):
    """Return where beats are, a frame wide."""
    found = np.zeros(round(seconds * FRAMES_HZ))
    found[[round(t * FRAMES_HZ) for t in times_s if t < seconds - 0.05]] = 1
    return found


@pytest.mark.parametrize(("bpm", "first_s"), [(60, 0.3), (97, 0.1), (150, 0.25)])
def test_the_beat_is_found_under_much_that_begins_elsewhere(bpm, first_s):
    beats = _beats(np.arange(first_s, 10, 60 / bpm))
    elsewhere = np.random.default_rng(bpm).random(len(beats)) ** 4
    found = pulse_of(beats + elsewhere, FRAMES_HZ)
    assert min(abs(np.log2(found.tempo_bpm / bpm) - octave) for octave in (-1, 0, 1)) < 0.06
    assert found.strength_G[beats > 0].mean() > 2 * found.strength_G[beats == 0].mean()
    assert found.strength_G.min() >= 0 and found.strength_G.max() <= 1


def test_where_nothing_begins_there_is_no_pulse():
    found = pulse_of(np.zeros(250), FRAMES_HZ)
    assert not found.strength_G.any()
    assert found.certainty < 0.2


def test_a_singer_who_slows_down_is_followed():
    times = np.cumsum(np.linspace(0.45, 0.62, 56))
    beats = _beats(times, seconds=30.0)
    found = pulse_of(beats, FRAMES_HZ)
    thirds = np.array_split(np.arange(len(beats)), 3)
    for third in thirds:
        on = beats[third] > 0
        assert found.strength_G[third][on].mean() > 2 * found.strength_G[third][~on].mean()


def test_a_little_more_at_the_end_changes_little_before():
    beats = _beats(np.arange(0.2, 20, 0.5), seconds=20.0)
    whole, shorter = pulse_of(beats, FRAMES_HZ), pulse_of(beats[:375], FRAMES_HZ)
    assert np.corrcoef(whole.strength_G[:250], shorter.strength_G[:250])[0, 1] > 0.9


def test_tempo_and_key_of_a_line_are_estimated_from_its_sound_and_the_harmony_guessed_to_it():
    sung = tuple((0.5 * n, 0.45, 60 + (0, 4, 7, 4)[n % 4]) for n in range(20))
    times = np.arange(10 * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * times) for p in (60, 64, 67))
    voice = (0.1 * tones * np.exp(-6 * (times % 0.5))).astype(np.float32)
    notes = note_tokens(sung, 250, FRAMES_HZ)
    guess = np.zeros((250, 13))
    guess[:, [0, 4, 7]] = 1 / 3
    found = estimate(pulse(voice, RATE, notes, np.full(250, 0.5), FRAMES_HZ), notes, guess)
    assert found.key.name == found.as_dict()["key"] == "C major"
    assert min(abs(found.tempo_bpm / 120 - ratio) for ratio in (0.5, 1, 2)) < 0.05
    assert 0 < found.tempo_certainty <= 1


def test_a_voice_without_notes_has_no_key_and_a_tempo_all_the_same():
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(10 * RATE)).astype(np.float32)
    notes = np.zeros(250, dtype=np.int64)
    found = estimate(pulse(noise, RATE, notes, np.full(250, 0.5), FRAMES_HZ), notes, np.full((250, 13), 1 / 12))
    assert found.as_dict()["key"] is None
    assert 45 <= found.tempo_bpm <= 240
