"""A wrong key counts for as much as it is near."""

import pytest

from models.judges.tonality import key_score
from models.key import parse_key


@pytest.mark.parametrize(
    ("heard", "score"), [("C major", 1.0), ("G major", 0.5), ("A minor", 0.3), ("C minor", 0.2), ("F major", 0.0)]
)
def test_a_near_key_counts_in_part(heard, score):
    assert key_score(parse_key("C major"), parse_key(heard)) == score


def test_the_relative_of_a_minor_key_is_a_minor_third_above():
    assert key_score(parse_key("A minor"), parse_key("C major")) == 0.3
