"""Drafts written as MusicXML and read back by music21."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from music21 import converter, stream
from music21.note import GeneralNote, Rest

from models.key import Key
from models.score.controls import METRES, ScoreControls
from models.score.draft import Draft, Note, Part
from models.score.instruments import INSTRUMENTS
from models.score.notation import NotationError, write_musicxml

ROOT = Path(__file__).parents[3]
Sounds = Counter[tuple[int, Fraction, Fraction]]


def heard(musicxml: bytes) -> Sounds:
    """Return (pitch, onset, duration) in quarters as music21 reads them, tied notes as one."""
    score = converter.parseData(musicxml, format="musicxml")
    score.toSoundingPitch(inPlace=True)
    found: Sounds = Counter()
    for part in score.parts:
        open_ties: dict[tuple[int, Fraction], Fraction] = {}
        pieces = []
        for element in part.recurse().notes:
            onset = Fraction(element.getOffsetInHierarchy(part))
            for single in getattr(element, "notes", (element,)):
                how = single.tie.type if single.tie else None
                pieces.append((onset, single.pitch.midi, Fraction(element.duration.quarterLength), how))
        for onset, midi, length, how in sorted(pieces, key=lambda p: (p[0], p[1])):
            began = open_ties.pop((midi, onset)) if how in ("continue", "stop") else onset
            if how in ("start", "continue"):
                open_ties[midi, onset + length] = began
            else:
                found[midi, began, onset + length - began] += 1
        assert not open_ties, "a tie leads nowhere"
    return found


def meant(draft: Draft) -> Sounds:
    return Counter(
        (n.pitch, Fraction(n.onset, 12), Fraction(n.duration, 12))
        for part in draft.parts for staff in part.staves for n in staff
    )  # fmt: skip


def bars_are_full(musicxml: bytes, metre: str) -> bool:
    """Tell whether each voice that music21 reads in each bar fills it exactly."""
    score = converter.parseData(musicxml, format="musicxml")
    full = Fraction(METRES[metre], 12)
    for measure in score.recurse().getElementsByClass(stream.Measure):
        for voice in measure.voices or [measure]:
            if sum(_lasts(e, alone=len(voice.notesAndRests) == 1) for e in voice.notesAndRests) != full:
                return False
    return True


def _lasts(element: GeneralNote, *, alone: bool) -> Fraction:
    """Return how many quarters an element lasts.

    When one staff rests for a bar, music21 takes the other's first whole rest for a bar's too, whatever it lasts.
    """
    if isinstance(element, Rest) and element.fullMeasure is True and not alone:
        return Fraction(4)
    return Fraction(element.duration.quarterLength)


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    names = draw(st.lists(st.sampled_from(sorted(INSTRUMENTS)), min_size=1, max_size=3))
    controls = ScoreControls(
        instruments=tuple(names),
        key=Key(draw(st.integers(0, 11)), draw(st.sampled_from(("major", "minor")))),
        metre=draw(st.sampled_from(sorted(METRES))),
        tempo_bpm=draw(st.integers(30, 240)), bars=draw(st.integers(1, 3)),
        texture="flowing", density="dense", dynamics="p", title="Random",
    )  # fmt: skip
    parts = tuple(Part(name, tuple(draw(_staff(controls, name)) for _ in range(_staves(name)))) for name in names)
    return Draft(controls, parts)


def _staves(name: str) -> int:
    return 2 if INSTRUMENTS[name].layout == "grand" else 1


@st.composite
def _staff(draw: st.DrawFn, controls: ScoreControls, name: str) -> tuple[Note, ...]:
    kind, total = INSTRUMENTS[name], controls.bars * controls.bar_ticks
    grid = draw(st.sampled_from((1, 2, 3, 4, 6)))
    notes: list[Note] = []
    for _ in range(draw(st.integers(0, 10))):
        onset = draw(st.integers(0, (total - 1) // grid)) * grid
        longest = max(1, min(60, total - onset) // grid)
        note = Note(
            onset, draw(st.integers(kind.low, kind.high)), min(total - onset, draw(st.integers(1, longest)) * grid)
        )
        line = kind.layout == "line"
        if not any(n.onset < note.end and note.onset < n.end and (line or n.pitch == note.pitch) for n in notes):
            notes.append(note)
    return tuple(sorted(notes))


def _whole_rest_beside_an_empty_staff() -> Draft:
    controls = ScoreControls(
        instruments=("accordion",), key=Key(0, "major"), metre="3/2", tempo_bpm=100, bars=1,
        texture="flowing", density="dense", dynamics="p", title="Rests",
    )  # fmt: skip
    return Draft(controls, (Part("accordion", ((Note(48, 41, 4),), ())),))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(drafts())
@example(_whole_rest_beside_an_empty_staff())
def test_any_draft_reads_back_with_the_same_notes_and_full_bars(draft: Draft) -> None:
    musicxml = write_musicxml(draft)

    assert heard(musicxml) == meant(draft)
    assert bars_are_full(musicxml, draft.controls.metre)


@pytest.mark.parametrize("metre", sorted(METRES))
@pytest.mark.parametrize("grid", [1, 2, 3, 4, 6])
def test_each_length_at_each_place_of_a_bar_can_be_written(metre: str, grid: int) -> None:
    bar = METRES[metre]
    lengths = list(range(grid, bar + 1, grid))
    notes = tuple(
        Note(b * bar + onset, 60, length)
        for b, (onset, length) in enumerate((o, n) for n in lengths for o in range(0, bar - n + 1, max(grid, 3)))
    )[:350]
    controls = ScoreControls(
        instruments=("flute",), key=Key(0, "major"), metre=metre, tempo_bpm=100, bars=len(notes),
        texture="melody", density="moderate", dynamics="f",
    )  # fmt: skip
    draft = Draft(controls, (Part("flute", (notes,)),))

    assert heard(write_musicxml(draft)) == meant(draft)


@pytest.mark.parametrize("instrument", sorted(INSTRUMENTS))
@pytest.mark.parametrize("key", ["D minor", "Db major", "F# major", "G# minor"])
def test_every_instrument_sounds_as_the_draft_says_in_every_key(
    tonal_draft: Callable[..., Draft], instrument: str, key: str
) -> None:
    draft = tonal_draft((instrument,), key=key, bars=4)

    assert heard(write_musicxml(draft)) == meant(draft)


def test_the_bytes_are_the_same_each_time(tonal_draft: Callable[..., Draft]) -> None:
    draft = tonal_draft(("clarinet", "piano", "cello"), key="Eb major", metre="6/8")

    assert write_musicxml(draft) == write_musicxml(draft)
    assert b"encoding-date" not in write_musicxml(draft)


def test_the_bytes_do_not_depend_on_the_process() -> None:
    program = (
        "import hashlib, sys; from models.key import Key; from models.score.controls import ScoreControls;"
        "from models.score.draft import Draft, Note, Part; from models.score.notation import write_musicxml;"
        "c = ScoreControls(instruments=('horn', 'harp'), key=Key(8, 'minor'), metre='9/8', tempo_bpm=90, bars=2,"
        " texture='flowing', density='dense', dynamics='p');"
        "n = tuple(Note(4 * i, 48 + i, 5) for i in range(20));"
        "d = Draft(c, (Part('horn', (n[:1],)), Part('harp', (n, n))));"
        "print(hashlib.sha256(write_musicxml(d)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip

    assert len(digests) == 1


def names_of(musicxml: bytes) -> set[str]:
    return {p.name for p in converter.parseData(musicxml, format="musicxml").pitches}


def one_line(instrument: str, key: Key, pitches: list[int]) -> Draft:
    controls = ScoreControls(
        instruments=(instrument,), key=key, metre="4/4", tempo_bpm=100, bars=-(-len(pitches) // 4),
        texture="melody", density="moderate", dynamics="p",
    )  # fmt: skip
    notes = tuple(Note(12 * i, p, 12) for i, p in enumerate(pitches))
    return Draft(controls, (Part(instrument, (notes,)),))


@pytest.mark.parametrize(
    ("key", "pitches", "names"),
    [
        (Key(2, "minor"), [69, 73, 74, 70], {"A", "C#", "D", "B-"}),
        (Key(8, "minor"), [68, 79, 80, 75], {"G#", "F##", "D#"}),
        (Key(10, "major"), [70, 75, 74, 69], {"B-", "E-", "D", "A"}),
        (Key(6, "major"), [66, 77, 78, 71], {"F#", "E#", "B"}),
        (Key(0, "major"), [64, 68, 69, 71], {"E", "G#", "A", "B"}),  # G sharp leads to A
        (Key(0, "major"), [65, 68, 67, 65], {"F", "A-", "G"}),  # A flat falls to G
        (Key(0, "minor"), [67, 64, 63, 60], {"G", "E", "E-", "C"}),  # and E is no F flat
    ],
)
def test_notes_are_spelled_as_the_key_asks(key: Key, pitches: list[int], names: set[str]) -> None:
    assert names_of(write_musicxml(one_line("flute", key, pitches))) == names


def test_a_clarinet_in_f_sharp_major_reads_an_easy_enharmonic_key() -> None:
    root = ElementTree.fromstring(write_musicxml(one_line("clarinet", Key(6, "major"), [66, 68, 70, 71])))

    assert root.findtext(".//key/fifths") == "-4"
    assert root.findtext(".//transpose/chromatic") == "-2"


def test_accidentals_show_once_a_bar_and_again_in_the_next() -> None:
    root = ElementTree.fromstring(
        write_musicxml(one_line("flute", Key(0, "major"), [66, 66, 67, 65, 66, 67, 66, 67]))
    )
    shown = [[n.findtext("accidental") for n in m.findall("note")] for m in root.findall(".//measure")]

    assert shown == [["sharp", None, None, "natural"], ["sharp", None, None, None]]


def test_a_piano_has_two_braced_staves_and_voices_for_held_notes() -> None:
    controls = one_line("piano", Key(0, "major"), [60] * 4).controls
    upper = (Note(0, 64, 48), *(Note(12 * i, 72 + i, 12) for i in range(4)))
    draft = Draft(controls, (Part("piano", (tuple(sorted(upper)), (Note(0, 48, 48),))),))
    root = ElementTree.fromstring(write_musicxml(draft))

    assert root.findtext(".//attributes/staves") == "2"
    assert [c.findtext("sign") for c in root.findall(".//clef")] == ["G", "F"]
    assert len({n.findtext("voice") for n in root.findall(".//note") if n.findtext("staff") == "1"}) == 2


def test_a_high_cello_passage_leaves_the_bass_clef() -> None:
    draft = one_line("cello", Key(0, "major"), [48] * 16 + [72, 74, 76, 74] * 8)
    signs = [c.findtext("sign") for c in ElementTree.fromstring(write_musicxml(draft)).findall(".//clef")]

    assert signs[0] == "F"
    assert len(signs) == 2
    assert signs[1] in {"C", "G"}


def test_tempo_metre_dynamics_and_names_are_on_the_page(tonal_draft: Callable[..., Draft]) -> None:
    draft = tonal_draft(("violin", "violin", "viola", "cello"), metre="6/8", tempo_bpm=90)
    root = ElementTree.fromstring(write_musicxml(draft))

    assert [p.text for p in root.findall(".//score-part/part-name")] == ["Violin I", "Violin II", "Viola", "Cello"]
    assert (root.findtext(".//time/beats"), root.findtext(".//time/beat-type")) == ("6", "8")
    assert (root.findtext(".//beat-unit"), root.findtext(".//per-minute")) == ("quarter", "60")
    assert root.find(".//beat-unit-dot") is not None
    assert len(root.findall(".//dynamics/mf")) == 4
    assert "A piece made by rule" in [e.text for e in root.iter()]


def test_a_note_beyond_the_last_bar_is_refused() -> None:
    draft = one_line("flute", Key(0, "major"), [60] * 4)
    late = replace(draft, parts=(Part("flute", ((Note(40, 60, 24),),)),))

    with pytest.raises(NotationError, match="within 0 to 48"):
        write_musicxml(late)
