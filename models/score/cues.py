"""Cues: words of a prompt that were understood, and the ones that are written in figures or name a key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.key import Mode, parse_key
from models.score.controls import MAX_BARS, MAX_BPM, METRES, MIN_BPM
from models.score.lexicon import Leaning

_SHARP_FLAT = r"(?:\s*[♯#♭]|[\s-]?(?:sharp|flat)|b(?=[\s-]))"
_MODES: dict[str, Mode] = {
    "maj": "major", "major": "major", "lydian": "major", "mixolydian": "major", "ionian": "major",
    "min": "minor", "minor": "minor", "dorian": "minor", "phrygian": "minor", "aeolian": "minor",
}  # fmt: skip
_KEY = re.compile(
    rf"(?P<lead>\b(?:in|key(?:\s+of)?:?)\s+(?:the\s+key\s+of\s+)?)?"
    rf"(?<![\w'\u2019])(?P<tonic>[A-Ga-g])(?P<sign>{_SHARP_FLAT})?"
    rf"[\s-]*\b(?P<mode>{'|'.join(_MODES)})\b"
    r"(?P<after>\s+(?:key|mode|scale|tonality|mood|feel|chords?|third|second|sixth|seventh)\b)?",
    re.IGNORECASE,
)
_SHORT_KEY = re.compile(r"\b(?:in|[Kk]ey(?:\s+of)?:?)\s+(?P<tonic>[A-G])(?P<sign>[#♯b♭])?m\b")
_TONIC = re.compile(
    rf"(?:\bkey\s+of\s+(?P<named>[A-Ga-g])|\bin\s+(?P<tonic>[A-G]))(?P<sign>{_SHARP_FLAT})?"
    r"(?=\s*(?:[,.;:!?)]|$|\s(?:for|and|with|at)\b))"
)
_METRE = re.compile(r"(?<![\d/])(\d{1,2})\s*/\s*(2|4|8|16)(?![\d/])")
_NEAREST_METRE = {"6/4": "3/2", "7/4": "4/4", "7/8": "4/4", "5/8": "5/4", "4/8": "2/4", "2/8": "2/4", "1/4": "2/4",
    "10/8": "5/4", "4/2": "2/2", "6/16": "3/8", "8/8": "4/4", "12/4": "12/8", "9/4": "9/8"}  # fmt: skip
_BPM = re.compile(
    r"(?<![\d.])(\d{2,3})(?:\s*(?:-|\u2013|to)\s*(\d{2,3}))?[\s-]*(?:bpm|b\.p\.m\.?|beats\s+(?:per|a)\s+minute)\b",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"(?:♩|\bquarter(?:\s+note)?|\btempo)\s*(?:=|:|of)\s*(\d{2,3})\b", re.IGNORECASE)
_BARS = re.compile(r"(?<![\d.])(\d{1,3})[\s-]+(?:bars?|measures?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cue:
    """Words that were understood, where they stand in the prompt, and what they were taken to mean."""

    words: str
    start: int
    end: int
    kind: str  # of the lexicon's kinds, or key, tonic, metre, tempo, bars
    value: Any = None
    leanings: tuple[Leaning, ...] = ()
    negated: bool = False
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the cue as JSON values."""
        out: dict[str, Any] = {"words": self.words, "at": [self.start, self.end], "kind": self.kind}
        if self.value is not None:
            out["value"] = self.value
        if self.leanings:
            out["leans"] = [f"{lean.control}: {lean.value}" for lean in self.leanings]
        if self.negated:
            out["negated"] = True
        if self.note:
            out["note"] = self.note
        return out


def figures(text: str) -> Iterator[Cue]:
    """Yield what a text says in figures or as a key: keys, metres, beats a minute, bars."""
    for match in _KEY.finditer(text):
        yield _key_cue(match)
    keys = [m.span() for m in _KEY.finditer(text)]
    for match in _SHORT_KEY.finditer(text):
        yield _cue_at(match, "key", _key_name(match["tonic"], match["sign"], "minor"))
    for match in _TONIC.finditer(text):
        if not any(a < match.end() and match.start() < b for a, b in keys):
            name = _key_name(match["named"] or match["tonic"], match["sign"], "major")
            yield _cue_at(match, "tonic", name.split()[0])
    for match in _METRE.finditer(text):
        yield from _metre_cue(match)
    for match in [*_BPM.finditer(text), *_EQUALS.finditer(text)]:
        asked = [int(g) for g in match.groups() if g]
        beats = [min(max(b, MIN_BPM), MAX_BPM) for b in asked]
        note = "" if beats == asked else f"brought within {MIN_BPM} to {MAX_BPM}"
        yield _cue_at(match, "tempo", sorted(beats), note)
    for match in _BARS.finditer(text):
        if 1 <= int(match[1]) <= MAX_BARS:
            yield _cue_at(match, "bars", int(match[1]))


def _cue_at(match: re.Match[str], kind: str, value: Any, note: str = "") -> Cue:
    return Cue(match[0].strip(), match.start(), match.end(), kind, value, note=note)


def _key_cue(match: re.Match[str]) -> Cue:
    """Tell "in A minor" from "in a minor key", which has a mode but no tonic."""
    article = match["tonic"] == "a" and not match["sign"]
    led = bool(match["lead"]) and not match["after"]
    mode = _MODES[match["mode"].lower()]
    if article and not led:
        return Cue(match[0].strip(), match.start(), match.end(), "tendency", None, (Leaning("mode", mode, 40.0),))
    return _cue_at(match, "key", _key_name(match["tonic"], match["sign"], mode))


def _key_name(tonic: str, sign: str | None, mode: str) -> str:
    sign = (sign or "").strip(" -").lower()
    return parse_key(f"{tonic.upper()}{sign} {mode}").name


def _metre_cue(match: re.Match[str]) -> Iterator[Cue]:
    written = f"{int(match[1])}/{match[2]}"
    if written in METRES:
        yield _cue_at(match, "metre", written)
    elif (nearest := _NEAREST_METRE.get(written)) is not None:
        yield _cue_at(match, "metre", nearest, f"{nearest} is the nearest that a score draft has to {written}")
