"""Notation: a draft as MusicXML, written as players are used to and the same byte for byte each time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from xml.etree import ElementTree

from music21 import bar as barline
from music21 import (
    beam,
    chord,
    clef,
    duration,
    dynamics,
    instrument,
    interval,
    key,
    layout,
    metadata,
    meter,
    note,
    pitch,
    stream,
    tempo,
    tie,
)
from music21.musicxml.m21ToXml import ScoreExporter

from models.key import Key
from models.score.clefs import Clef, choose_clefs
from models.score.controls import TICKS_PER_QUARTER, ScoreControls
from models.score.draft import Draft, Note, Part
from models.score.instruments import INSTRUMENTS, Instrument
from models.score.partnames import PartName, part_names
from models.score.rhythm import Span, Written, gaps, write_bar
from models.score.spelling import Speller, Spelling, letter, signature, spelled
from models.score.tempi import beat_unit, tempo_word
from models.score.voices import split_voices

_CLEFS: dict[Clef, Callable[[], clef.Clef]] = {
    "treble": clef.TrebleClef,
    "alto": clef.AltoClef,
    "tenor": clef.TenorClef,
    "bass": clef.BassClef,
}
_FIFTHS = {0: 0, 2: 2, 7: 1, 9: 3}  # transposition in semitones within an octave -> on the line of fifths
_MOST_SIGNS = 6  # a transposing part with more sharps or flats is written in the enharmonic key
_LETTERS = "CDEFGAB"
_UNTITLED = "Untitled"
_ACCIDENTALS = {-2: "double-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_HEADER = b'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'  # noqa: E501


class NotationError(Exception):
    """A draft that cannot be written down: it breaks what `models.score.draft` promises."""


@dataclass(frozen=True, slots=True)
class _Tied:
    """The part of a chord that lies in one bar and one voice; times in ticks from the bar's start."""

    start: int
    end: int
    notes: tuple[Spelling, ...]
    from_before: bool
    to_after: bool


@dataclass(frozen=True, slots=True)
class _Staff:
    """A staff ready to write: for each bar its voices, and the clef."""

    bars: list[list[list[_Tied]]]
    clefs: list[Clef]


@dataclass(frozen=True, slots=True)
class _Transposition:
    """How a part is written: semitones and places on the line of fifths above what sounds."""

    semitones: int
    fifths: int

    @property
    def to_sound(self) -> interval.Interval | None:
        """The interval from the written pitch to the one that sounds."""
        if self.semitones == 0 and self.fifths == 0:
            return None
        steps = (self.fifths * 4) % 7  # a fifth is four steps up, octaves aside
        steps += 7 * round((self.semitones - steps * 12 / 7) / 12)
        generic = -steps - 1 if steps >= 0 else -steps + 1
        return interval.intervalFromGenericAndChromatic(generic if generic not in (-1, 0) else 1, -self.semitones)


def write_musicxml(draft: Draft) -> bytes:
    """Return the draft as a MusicXML 4.0 partwise document, UTF-8.

    Raises:
        NotationError: the draft has no bars' worth of staves, or a note outside its bars.
    """
    _check(draft)
    score = stream.Score()
    score.metadata = metadata.Metadata(title=draft.controls.title or _UNTITLED)
    staves = [note_list for part in draft.parts for note_list in part.staves]
    speller = Speller(draft.controls.key, staves)
    names = part_names([part.instrument for part in draft.parts])
    for number, (part, name) in enumerate(zip(draft.parts, names, strict=True), start=1):
        written = _write_part(draft.controls, part, name, number, speller)
        for staff in written:
            score.insert(0, staff)
        if len(written) > 1:
            score.insert(0, layout.StaffGroup(written, name=name.full, abbreviation=name.short, symbol="brace"))
    for group in _families(draft, score):
        score.insert(0, group)
    return _serialise(score, draft.controls)


