"""Reading a prompt: which of its words fix or favour something in the score, and which were not understood."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from models.score.cues import Cue, figures
from models.score.instruments import INSTRUMENTS, MAX_PARTS
from models.score.lexicon import Entry, lexicon, stem

Fixed = Literal["key", "tonic", "metre", "tempo", "bars"]
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_JOINS = re.compile(
    r"[\s\-\u2010\u2011\u2013/&'\"\u201c\u201d\u2018\u2019]*"
)  # what may stand within a phrase: anything else ends a clause
_NEGATORS = frozenset(
    {"no", "not", "without", "never", "non", "minus", "lack", "lacking", "isn't", "aren't", "doesn't", "don't"}
)
_SCOPE = 3  # words that a negator reaches
_BREAKS = frozenset(
    {
        "but",
        "with",
        "for",
        "in",
        "on",
        "at",
        "by",
        "only",
        "just",
        "instead",
        "then",
        "while",
        "although",
        "though",
        "except",
        "and",
    }
)
_BELOW, _BASS = frozenset({"guitar", "double bass"}), frozenset({"double bass"})  # under what they accompany
_NUMBERS = {
    "two": 2,
    "2": 2,
    "three": 3,
    "3": 3,
    "four": 4,
    "4": 4,
    "five": 5,
    "5": 5,
    "six": 6,
    "6": 6,
    "pair": 2,
    "double": 2,
}


class EmptyPromptError(ValueError):
    """A prompt without any word."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt as it was understood. `instruments` are in score order, as many as a draft can have."""

    text: str
    instruments: tuple[str, ...]
    cues: tuple[Cue, ...]
    left_out: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()

    def fixed(self, kind: Fixed) -> Any:
        """Return what the words fixed a control to, the first time they did; None if they did not."""
        return next((cue.value for cue in self.cues if cue.kind == kind and not cue.negated), None)

    def weights(self, control: str) -> Counter[str]:
        """Return how much the words lean to each value of a control."""
        total: Counter[str] = Counter()
        for cue in self.cues:
            if not cue.negated:
                for lean in cue.leanings:
                    if lean.control == control:
                        total[lean.value] += lean.weight  # type: ignore[assignment]
        return total

    def tempo_bands(self) -> list[tuple[int, int]]:
        """Return the bands of felt tempo that the words ask for: of tempo words if there are any, else of moods."""
        named = [cue.value for cue in self.cues if cue.kind == "tempo word" and not cue.negated]
        moods = [cue.value for cue in self.cues if cue.kind == "tendency" and cue.value and not cue.negated]
        return named or moods

    def as_dict(self) -> dict[str, Any]:
        """Return the reading as JSON values, for the lineage."""
        return {
            "instruments": list(self.instruments),
            "understood": [cue.as_dict() for cue in self.cues],
            "left_out": list(self.left_out),
            "not_understood": list(self.not_understood),
        }


@dataclass(frozen=True, slots=True)
class _Token:
    stem: str
    start: int
    end: int


@dataclass(slots=True)
class _Cast:
    """Instruments gathered from cues, in order of appearance."""

    counts: Counter[str] = field(default_factory=Counter)

    def want(self, names: Sequence[str], times: int = 1) -> None:
        for name, number in Counter(names).items():
            self.counts[name] = max(self.counts[name], number * times)


def read_prompt(text: str) -> Reading:
    """Read free words for instruments, key, metre, tempo, length, and what leans to a mode, texture or loudness.

    Raises:
        EmptyPromptError: there is no word in the text.
    """
    if not _WORD.search(text):
        raise EmptyPromptError(f"prompt {text[:40]!r} has no words")
    cues = [*figures(text)]
    taken = [(cue.start, cue.end) for cue in cues]
    tokens = [
        _Token(stem(m[0]), m.start(), m.end())
        for m in _WORD.finditer(text)
        if not any(start < m.end() and m.start() < end for start, end in taken)
    ]
    negated = _negated(text, tokens)
    known: set[int] = set()
    at = 0
    cast, stand_ins, unpitched = _Cast(), _Cast(), list[Cue]()
    refused: set[str] = set()
    while at < len(tokens):
        length, entry = _longest(text, tokens, at)
        if entry is None:
            at += 1
            continue
        known.update(range(at, at + length))
        cue = _cue(text, tokens, at, length, entry, is_negated=at + length - 1 in negated)
        cues.append(cue)
        if cue.negated:
            refused.update(entry.instruments if entry.kind == "instrument" else ())
        elif entry.kind == "unpitched":
            unpitched.append(cue)
        elif entry.instruments:
            (stand_ins if entry.kind == "stand-in" else cast).want(entry.instruments, _how_many(tokens, at, entry))
        at += length
    instruments, left_out = _gather(cast, stand_ins, refused, unpitched)
    unread = [text[t.start : t.end] for i, t in enumerate(tokens) if i not in known and _could_mean(t.stem)]
    cues.sort(key=lambda cue: (cue.start, cue.end))
    return Reading(text, instruments, tuple(cues), left_out, tuple(dict.fromkeys(unread)))


