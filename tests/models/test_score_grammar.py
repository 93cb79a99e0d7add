"""Whatever is sampled, the grammar leaves only what can be played and written."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.key import Key
from models.score.controls import DENSITIES, DYNAMICS, METRES, TEXTURES, ScoreControls
from models.score.draft import Draft
from models.score.encoding import decode
from models.score.grammar import LONGEST_REST_BARS, ScoreGrammar
from models.score.instruments import INSTRUMENTS
from models.score.orchestration import header_tokens, plan_staves, staff_count, to_draft
from models.score.vocabulary import VOCABULARY

CONTROLS = st.builds(
    ScoreControls,
    instruments=st.lists(st.sampled_from(sorted(INSTRUMENTS)), min_size=1, max_size=4).map(tuple),
    key=st.builds(Key, st.integers(0, 11), st.sampled_from(["major", "minor"])),
    metre=st.sampled_from(sorted(METRES)),
    tempo_bpm=st.integers(40, 200),
    bars=st.integers(1, 7),
    texture=st.sampled_from(TEXTURES),
    density=st.sampled_from(DENSITIES),
    dynamics=st.sampled_from(DYNAMICS),
)


def babble(controls: ScoreControls, seed: int) -> tuple[Draft, list[int]]:
    """Draw each token evenly from what the grammar allows: the worst model there can be."""
    rng = np.random.default_rng(seed)
    plans = plan_staves(controls)
    grammar = ScoreGrammar(metre=controls.metre, bars=controls.bars, staves=plans)
    tokens: list[int] = []
    while not grammar.done:
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        grammar.push(token)
        tokens.append(token)
    staves, bars = decode(tokens, len(plans), controls.bar_ticks)
    assert bars == controls.bars
    return to_draft(controls, staves), tokens


@settings(max_examples=60, deadline=None)
@given(CONTROLS, st.integers(0, 2**32))
def test_any_walk_through_the_grammar_is_a_playable_draft(controls: ScoreControls, seed: int) -> None:
    draft, tokens = babble(controls, seed)
    assert tokens[-1] == VOCABULARY.end
    assert [part.instrument for part in draft.parts] == list(controls.instruments)
    for part in draft.parts:
        instrument = INSTRUMENTS[part.instrument]
        assert len(part.staves) == staff_count(instrument)
        for notes in part.staves:
            for note in notes:
                assert instrument.low <= note.pitch <= instrument.high
                assert 0 <= note.onset < note.end <= draft.ticks
            by_pitch = sorted(notes, key=lambda n: (n.pitch, n.onset))
            for one, other in pairwise(by_pitch):
                assert one.pitch != other.pitch or one.end <= other.onset
            if instrument.layout == "line":
                assert all(one.end <= other.onset for one, other in pairwise(notes))


@settings(max_examples=40, deadline=None)
@given(CONTROLS, st.integers(0, 2**32))
def test_no_beat_of_a_staff_mixes_triplets_with_binary_values(controls: ScoreControls, seed: int) -> None:
    draft, _ = babble(controls, seed)
    for part in draft.parts:
        for notes in part.staves:
            edges: dict[int, set[bool]] = {}
            for tick in {t for n in notes for t in (n.onset, n.end) if t % 12}:
                edges.setdefault(tick // 12, set()).add(tick % 12 in (4, 8))
            assert all(len(kinds) == 1 for kinds in edges.values())


@settings(max_examples=30, deadline=None)
@given(CONTROLS, st.integers(0, 2**32))
def test_no_staff_is_silent_for_long(controls: ScoreControls, seed: int) -> None:
    draft, _ = babble(controls, seed)
    for part in draft.parts:
        for notes in part.staves:
            assert notes
            struck = {n.onset // controls.bar_ticks for n in notes}
            rest = 0
            for bar in range(controls.bars):
                start = bar * controls.bar_ticks
                sounding = bar in struck or any(n.onset < start < n.end for n in notes)
                rest = 0 if sounding else rest + 1
                assert rest <= LONGEST_REST_BARS + 1


@settings(max_examples=30, deadline=None)
@given(CONTROLS, st.integers(0, 2**32))
def test_something_sounds_in_every_bar(controls: ScoreControls, seed: int) -> None:
    draft, _ = babble(controls, seed)
    notes = [note for part in draft.parts for staff in part.staves for note in staff]
    for bar in range(controls.bars):
        start, end = bar * controls.bar_ticks, (bar + 1) * controls.bar_ticks
        assert any(note.onset < end and note.end > start for note in notes)


def test_the_last_bars_are_counted_down_and_the_header_names_every_staff() -> None:
    controls = ScoreControls(
        instruments=("flute", "piano"),
        key=Key(2, "minor"),
        metre="6/8",
        tempo_bpm=80,
        bars=11,
        texture="melody",
        density="sparse",
        dynamics="p",
    )
    _, tokens = babble(controls, 1)
    bars = [VOCABULARY.names[t][1] for t in tokens if VOCABULARY.names[t][0] == "bar"]
    assert bars == ["open", "open", "open", 8, 7, 6, 5, 4, 3, 2, 1]
    header = [VOCABULARY.names[t] for t in header_tokens(controls, plan_staves(controls))]
    assert [str(value).split(":")[0] for group, value in header if group == "staff"] == ["line", "upper", "lower"]
    assert ("mode", "minor") in header
    assert ("metre", "6/8") in header


@pytest.mark.parametrize("name", sorted(INSTRUMENTS))
def test_every_instrument_has_room_to_play_in_every_key(name: str) -> None:
    for tonic in range(12):
        controls = ScoreControls(
            instruments=(name, name),
            key=Key(tonic, "minor"),
            metre="4/4",
            tempo_bpm=90,
            bars=2,
            texture="chordal",
            density="dense",
            dynamics="f",
        )
        for plan in plan_staves(controls):
            assert plan.high - plan.low >= 16