def _check(draft: Draft) -> None:
    for part in draft.parts:
        if part.instrument not in INSTRUMENTS:
            raise NotationError(f"no instrument {part.instrument!r}")
        wanted = 2 if INSTRUMENTS[part.instrument].layout == "grand" else 1
        if len(part.staves) != wanted:
            raise NotationError(f"{part.instrument}: {len(part.staves)} staves, it is written on {wanted}")
        for item in (n for staff in part.staves for n in staff):
            if item.duration < 1 or item.onset < 0 or item.end > draft.ticks:
                raise NotationError(f"{part.instrument}: {item} is not within 0 to {draft.ticks} ticks")


def _write_part(
    controls: ScoreControls, part: Part, name: PartName, number: int, speller: Speller
) -> list[stream.Part]:
    kind = INSTRUMENTS[part.instrument]
    moved = _transposition(kind, controls.key)
    streams: list[stream.Part] = []
    for index, notes in enumerate(part.staves):
        staff = _lay_out(controls, kind, index, notes, moved, speller)
        out = stream.PartStaff() if len(part.staves) > 1 else stream.Part()
        out.id = f"P{number}-S{index + 1}"
        out.partName, out.partAbbreviation = name.full, name.short
        out.atSoundingPitch = False
        signs = signature(controls.key) + moved.fifths
        for bar in range(controls.bars):
            measure = stream.Measure(number=bar + 1)
            if bar == 0:
                measure.insert(0, _player(kind, name, number, moved))
                measure.insert(0, _written_key(signs, controls.key))
                measure.insert(0, meter.TimeSignature(controls.metre))
                if index == 0:
                    measure.insert(0, dynamics.Dynamic(controls.dynamics))
                    if number == 1:
                        measure.insert(0, _metronome(controls))
            if bar == 0 or staff.clefs[bar] != staff.clefs[bar - 1]:
                measure.insert(0, _CLEFS[staff.clefs[bar]]())
            _fill(measure, staff.bars[bar], controls.metre, controls.bar_ticks, signs)
            if bar == controls.bars - 1:
                measure.rightBarline = barline.Barline("final")
            out.insert(Fraction(bar * controls.bar_ticks, TICKS_PER_QUARTER), measure)
        streams.append(out)
    return streams


def _families(draft: Draft, score: stream.Score) -> Iterator[layout.StaffGroup]:
    """Yield a bracket for neighbours of one family, whose bar lines go through (save where words would stand)."""
    by_part: dict[str, list[stream.Part]] = defaultdict(list)
    for staff in score.parts:
        by_part[str(staff.id).split("-", maxsplit=1)[0]].append(staff)
    kinds = [(INSTRUMENTS[part.instrument], f"P{number}") for number, part in enumerate(draft.parts, start=1)]
    for family, neighbours in groupby(kinds, key=lambda k: k[0].family):
        staves = [staff for kind, part in neighbours if kind.layout != "grand" for staff in by_part[part]]
        if len(staves) > 1:
            yield layout.StaffGroup(staves, symbol="bracket", barTogether=family != "voice")


def _transposition(kind: Instrument, sounding: Key) -> _Transposition:
    fifths = _FIFTHS[kind.transposition % 12]
    if signature(sounding) + fifths > _MOST_SIGNS:
        fifths -= 12
    return _Transposition(kind.transposition, fifths)


def _written_key(signs: int, sounding: Key) -> key.Key:
    step, alter = letter(signs + (3 if sounding.mode == "minor" else 0))
    return key.Key(step + ("#" * alter if alter > 0 else "-" * -alter), sounding.mode)


def _player(kind: Instrument, name: PartName, number: int, moved: _Transposition) -> instrument.Instrument:
    player = instrument.Instrument(name.full)
    player.partId, player.instrumentId = f"P{number}", f"P{number}-I1"
    player.partName, player.partAbbreviation = name.full, name.short
    player.instrumentAbbreviation = name.short
    player.midiProgram = kind.program
    player.midiChannel = (number - 1) if number < 10 else number
    if (to_sound := moved.to_sound) is not None:
        player.transposition = to_sound
    return player


def _metronome(controls: ScoreControls) -> tempo.MetronomeMark:
    unit = beat_unit(controls.metre)
    beats = round(controls.tempo_bpm * TICKS_PER_QUARTER / unit.ticks, 1)
    number = int(beats) if beats == int(beats) else beats
    referent = duration.Duration(type=unit.name, dots=unit.dots)
    return tempo.MetronomeMark(number=number, referent=referent)


