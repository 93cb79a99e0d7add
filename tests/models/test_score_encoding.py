"""Tokens and back."""

import pytest

from models.key import Key
from models.score.controls import METRES
from models.score.corpus import Passage, Staff, held_out
from models.score.dataset import ScoreDataset, gather, padded
from models.score.encoding import Excerpt, decode, density_of, describe, encode, header, texture_of, tonic_shift
from models.score.vocabulary import GRID, VOCABULARY

PHRASE = [(0, 12, 62), (12, 6, 64), (18, 6, 65), (24, 24, 69), (48, 12, 69), (60, 12, 67), (72, 24, 62)]
BASS = [(0, 48, 50), (48, 24, 45), (72, 24, 50)]


def excerpt(**changes: object) -> Excerpt:
    given = {"metre": "4/4", "bars": 2, "tempo_bpm": 90.0, "begins": True, "ends": True}
    return describe(**(given | changes), staves=[("line", PHRASE), ("line", BASS)])


def test_an_excerpt_survives_its_tokens() -> None:
    piece = excerpt()
    tokens = encode(piece)
    staves, bars = decode(tokens[len(header(piece)) :], 2, METRES["4/4"])
    shift = tonic_shift(piece.key)
    assert bars == 2
    assert [[(o, d, p + shift) for o, d, p in notes] for notes in staves] == [PHRASE, BASS]


def test_a_note_over_the_bar_line_moves_where_the_next_bar_begins() -> None:
    tied = [(0, 36, 60), (36, 24, 62), (60, 36, 64)]
    piece = describe(metre="4/4", bars=2, tempo_bpm=None, begins=False, ends=False, staves=[("line", tied)])
    names = [VOCABULARY.names[t][0] for t in encode(piece)[len(header(piece)) :]]
    assert "at" not in names
    staves, _ = decode(encode(piece)[len(header(piece)) :], 1, 48)
    assert [(o, d) for o, d, _ in staves[0]] == [(o, d) for o, d, _ in tied]


def test_a_piece_is_written_as_if_in_c() -> None:
    piece = excerpt()
    assert piece.key == Key(2, "minor")
    assert min(p for _, _, p in piece.staves[1]) == 43
    assert ("mode", "minor") in [VOCABULARY.names[t] for t in header(piece)]


def test_only_an_ending_is_counted_down() -> None:
    closing = [VOCABULARY.names[t][1] for t in encode(excerpt()) if VOCABULARY.names[t][0] == "bar"]
    running = [VOCABULARY.names[t][1] for t in encode(excerpt(ends=False)) if VOCABULARY.names[t][0] == "bar"]
    assert closing == [2, 1]
    assert running == ["open", "open"]
    assert encode(excerpt())[-1] == VOCABULARY.end != encode(excerpt(ends=False))[-1]


@pytest.mark.parametrize(
    ("staves", "texture"),
    [
        ([[(b * 12, 12, p) for b in range(8) for p in (48, 55, 64)]], "chordal"),
        ([[(b * 24, 24, 72) for b in range(4)], [(b * 6, 6, 48 + b % 3) for b in range(16)]], "flowing"),
        ([[(b * 24, 24, 72) for b in range(4)], [(b * 24 + 12, 24, 55) for b in range(3)]], "contrapuntal"),
    ],
)
def test_textures_are_told_apart(staves: list[list[tuple[int, int, int]]], texture: str) -> None:
    assert texture_of(staves) == texture


def test_density_counts_attacks_not_notes() -> None:
    chords = [(b * 12, 12, p) for b in range(8) for p in (60, 64, 67)]
    assert density_of([chords], 96) == "moderate"
    assert density_of([[(0, 96, 60)]], 96) == "sparse"
    assert density_of([[(t, 3, 60) for t in range(0, 96, 3)]], 96) == "dense"


@pytest.mark.parametrize("onset", GRID.onsets)
def test_snapping_lands_on_the_grid_and_stays_there(onset: int) -> None:
    for duration in (1, 3.6, 5, 11.5, 40, 500):
        tick, ticks = GRID.snap(onset + 0.3, duration)
        assert GRID.fits(tick, ticks)
        assert GRID.snap(tick, ticks) == (tick, ticks)


def passages() -> list[Passage]:
    quartet = [Staff("line", [(b * 12, 12, 60 + 5 * v + b % 4) for b in range(32)]) for v in range(4)]
    lied = [Staff("line", PHRASE * 1), Staff("upper", [(0, 48, 65), (48, 48, 64)]), Staff("lower", BASS)]
    return [
        Passage("a.mxl", "A", "4/4", 8, 80.0, True, True, quartet),
        Passage("b.mxl", "B", "4/4", 2, None, True, True, lied),
    ]


def test_an_item_of_the_data_set_depends_on_its_number_alone() -> None:
    one, other = (ScoreDataset(passages(), length=256, seed=5) for _ in range(2))
    forward = [one.item(n) for n in range(20)]
    assert [other.item(n) for n in reversed(range(20))][::-1] == forward
    assert (one.batch(11, 4) == other.batch(11, 4)).all()
    assert len({tuple(item) for item in forward}) > 10


def test_items_fit_the_length_and_begin_with_a_header() -> None:
    data = ScoreDataset(passages(), length=64, seed=0)
    for number in range(50):
        item = data.item(number)
        assert len(item) <= 64
        assert item[0] == VOCABULARY.begin


def test_gathering_keeps_the_longer_of_two_equal_pitches() -> None:
    assert gather([[(0, 12, 60)], [(0, 24, 60), (12, 12, 64)]]) == [(0, 24, 60), (12, 12, 64)]
    assert padded([[1, 2, 3], [4]]).tolist() == [[1, 2, 3], [4, 0, 0]]


def test_a_composer_is_on_one_side_only_and_about_one_in_twenty_is_held_out() -> None:
    names = [f"composer {n}" for n in range(4000)]
    assert 0.035 < sum(map(held_out, names)) / len(names) < 0.065
