"""Does the score model do what it is told? Likelihood on held-out music, and obedience of whole drafts.

Drafts are judged from their MusicXML alone, as music21 reads it: nothing of the generator's own view is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from models.generator import Generator, Json, Product
from models.key import parse_key
from models.making import make_all
from models.sampling import choose, uniform
from models.score.controls import METRES
from models.score.corpus import Passage
from models.score.dataset import ScoreDataset
from models.score.instruments import INSTRUMENTS
from models.score.training import ScoreTrainingConfig, negative_log_likelihood, scored, split, validation_batches
from models.score.trigram import Trigram
from models.score.vocabulary import VOCABULARY
from models.transformer import Transformer

MOODS = ("calm", "melancholic", "joyful", "tense", "majestic", "playful", "dreamy", "sombre")
ENSEMBLES = (
    ("piano",), ("flute", "piano"), ("violin", "violin", "viola", "cello"), ("guitar",), ("cello",),
    ("oboe", "clarinet", "bassoon"), ("trumpet", "horn", "trombone", "tuba"), ("voice", "piano"), ("flute", "harp"),
    ("choir", "organ"), ("violin", "cello", "piano"), ("clarinet", "strings"),
)  # fmt: skip
KEYS = (
    "C major",
    "D minor",
    "Eb major",
    "F# minor",
    "G major",
    "A minor",
    "Bb major",
    "C minor",
    "E major",
    "B minor",
)


@dataclass(frozen=True, slots=True)
class Obedience:
    """What one draft made of its prompt, as music21 hears it."""

    prompt: str
    key: bool
    metre: bool
    instruments: bool
    in_range: bool
    clean: bool  # no note without length, none past the last bar, none struck while it sounds on its staff


def likelihoods(model: Transformer, config: ScoreTrainingConfig, passages: list[Passage]) -> dict[str, float]:
    """Return nats a token on held-out composers: the model's and a trigram's over the same tokens."""
    training, validation = split(passages)
    batches = validation_batches(validation, config)
    trigram = Trigram(len(VOCABULARY))
    data = ScoreDataset(training, length=config.length, seed=config.seed)
    trigram.learn(data.item(number) for number in range(2 * len(training)))
    return {
        "model": negative_log_likelihood(model, batches),
        "trigram": trigram.negative_log_likelihood(_scored_rows(batches)),
        "held_out_composers": len({p.composer for p in validation}),
        "scored_tokens": sum(int(scored(batch).sum()) for batch in batches),
    }


def prompts(count: int, seed: int) -> Iterator[dict[str, Json]]:
    """Yield recipes whose prompts name mood, ensemble, key and metre in words; controls are left to the words."""
    for n in range(count):
        mood, key, metre = (
            choose(options, [1.0] * len(options), uniform(seed, what, n))
            for what, options in (("mood", MOODS), ("key", KEYS), ("metre", tuple(METRES)))
        )
        ensemble = ENSEMBLES[n % len(ENSEMBLES)]
        prompt = f"{mood} piece for {_in_words(ensemble)} in {key}, {metre} time"
        yield {"prompt": prompt, "seed": seed + n, "duration_s": 20, "controls": {}, "ask": (key, metre, ensemble)}


def obedience(
    generator: Generator, count: int, seed: int, report: Callable[[int, int], None]
) -> tuple[list[Obedience], float]:
    """Make `count` drafts and judge each; return the judgements and the seconds it took to make them.

    Raises:
        GenerationError: a draft could not be made.
    """
    asked = {str(n): recipe for n, recipe in enumerate(prompts(count, seed))}
    judged: list[Obedience] = []
    making_s, started = 0.0, time.perf_counter()
    for key, product in make_all(generator, asked):
        if isinstance(product, Exception):
            raise product
        making_s += time.perf_counter() - started
        judged.append(judge(asked[key]["prompt"], asked[key]["ask"], product))
        report(len(judged), count)
        started = time.perf_counter()
    return judged, making_s


def judge(prompt: str, ask: tuple[str, str, Sequence[str]], product: Product) -> Obedience:
    """Read a product's MusicXML with music21 and hold it against what was asked."""
    from music21 import converter, stream

    key_asked, metre_asked, ensemble = ask
    data = next(file.data for file in product.files if file.role == "musicxml")
    score = converter.parseData(data, format="musicxml")
    assert isinstance(score, stream.Score)
    parts = list(score.parts)
    sounding = score.toSoundingPitch()
    heard, wanted = sounding.analyze("key"), parse_key(key_asked)
    per_instrument = _by_instrument(list(sounding.parts), ensemble)
    return Obedience(
        prompt=prompt,
        key=(heard.tonic.pitchClass, heard.mode) == (wanted.tonic, wanted.mode),
        metre=_metre_holds(parts, metre_asked),
        instruments=bool(per_instrument)
        and all(any(True for part in group for _ in part.flatten().notes) for group in per_instrument),
        in_range=all(
            INSTRUMENTS[name].low <= pitch.midi <= INSTRUMENTS[name].high
            for name, group in zip(ensemble, per_instrument, strict=False)
            for part in group
            for element in part.flatten().notes
            for pitch in element.pitches
        ),
        clean=all(_is_clean(part) for part in sounding.parts),
    )


