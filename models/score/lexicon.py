"""The lexicon: phrases that prompts use, and what each means for a score (data in lexicon.yaml)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

Kind = Literal["instrument", "stand-in", "unpitched", "ensemble", "tendency", "tempo"]
Phrase = tuple[str, ...]
CONTROLS = ("mode", "metre", "texture", "density", "dynamics", "scoring")  # those that words can lean to
_USUAL_WEIGHT = 3.0
_SPLIT = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Leaning:
    """A value of a control that a word makes likelier."""

    control: str
    value: str
    weight: float


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase means: instruments in order, or leanings, or a band of tempo in felt beats a minute."""

    kind: Kind
    instruments: tuple[str, ...] = ()
    leanings: tuple[Leaning, ...] = ()
    tempo_bpm: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All phrases, as tuples of stems, and the words that mean nothing for a score."""

    phrases: Mapping[Phrase, Entry]
    stop_words: frozenset[str]
    longest: int


def stem(word: str) -> str:
    """Return the form in which words are compared: no case, no possessive, no plural s."""
    word = word.casefold().replace("\u2019", "'").removesuffix("'s")
    if len(word) > 3 and word.endswith("s") and word[-2] not in "siu'":
        return word[:-1]
    return word


def phrase(text: str) -> Phrase:
    """Return the stems of a phrase."""
    return tuple(stem(word) for word in _SPLIT.findall(text))


@cache
def lexicon() -> Lexicon:
    """Return the lexicon that is shipped, read once."""
    text = (Path(__file__).parent / "lexicon.yaml").read_text(encoding="utf-8")
    data = yaml.load(text, Loader=yaml.CSafeLoader)
    phrases: dict[Phrase, Entry] = {}
    for words, entry in _entries(data):
        phrases.setdefault(phrase(words), entry)
    stop_words = frozenset(stem(str(word)) for word in data["stop_words"])
    return Lexicon(phrases, stop_words, max(map(len, phrases)))


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    """Yield phrases with their meaning; the first meaning of a phrase holds."""
    for group in data["ensembles"]:
        yield from ((words, Entry("ensemble", tuple(group["parts"]))) for words in group["words"])
    for name, synonyms in data["instruments"].items():
        yield from ((words, Entry("instrument", (name,))) for words in synonyms)
    for name, others in data["stand_ins"].items():
        yield from ((words, Entry("stand-in", (name,))) for words in others)
    yield from ((words, Entry("unpitched")) for words in data["unpitched"])
    for group in data["tempi"]:
        yield from ((words, Entry("tempo", tempo_bpm=_band(group["tempo"]))) for words in group["words"])
    for group in data["tendencies"]:
        entry = Entry(
            "tendency",
            leanings=tuple(_leanings(group)),
            tempo_bpm=_band(group["tempo"]) if "tempo" in group else None,
        )
        yield from ((words, entry) for words in group["words"])


def _leanings(group: Mapping[str, Any]) -> Iterator[Leaning]:
    weight = float(group.get("weight", _USUAL_WEIGHT))
    for control in CONTROLS:
        values = group.get(control, [])
        if isinstance(values, dict):
            yield from (Leaning(control, str(value), float(share)) for value, share in values.items())
        else:
            options = values if isinstance(values, list) else [values]
            yield from (Leaning(control, str(value), weight / len(options)) for value in options)


def _band(values: list[int]) -> tuple[int, int]:
    low, high = values
    return low, high
