"""The instruments a score draft can be written for: how they sound, how they are written, how far they reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layout = Literal["line", "chords", "grand"]  # one note at a time; chords on one staff; two staves (keyboard, harp)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument.

    `low` and `high` are sounding MIDI pitches of a comfortable professional range. `transposition` is what the
    player reads minus what sounds, in semitones. `program` is General MIDI, from 0.
    """

    name: str
    program: int
    layout: Layout
    low: int
    high: int
    clef: Literal["treble", "alto", "tenor", "bass"] = "treble"
    transposition: int = 0
    family: Literal["woodwind", "brass", "strings", "keyboard", "plucked", "mallet", "voice"] = "strings"


INSTRUMENTS: dict[str, Instrument] = {
    i.name: i
    for i in (  # in score order
        Instrument("piccolo", 72, "line", 74, 102, transposition=-12, family="woodwind"),
        Instrument("flute", 73, "line", 60, 93, family="woodwind"),
        Instrument("recorder", 74, "line", 65, 91, family="woodwind"),
        Instrument("oboe", 68, "line", 58, 89, family="woodwind"),
        Instrument("english horn", 69, "line", 52, 81, transposition=7, family="woodwind"),
        Instrument("clarinet", 71, "line", 50, 89, transposition=2, family="woodwind"),
        Instrument("saxophone", 65, "line", 49, 80, transposition=9, family="woodwind"),
        Instrument("bassoon", 70, "line", 34, 72, "bass", family="woodwind"),
        Instrument("horn", 60, "line", 41, 77, transposition=7, family="brass"),
        Instrument("trumpet", 56, "line", 54, 82, transposition=2, family="brass"),
        Instrument("trombone", 57, "line", 40, 72, "bass", family="brass"),
        Instrument("tuba", 58, "line", 28, 58, "bass", family="brass"),
        Instrument("glockenspiel", 9, "line", 79, 108, transposition=-24, family="mallet"),
        Instrument("vibraphone", 11, "chords", 53, 89, family="mallet"),
        Instrument("marimba", 12, "chords", 45, 96, family="mallet"),
        Instrument("voice", 52, "line", 57, 81, family="voice"),
        Instrument("bass voice", 52, "line", 40, 64, "bass", family="voice"),
        Instrument("choir", 52, "chords", 48, 81, family="voice"),
        Instrument("guitar", 24, "chords", 40, 83, transposition=12, family="plucked"),
        Instrument("accordion", 21, "grand", 41, 93, family="keyboard"),
        Instrument("harp", 46, "grand", 28, 100, family="plucked"),
        Instrument("piano", 0, "grand", 23, 103, family="keyboard"),
        Instrument("electric piano", 4, "grand", 28, 96, family="keyboard"),
        Instrument("harpsichord", 6, "grand", 29, 89, family="keyboard"),
        Instrument("organ", 19, "grand", 36, 91, family="keyboard"),
        Instrument("celesta", 8, "grand", 60, 103, transposition=-12, family="keyboard"),
        Instrument("violin", 40, "line", 55, 96),
        Instrument("viola", 41, "line", 48, 86, "alto"),
        Instrument("cello", 42, "line", 36, 76, "bass"),
        Instrument("double bass", 43, "line", 28, 62, "bass", transposition=12),
        Instrument("strings", 48, "chords", 43, 93),
    )
}
MAX_PARTS = 6