def summary(judged: Sequence[Obedience]) -> dict[str, float]:
    """Return the share of drafts that obeyed, control by control."""
    return {
        name: sum(getattr(one, name) for one in judged) / len(judged)
        for name in ("key", "metre", "instruments", "in_range", "clean")
    }


def _scored_rows(batches: Sequence[torch.Tensor]) -> Iterator[tuple[list[int], int]]:
    for batch in batches:
        for row, mask in zip(batch.tolist(), scored(batch).tolist(), strict=True):
            tokens = [token for token in row if token != VOCABULARY.pad]
            yield tokens, mask.index(True) + 1


def _in_words(ensemble: Sequence[str]) -> str:
    if tuple(ensemble) == ("violin", "violin", "viola", "cello"):
        return "string quartet"
    return f"solo {ensemble[0]}" if len(ensemble) == 1 else " and ".join((", ".join(ensemble[:-1]), ensemble[-1]))


def _program(part: Any) -> int | None:
    instrument = part.getInstrument(returnDefault=False)
    return None if instrument is None else instrument.midiProgram


def _by_instrument(parts: Sequence[Any], ensemble: Sequence[str]) -> list[list[Any]]:
    """Group music21's parts (one a staff) by the instrument that plays them; empty if they do not come out even."""
    remaining = list(parts)
    groups: list[list[Any]] = []
    for name in ensemble:
        playing = [part for part in remaining if _program(part) == INSTRUMENTS[name].program]
        groups.append(playing[: 2 if INSTRUMENTS[name].layout == "grand" else 1])
        remaining = [part for part in remaining if all(part is not one for one in groups[-1])]
    return [] if remaining or not all(groups) else groups


def _metre_holds(parts: Sequence[Any], metre: str) -> bool:
    for part in parts:
        signs = {sign.ratioString for sign in part.recurse().getElementsByClass("TimeSignature")}
        if signs != {metre}:
            return False
        quarters = METRES[metre] / 12
        if any(abs(bar.duration.quarterLength - quarters) > 1e-6 for bar in part.getElementsByClass("Measure")):
            return False
    return True


def _is_clean(part: Any) -> bool:
    """Tell whether every note of a staff has a length, ends within the piece, and lets go before it is struck anew.

    Tied notes follow each other without a gap, so they need not be joined first.
    """
    end = part.duration.quarterLength
    released: dict[int, float] = {}
    for element in sorted(part.flatten().notes, key=lambda e: e.offset):
        start, stop = element.offset, element.offset + element.duration.quarterLength
        if stop <= start or stop > end + 1e-6:
            return False
        for pitch in element.pitches:
            if released.get(pitch.midi, 0.0) > start + 1e-6:
                return False
            released[pitch.midi] = stop
    return True