def score_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return instruments as chamber scores have them: as in an orchestra, with what accompanies at the bottom."""
    order = list(INSTRUMENTS)
    return tuple(
        sorted(names, key=lambda n: (INSTRUMENTS[n].layout == "grand" or n in _BELOW, n in _BASS, order.index(n)))
    )


def _longest(text: str, tokens: list[_Token], at: int) -> tuple[int, Entry | None]:
    words = lexicon()
    for length in range(min(words.longest, len(tokens) - at), 0, -1):
        stretch = tokens[at : at + length]
        entry = words.phrases.get(tuple(t.stem for t in stretch))
        joined = all(_JOINS.fullmatch(text, a.end, b.start) for a, b in pairwise(stretch))
        if entry is not None and joined:
            return length, entry
    return 1, None


def _cue(text: str, tokens: list[_Token], at: int, length: int, entry: Entry, *, is_negated: bool) -> Cue:
    start, end = tokens[at].start, tokens[at + length - 1].end
    words, note = text[start:end], ""
    kind: str = entry.kind
    value: Any = list(entry.instruments) or None
    if entry.kind == "stand-in":
        note = f"{entry.instruments[0]} plays for it: a score draft has no part for {words.lower()}"
    elif entry.kind == "unpitched":
        note = "a score draft has no part without pitch"
    elif entry.tempo_bpm is not None:
        value = list(entry.tempo_bpm)
        kind = "tempo word" if entry.kind == "tempo" else kind
    return Cue(words, start, end, kind, value, entry.leanings, is_negated, note)


def _how_many(tokens: list[_Token], at: int, entry: Entry) -> int:
    """Return the number before an instrument's name, at most one word between; ensembles have their own."""
    if entry.kind == "ensemble":
        return 1
    for before in tokens[max(0, at - 2) : at][::-1]:
        if before.stem in _NUMBERS:
            return _NUMBERS[before.stem]
        if (before.stem,) in lexicon().phrases and lexicon().phrases[(before.stem,)].instruments:
            break
    return 1


def _negated(text: str, tokens: list[_Token]) -> set[int]:
    """Return the places of the words that a "no" or "without" reaches in its clause."""
    reached: set[int] = set()
    for i, token in enumerate(tokens):
        if token.stem not in _NEGATORS:
            continue
        left = _SCOPE
        for k in range(i + 1, len(tokens)):
            word = tokens[k].stem
            ends = not _JOINS.fullmatch(text, tokens[k - 1].end, tokens[k].start)
            if ends or (word in _BREAKS and not (word == "and" and token.stem == "without")):
                break
            if word in ("or", "nor", "and"):
                left = _SCOPE
                continue
            if left == 0:
                break
            left -= 1
            reached.add(k)
    return reached


def _gather(
    cast: _Cast, stand_ins: _Cast, refused: set[str], unpitched: list[Cue]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the instruments in score order and those for which there is no room; named ones before stand-ins."""
    wanted: list[str] = []
    for name, number in [*cast.counts.items(), *stand_ins.counts.items()]:
        missing = number - wanted.count(name)
        wanted.extend([name] * (missing if name not in refused else 0))
    if not wanted and unpitched:
        wanted = ["marimba"]
    kept = score_order(wanted[:MAX_PARTS])
    left_out = [f"{name}: a draft has at most {MAX_PARTS} parts" for name in wanted[MAX_PARTS:]]
    for cue in unpitched:
        words = cue.words.lower()
        alone = kept == ("marimba",)
        left_out.append(f"{words}: {'marimba plays for it' if alone else cue.note}")
    return kept, tuple(dict.fromkeys(left_out))


def _could_mean(word: str) -> bool:
    return word not in lexicon().stop_words and word not in _NEGATORS and len(word) > 1 and not word.isdigit()
