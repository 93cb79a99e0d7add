"""Drafts as MIDI files, read back by mido and symusic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from io import BytesIO

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.key import Key
from models.score.controls import METRES, ScoreControls
from models.score.draft import Draft, Note, Part
from models.score.midi import TICKS_PER_BEAT, write_midi

MakeDraft = Callable[..., Draft]


def played(midi: bytes) -> tuple[Counter[tuple[int, int]], int]:
    """Return the (pitch, file tick) of every note struck, and how many keys stay down."""
    struck: Counter[tuple[int, int]] = Counter()
    stuck = 0
    for track in mido.MidiFile(file=BytesIO(midi)).tracks:
        now, down = 0, set[int]()
        for message in track:
            now += message.time
            if message.type == "note_on":
                assert message.note not in down, "a key that is down is struck"
                down.add(message.note)
                struck[message.note, now] += 1
            elif message.type == "note_off":
                down.remove(message.note)
        stuck += len(down)
    return struck, stuck


def controls_for(
    instruments: tuple[str, ...], metre: str = "4/4", bars: int = 4, dynamics: str = "mf"
) -> ScoreControls:
    return ScoreControls(
        instruments=instruments, key=Key(2, "minor"), metre="4/4", tempo_bpm=96, bars=4,
        texture="chordal", density="dense", dynamics=dynamics, title="Struck",  # type: ignore[arg-type]
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_note_is_struck_once_and_none_is_stuck(data: st.DataObject) -> None:
    staves = []
    for _ in range(2):
        notes: list[Note] = []
        for _ in range(data.draw(st.integers(0, 15))):
            note = Note(data.draw(st.integers(0, 180)), data.draw(st.integers(48, 54)), data.draw(st.integers(1, 12)))
            if not any(n.pitch == note.pitch and n.onset < note.end and note.onset < n.end for n in notes):
                notes.append(note)
        staves.append(tuple(sorted(notes)))

    struck, stuck = played(write_midi(Draft(controls_for(("piano",)), (Part("piano", tuple(staves)),))))

    assert set(struck) == {(n.pitch, n.onset * 40) for staff in staves for n in staff}
    assert stuck == 0


@pytest.mark.parametrize("metre", sorted(METRES))
def test_tempo_metre_key_and_programs_are_in_the_file(tonal_draft: MakeDraft, metre: str) -> None:
    file = mido.MidiFile(file=BytesIO(write_midi(tonal_draft(("flute", "cello"), key="G# minor", metre=metre))))
    metas = {m.type: m for m in file.tracks[0]}

    assert file.ticks_per_beat == TICKS_PER_BEAT
    assert round(mido.tempo2bpm(metas["set_tempo"].tempo)) == 96
    assert f"{metas['time_signature'].numerator}/{metas['time_signature'].denominator}" == metre
    assert metas["key_signature"].key == "G#m"
    assert [[m.program for m in t if m.type == "program_change"] for t in file.tracks[1:]] == [[73], [42]]


def test_six_parts_have_channels_of_their_own_and_none_is_percussion(tonal_draft: MakeDraft) -> None:
    file = mido.MidiFile(file=BytesIO(write_midi(tonal_draft(("flute",) * 6))))
    channels = [{m.channel for m in track if not m.is_meta} for track in file.tracks[1:]]

    assert sorted(c for s in channels for c in s) == [0, 1, 2, 3, 4, 5]


def test_the_file_lasts_as_long_as_the_draft(tonal_draft: MakeDraft) -> None:
    draft = tonal_draft(("violin", "piano"), metre="6/8", bars=11, tempo_bpm=77)

    assert mido.MidiFile(file=BytesIO(write_midi(draft))).length == pytest.approx(draft.duration_s, rel=1e-5)


def test_symusic_reads_the_same_notes(tonal_draft: MakeDraft) -> None:
    symusic = pytest.importorskip("symusic")
    draft = tonal_draft(("oboe", "guitar"), metre="3/4")
    score = symusic.Score.from_midi(write_midi(draft))

    assert [t.program for t in score.tracks] == [68, 24]
    heard = Counter((n.pitch, n.start) for t in score.tracks for n in t.notes)
    assert heard == Counter((n.pitch, n.onset * 40) for p in draft.parts for s in p.staves for n in s)


def test_louder_dynamics_are_struck_harder_and_downbeats_hardest() -> None:
    def velocities(dynamics: str) -> list[int]:
        notes = tuple(Note(12 * i, 60, 12) for i in range(16))
        midi = write_midi(Draft(controls_for(("flute",), dynamics=dynamics), (Part("flute", (notes,)),)))
        return [m.velocity for t in mido.MidiFile(file=BytesIO(midi)).tracks for m in t if m.type == "note_on"]

    means = [sum(velocities(d)) / 16 for d in ("pp", "p", "mp", "mf", "f", "ff")]
    bar = velocities("mf")[4:8]
    assert means == sorted(means)
    assert bar[0] == max(bar) > bar[1]


def test_the_bytes_are_the_same_each_time(tonal_draft: MakeDraft) -> None:
    draft = tonal_draft(("violin", "piano"))

    assert write_midi(draft) == write_midi(draft)