def _lay_out(
    controls: ScoreControls,
    kind: Instrument,
    index: int,
    notes: Sequence[Note],
    moved: _Transposition,
    speller: Speller,
) -> _Staff:
    """Share a staff's notes among voices and bars, spell them as written, choose its clefs."""
    places = speller.spell_staff(notes)
    by_time = {(n.onset, n.end, n.pitch): spelled(n.pitch + moved.semitones, places[n] + moved.fifths) for n in notes}
    bar = controls.bar_ticks
    bars: list[list[list[_Tied]]] = [[] for _ in range(controls.bars)]
    for voice in split_voices(notes):
        content: dict[int, list[_Tied]] = defaultdict(list)
        for c in voice:
            spellings = tuple(by_time[c.onset, c.end, p] for p in c.pitches)
            for b in range(c.onset // bar, (c.end - 1) // bar + 1):
                start, end = max(c.onset, b * bar), min(c.end, (b + 1) * bar)
                content[b].append(_Tied(start - b * bar, end - b * bar, spellings, start > c.onset, end < c.end))
        for b, items in content.items():
            bars[b].append(items)
    heights = [[_height(s) for v in voices for item in v for s in item.notes] for voices in bars]
    return _Staff(bars, choose_clefs(kind, index, heights))


def _height(spelling: Spelling) -> int:
    return spelling.octave * 7 + _LETTERS.index(spelling.step)


def _fill(measure: stream.Measure, voices: list[list[_Tied]], metre: str, bar: int, signs: int) -> None:
    """Write the voices of one bar into it."""
    if not voices:
        silence = note.Rest()
        silence.duration = duration.Duration(Fraction(bar, TICKS_PER_QUARTER))
        silence.fullMeasure = True
        measure.insert(0, silence)
        return
    written = [_voice_items(items, metre, bar) for items in voices]
    shown = _accidentals(written, signs)
    for v, items in enumerate(written):
        target: stream.Voice | stream.Measure = stream.Voice(id=str(v + 1)) if len(voices) > 1 else measure
        for i, (value, tied) in enumerate(items):
            element = _rest(value, hidden=v > 0) if tied is None else _sound(value, tied, items, i, shown[v, i])
            target.insert(Fraction(value.start, TICKS_PER_QUARTER), element)
        if target is not measure:
            measure.insert(0, target)


def _voice_items(items: list[_Tied], metre: str, bar: int) -> list[tuple[Written, _Tied | None]]:
    spans = gaps([Span(t.start, t.end, False) for t in items], bar)
    sounds: Iterator[_Tied] = iter(items)
    sources = [None if span.is_rest else next(sounds) for span in spans]
    return [(value, sources[value.source]) for value in write_bar(spans, metre)]


def _accidentals(
    voices: list[list[tuple[Written, _Tied | None]]], signs: int
) -> dict[tuple[int, int], frozenset[Spelling]]:
    """Tell which notes of a bar show their accidental: those that differ from the signature or what came before.

    What is only tied on from before does not show it again.
    """
    order = sorted((value.start, v, i) for v, items in enumerate(voices) for i, (value, _) in enumerate(items))
    in_signature = dict.fromkeys(_LETTERS, 0)
    for place in range(min(0, signs), max(0, signs)):
        step, _ = letter(place - 1 + (0 if signs > 0 else 7))
        in_signature[step] = 1 if signs > 0 else -1
    state: dict[tuple[str, int], int] = {}
    shown: dict[tuple[int, int], frozenset[Spelling]] = {}
    for _, v, i in order:
        value, tied = voices[v][i]
        fresh: set[Spelling] = set()
        if tied is not None:
            goes_on = i > 0 and voices[v][i - 1][0].source == value.source
            for s in tied.notes:
                if goes_on or tied.from_before:
                    continue
                if state.get((s.step, s.octave), in_signature[s.step]) != s.alter:
                    fresh.add(s)
                state[s.step, s.octave] = s.alter
        shown[v, i] = frozenset(fresh)
    return shown


def _rest(value: Written, *, hidden: bool) -> note.Rest:
    rest = note.Rest()
    rest.duration = _duration(value)
    if hidden:
        rest.style.hideObjectOnPrint = True
    return rest


def _sound(
    value: Written, tied: _Tied, items: list[tuple[Written, _Tied | None]], i: int, shown: frozenset[Spelling]
) -> note.Note | chord.Chord:
    before = tied.from_before or (i > 0 and items[i - 1][0].source == value.source)
    after = tied.to_after or (i + 1 < len(items) and items[i + 1][0].source == value.source)
    how = "continue" if before and after else "start" if after else "stop" if before else None
    notes = []
    for s in tied.notes:
        single = note.Note(_pitch(s, show=s in shown))
        if how is not None:
            single.tie = tie.Tie(how)
        notes.append(single)
    element = notes[0] if len(notes) == 1 else chord.Chord(notes)
    element.duration = _duration(value)
    for mark in value.beams:
        kind, _, direction = mark.partition("-")
        element.beams.append(beam.Beam(type=kind, direction=direction or None))
    for number, each in enumerate(element.beams.beamsList, start=1):
        each.number = number
    return element


def _pitch(s: Spelling, *, show: bool) -> pitch.Pitch:
    out = pitch.Pitch(f"{s.step}{s.octave}")
    if s.alter or show:
        out.accidental = pitch.Accidental(_ACCIDENTALS[s.alter])
        out.accidental.displayStatus = show
    return out


def _duration(value: Written) -> duration.Duration:
    out = duration.Duration(type=value.name, dots=value.dots)
    if value.in_triplet:
        three = duration.Tuplet(3, 2)
        three.setDurationType("eighth")
        three.type = value.bracket
        out.appendTuplet(three)
    return out


def _serialise(score: stream.Score, controls: ScoreControls) -> bytes:
    """Export without what changes from day to day, the first bar's marks where players look for them."""
    exporter = ScoreExporter(score)
    exporter.makeNotation = False  # every bar is complete: nothing is left to guess, and nothing is copied
    root = exporter.parse()
    for parent in [*root.iter("identification"), *root.iter("encoding")]:
        for child in [*parent.findall("creator"), *parent.findall("encoding-date")]:
            parent.remove(child)
    _place_marks(root, controls)
    _add_headings(root, controls)
    ElementTree.indent(root)
    return _HEADER + bytes(ElementTree.tostring(root, encoding="utf-8")) + b"\n"


def _place_marks(root: ElementTree.Element, controls: ScoreControls) -> None:
    """Put dynamics below the staff, and the tempo's word and figure above it as one mark."""
    for direction in root.iter("direction"):
        if (marks := direction.find("direction-type/dynamics")) is not None:
            marks.attrib.clear()
            direction.set("placement", "below")
        elif direction.find("direction-type/metronome") is not None:
            direction.set("placement", "above")
            kind = ElementTree.Element("direction-type")
            ElementTree.SubElement(kind, "words", {"font-weight": "bold"}).text = f"{tempo_word(controls)} "
            direction.insert(0, kind)


def _add_headings(root: ElementTree.Element, controls: ScoreControls) -> None:
    """Put title and subtitle on the first page; music21 would write them as text boxes of no kind."""
    place = [child.tag for child in root].index("part-list")
    in_key = controls.key.name.replace("b ", "♭ ").replace("# ", "♯ ")
    headings = (("title", controls.title or _UNTITLED, "22"), ("subtitle", f"Score draft in {in_key}", "12"))
    for number, (kind, words, size) in enumerate(headings):
        credit = ElementTree.Element("credit", {"page": "1"})
        ElementTree.SubElement(credit, "credit-type").text = kind
        where = {"default-x": "600", "default-y": str(1600 - 60 * number), "font-size": size}
        style = where | {"justify": "center", "halign": "center", "valign": "top"}
        ElementTree.SubElement(credit, "credit-words", style).text = words
        root.insert(place + number, credit)
