"""Keys, and how near they are to each other."""

import pytest

from models.judges.tonality import Key, key_score, parse_key


@pytest.mark.parametrize(
    ("text", "key"), [("C major", Key(0, False)), ("Eb major", Key(3, False)), ("F# minor", Key(6, True)),
                      ("Cb major", Key(11, False)), ("B- minor", Key(10, True))],
)  # fmt: skip
def test_keys_are_read(text, key):
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["H major", "C", "C dorian", "", "c major"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match="not a key"):
        parse_key(text)


@pytest.mark.parametrize(
    ("heard", "score"), [("C major", 1.0), ("G major", 0.5), ("A minor", 0.3), ("C minor", 0.2), ("F major", 0.0)]
)
def test_a_near_key_counts_in_part(heard, score):
    assert key_score(parse_key("C major"), parse_key(heard)) == score


def test_the_relative_of_a_minor_key_is_a_minor_third_above():
    assert key_score(parse_key("A minor"), parse_key("C major")) == 0.3
