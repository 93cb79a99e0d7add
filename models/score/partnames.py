"""What instruments are called in a score: full names and abbreviations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_NAMES: dict[str, tuple[str, str]] = {  # where capital letters alone do not make the name
    "piccolo": ("Piccolo", "Picc."), "flute": ("Flute", "Fl."), "recorder": ("Recorder", "Rec."),
    "oboe": ("Oboe", "Ob."), "english horn": ("English Horn", "E. Hn."), "clarinet": ("Clarinet in B♭", "Cl."),
    "saxophone": ("Alto Saxophone", "A. Sax."), "bassoon": ("Bassoon", "Bsn."), "horn": ("Horn in F", "Hn."),
    "trumpet": ("Trumpet in B♭", "Tpt."), "trombone": ("Trombone", "Tbn."), "tuba": ("Tuba", "Tba."),
    "glockenspiel": ("Glockenspiel", "Glock."), "vibraphone": ("Vibraphone", "Vib."),
    "marimba": ("Marimba", "Mrb."),
    "voice": ("Voice", "V."), "bass voice": ("Bass Voice", "B. V."), "choir": ("Choir", "Ch."),
    "guitar": ("Guitar", "Gtr."), "accordion": ("Accordion", "Acc."), "harp": ("Harp", "Hp."),
    "piano": ("Piano", "Pno."), "electric piano": ("Electric Piano", "E. Pno."),
    "harpsichord": ("Harpsichord", "Hpd."), "organ": ("Organ", "Org."), "celesta": ("Celesta", "Cel."),
    "violin": ("Violin", "Vln."), "viola": ("Viola", "Vla."), "cello": ("Cello", "Vc."),
    "double bass": ("Double Bass", "Db."), "strings": ("Strings", "Str."),
}  # fmt: skip
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")


@dataclass(frozen=True, slots=True)
class PartName:
    """A part's name in full, for the first system, and short, for the others."""

    full: str
    short: str


def part_names(instruments: Sequence[str]) -> list[PartName]:
    """Name the parts in score order; several of one instrument are numbered."""
    total, seen = Counter(instruments), Counter[str]()
    names: list[PartName] = []
    for instrument in instruments:
        full, short = _NAMES.get(instrument) or (instrument.title(), f"{instrument[:3].title()}.")
        if total[instrument] > 1:
            number = _ROMAN[seen[instrument]]
            seen[instrument] += 1
            full, short = f"{full} {number}", f"{short} {number}"
        names.append(PartName(full, short))
    return names
