"""The instruments that clips are played with: General MIDI programmes, ranges and their names in captions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sound:
    """One class of instrument.

    `programs` are General MIDI, from 0; `low` and `high` MIDI pitches; `chords` tells whether it plays more than
    one note at a time; `weight` how often it plays alone, beside the others.
    """

    name: str
    programs: tuple[int, ...]
    low: int
    high: int
    words: tuple[str, ...]
    chords: bool = False
    weight: float = 1.0


SOUNDS: dict[str, Sound] = {
    s.name: s
    for s in (
        Sound("piano", (0, 0, 1), 28, 100, ("piano", "grand piano", "acoustic piano"), True, 3.0),
        Sound("electric piano", (4, 5), 33, 93, ("electric piano", "e-piano", "rhodes piano"), True),
        Sound("harpsichord", (6,), 33, 88, ("harpsichord",), True),
        Sound("organ", (19, 16, 18), 36, 88, ("organ", "church organ", "pipe organ"), True, 2.0),
        Sound("accordion", (21,), 45, 88, ("accordion",), True),
        Sound("harmonica", (22,), 60, 88, ("harmonica",)),
        Sound("guitar", (24, 25), 40, 81, ("acoustic guitar", "classical guitar", "guitar"), True, 3.0),
        Sound("electric guitar", (26, 27), 40, 83, ("electric guitar", "clean electric guitar"), True),
        Sound("distorted guitar", (29, 30), 40, 76, ("distorted electric guitar", "overdriven guitar"), True),
        Sound("bass", (32, 33, 35), 28, 55, ("bass guitar", "bass", "electric bass")),
        Sound("violin", (40,), 55, 96, ("violin", "solo violin"), False, 2.0),
        Sound("viola", (41,), 48, 84, ("viola",)),
        Sound("cello", (42,), 36, 74, ("cello", "solo cello"), False, 2.0),
        Sound("double bass", (43,), 28, 58, ("double bass", "upright bass")),
        Sound("strings", (48, 49), 40, 91, ("strings", "string orchestra", "string section"), True, 2.0),
        Sound("plucked strings", (45,), 40, 88, ("pizzicato strings", "plucked strings"), True),
        Sound("harp", (46,), 31, 98, ("harp", "concert harp"), True, 2.0),
        Sound("choir", (52,), 43, 81, ("choir", "choral voices", "choir singing aahs"), True, 2.0),
        Sound("trumpet", (56,), 54, 84, ("trumpet",), False, 2.0),
        Sound("trombone", (57,), 40, 70, ("trombone",)),
        Sound("tuba", (58,), 29, 55, ("tuba",)),
        Sound("horn", (60,), 41, 76, ("french horn", "horn")),
        Sound("brass", (61,), 40, 80, ("brass section", "brass"), True),
        Sound("saxophone", (64, 65, 66), 49, 82, ("saxophone", "alto saxophone", "sax"), False, 2.0),
        Sound("oboe", (68,), 58, 88, ("oboe",)),
        Sound("bassoon", (70,), 34, 70, ("bassoon",)),
        Sound("clarinet", (71,), 50, 88, ("clarinet",), False, 1.5),
        Sound("flute", (73,), 60, 93, ("flute", "concert flute"), False, 2.5),
        Sound("recorder", (74,), 65, 91, ("recorder",)),
        Sound("pan flute", (75,), 60, 88, ("pan flute",)),
        Sound("celesta", (8,), 60, 103, ("celesta",), True),
        Sound("glockenspiel", (9,), 72, 103, ("glockenspiel", "bells")),
        Sound("music box", (10,), 60, 98, ("music box",), True),
        Sound("vibraphone", (11,), 53, 89, ("vibraphone", "vibes"), True),
        Sound("marimba", (12, 13), 48, 96, ("marimba", "xylophone", "mallets"), True, 1.5),
        Sound("synth lead", (80, 81), 48, 91, ("synth lead", "synthesizer melody", "synthesizer")),
        Sound("synth pad", (88, 89, 90, 91, 94, 95), 40, 84, ("synth pad", "ambient pad", "synthesizer pad"),
            True, 1.5),
        Sound("sitar", (104,), 45, 79, ("sitar",)),
        Sound("banjo", (105,), 48, 81, ("banjo",), True),
        Sound("steel drums", (114,), 55, 84, ("steel drums", "steelpan")),
    )
}  # fmt: skip
ENSEMBLES: tuple[tuple[str, ...], ...] = (  # from the top line down
    ("violin", "violin", "viola", "cello"),
    ("violin", "violin", "viola", "cello"),
    ("strings", "strings", "strings", "strings"),
    ("trumpet", "trumpet", "trombone", "tuba"),
    ("brass", "brass", "brass", "brass"),
    ("flute", "oboe", "clarinet", "bassoon"),
    ("saxophone", "saxophone", "saxophone", "saxophone"),
    ("recorder", "recorder", "recorder", "recorder"),
    ("choir", "choir", "choir", "choir"),
    ("flute", "violin", "viola", "cello"),
    ("oboe", "violin", "viola", "cello"),
    ("clarinet", "strings", "strings", "strings"),
    ("trumpet", "strings", "strings", "strings"),
    ("flute", "harp", "harp", "cello"),
    ("violin", "guitar", "guitar", "bass"),
    ("plucked strings", "plucked strings", "plucked strings", "plucked strings"),
    ("marimba", "marimba", "vibraphone", "bass"),
)
LEADS = ("violin", "flute", "cello", "clarinet", "oboe", "trumpet", "saxophone", "choir", "horn", "viola", "recorder",
         "harmonica", "pan flute", "trombone", "bassoon", "accordion", "sitar", "synth lead")  # fmt: skip
ACCOMPANIMENTS = ("piano", "piano", "piano", "harp", "guitar", "organ", "strings", "electric piano", "harpsichord",
                  "synth pad", "vibraphone", "accordion")  # fmt: skip
