"""Keys are read and named, near ones are known; key finding agrees with the judge that audits it."""

import numpy as np
import pytest
from music21 import note, stream

from models.key import MAJOR_NAMES, MINOR_NAMES, Key, NoKeyError, parse_key
from models.score.key import find_key, nearness, pitch_class_weights


@pytest.mark.parametrize("seed", range(12))
def test_the_key_is_the_one_that_music21_hears(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tonic = int(rng.integers(12))
    scale = (0, 2, 4, 5, 7, 9, 11) if seed % 2 else (0, 2, 3, 5, 7, 8, 10, 11)
    notes = [(60 + tonic + int(rng.choice(scale)), int(rng.integers(1, 5)) * 6) for _ in range(60)]
    heard = stream.Stream([note.Note(pitch, quarterLength=ticks / 12) for pitch, ticks in notes]).analyze("key")
    key, lead = find_key(pitch_class_weights(notes))
    assert (key.tonic, key.mode) == (heard.tonic.pitchClass, heard.mode)
    assert lead > 0


def test_silence_has_no_clear_key() -> None:
    assert find_key(pitch_class_weights([])) == (Key(0, "major"), 0.0)


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_a_key_is_read_back_from_its_name(tonic: int, mode: str) -> None:
    name = f"{(MAJOR_NAMES if mode == 'major' else MINOR_NAMES)[tonic]} {mode}"
    assert parse_key(name) == parse_key(name.lower()) == Key(tonic, mode)
    assert parse_key(name).name == name


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Cb major", Key(11, "major")),
        ("e flat minor", Key(3, "minor")),
        ("B-flat major", Key(10, "major")),
        ("B- minor", Key(10, "minor")),
        ("A-minor", Key(9, "minor")),
        ("g♯ minor", Key(8, "minor")),
    ],
)
def test_other_ways_to_write_a_key_are_read(text: str, key: Key) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("C major", {"C major", "G major", "F major", "A minor", "C minor"}),
        ("A minor", {"A minor", "E minor", "D minor", "C major", "A major"}),
    ],
)
def test_near_keys_are_those_a_listener_would_forgive(name: str, near: set[str]) -> None:
    assert {key.name for key in parse_key(name).near} == near


@pytest.mark.parametrize("text", ["", "H minor", "D", "D dorian", "minor", "Dd minor"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoKeyError, match="is not a key"):
        parse_key(text)


def test_a_key_is_near_to_itself_its_fifths_its_relative_and_its_parallel_only() -> None:
    c = Key(0, "major")
    scale = np.array([1.0, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1]) + np.eye(12)[0] + np.eye(12)[7]
    assert nearness(scale, c) > 0
    assert nearness(np.roll(scale, 7), c) > 0  # G major
    assert nearness(np.roll(scale, 5), c) > 0  # F major
    assert nearness(np.roll(scale, 3), Key(0, "minor")) > 0  # E flat major
    assert nearness(scale, Key(9, "minor")) > 0
    assert nearness(np.roll(scale, 2), c) < 0  # D major
    assert nearness(np.roll(scale, 6), Key(3, "minor")) > 0 > nearness(np.roll(scale, 6), c)
    assert nearness(np.zeros(12), c) == 0
