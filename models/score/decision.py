"""Deciding: everything that a prompt leaves open is chosen, by what its words lean to and by the seed alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from models.key import Key, Mode, NoKeyError, parse_key
from models.sampling import choose, uniform
from models.score.controls import (
    DENSITIES,
    DYNAMICS,
    MAX_BARS,
    MAX_BPM,
    METRES,
    MIN_BARS,
    MIN_BPM,
    TEXTURES,
    TICKS_PER_QUARTER,
    ControlError,
    Density,
    Dynamics,
    ScoreControls,
    Texture,
    check_instruments,
    check_tempo,
)
from models.score.instruments import INSTRUMENTS
from models.score.reading import Reading, score_order
from models.score.tempi import beat_unit, felt_bpm

_PRIORS: dict[str, dict[str, float]] = {  # each sums to about 1, a third of what one word weighs
    "mode": {"major": 0.55, "minor": 0.45},
    "metre": {"4/4": 0.45, "3/4": 0.3, "6/8": 0.15, "2/4": 0.1},
    "texture": {"melody": 0.35, "flowing": 0.3, "chordal": 0.25, "contrapuntal": 0.1},
    "density": {"moderate": 0.6, "sparse": 0.2, "dense": 0.2},
    "dynamics": {"mf": 0.35, "mp": 0.3, "p": 0.2, "f": 0.15},
    "scoring": {
        "piano": 0.3,
        "violin,piano": 0.2,
        "violin,violin,viola,cello": 0.2,
        "flute,piano": 0.15,
        "cello,piano": 0.15,
    },
}
_TONICS: dict[Mode, dict[int, float]] = {
    "major": {0: 4, 7: 4, 2: 4, 5: 4, 10: 3, 9: 2, 3: 3, 4: 1, 8: 1},
    "minor": {9: 4, 2: 4, 4: 4, 7: 4, 0: 3, 11: 2, 5: 1, 6: 1, 1: 1},
}
_USUAL_TEMPO = (76, 120)
_NAMES = ("instruments", "key", "metre", "tempo_bpm", "bars", "texture", "density", "dynamics", "title")
_TITLE_LENGTH = 60
_BEND = 1.25  # how far beyond the words' band a tempo may go where the number of bars is fixed


@dataclass(frozen=True, slots=True)
class ExplicitControls:
    """The controls that an order fixed itself; None where it leaves them open."""

    instruments: tuple[str, ...] | None = None
    key: Key | None = None
    metre: str | None = None
    tempo_bpm: int | None = None
    bars: int | None = None
    texture: Texture | None = None
    density: Density | None = None
    dynamics: Dynamics | None = None
    title: str | None = None


def explicit_controls(values: Mapping[str, Any]) -> ExplicitControls:
    """Check the controls of an order.

    Raises:
        ControlError: an unknown name, a wrong type, or a value that no score can have.
    """
    if unknown := sorted(set(values) - set(_NAMES)):
        raise ControlError(f"control {unknown[0]!r} is not known; one of: {', '.join(_NAMES)}")
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("key", "metre", "texture", "density", "dynamics", "title"):
        if name in given and not isinstance(given[name], str):
            raise ControlError(f"{name} {given[name]!r} is not a text")
    for name in ("tempo_bpm", "bars"):
        if name in given and (isinstance(given[name], bool) or not isinstance(given[name], int)):
            raise ControlError(f"{name} {given[name]!r} is not a whole number")
    for name, known in (
        ("metre", tuple(METRES)),
        ("texture", TEXTURES),
        ("density", DENSITIES),
        ("dynamics", DYNAMICS),
    ):
        if name in given and given[name] not in known:
            raise ControlError(f"{name} {given[name]!r} is not known; one of: {', '.join(known)}")
    if "tempo_bpm" in given:
        check_tempo(given["tempo_bpm"])
    if "bars" in given and not MIN_BARS <= given["bars"] <= MAX_BARS:
        raise ControlError(f"bars {given['bars']} is outside {MIN_BARS} to {MAX_BARS}")
    if "key" in given:
        try:
            given["key"] = parse_key(given["key"])
        except NoKeyError as error:
            raise ControlError(str(error)) from None
    if "instruments" in given:
        given["instruments"] = _instruments(given["instruments"])
    return ExplicitControls(**given)


def _instruments(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise ControlError(f"instruments {value!r} is not a list of names")
    names = tuple(value)
    check_instruments(names)
    return score_order(names)


def decide(reading: Reading, controls: Mapping[str, Any], duration_s: float, seed: int) -> ScoreControls:
    """Fix every control: as the order says, else as the words say, else by what they lean to and the seed.

    The music lasts about `duration_s`: whole bars, the tempo chosen so that they fit where it was left open.

    Raises:
        ControlError: a control of the order is wrong, or so long a piece would have more than MAX_BARS bars.
    """
    if not duration_s > 0:
        raise ControlError(f"duration_s {duration_s} is not above zero")
    fixed = explicit_controls(controls)
    mode = cast(Mode, _lean(reading, "mode", seed))
    metre = fixed.metre or reading.fixed("metre") or _lean(reading, "metre", seed)
    tempo_bpm, bars = _pace(reading, fixed, metre, duration_s, seed)
    return ScoreControls(
        instruments=fixed.instruments or reading.instruments or _scoring(reading, seed),
        key=fixed.key or _key(reading, mode, seed),
        metre=metre,
        tempo_bpm=tempo_bpm,
        bars=bars,
        texture=fixed.texture or cast(Texture, _lean(reading, "texture", seed)),
        density=fixed.density or cast(Density, _lean(reading, "density", seed)),
        dynamics=fixed.dynamics or cast(Dynamics, _lean(reading, "dynamics", seed)),
        title=_title(reading.text if fixed.title is None else fixed.title),
    )


def _lean(reading: Reading, control: str, seed: int) -> str:
    weights = dict(_PRIORS[control])
    for value, weight in reading.weights(control).items():
        weights[value] = weights.get(value, 0.0) + weight
    return choose(list(weights), list(weights.values()), uniform(seed, f"decide {control}", 0))


def _scoring(reading: Reading, seed: int) -> tuple[str, ...]:
    names = _lean(reading, "scoring", seed).split(",")
    refused = {
        name for cue in reading.cues if cue.negated and cue.kind in ("instrument", "stand-in") for name in cue.value
    }
    kept = [name for name in names if name not in refused]
    instead = next(name for name in ("violin", "flute", "piano", *INSTRUMENTS) if name not in refused)
    return score_order(kept or [instead])


def _key(reading: Reading, mode: Mode, seed: int) -> Key:
    if (name := reading.fixed("key")) is not None:
        return parse_key(name)
    if (tonic := reading.fixed("tonic")) is not None:
        return parse_key(f"{tonic} {mode}")
    tonics = _TONICS[mode]
    return Key(choose(list(tonics), list(tonics.values()), uniform(seed, "decide tonic", 0)), mode)


def _pace(reading: Reading, fixed: ExplicitControls, metre: str, duration_s: float, seed: int) -> tuple[int, int]:
    """Return quarter notes a minute and bars."""
    quarters = METRES[metre] / TICKS_PER_QUARTER
    bars = fixed.bars or reading.fixed("bars")
    low, high, is_fixed = _tempo_band(reading, fixed, metre)
    wanted = low + (high - low) * uniform(seed, "decide tempo", 0)
    if bars is None:
        bars, tempo_bpm = _fit(duration_s, quarters, low, high, wanted)
    else:
        exact = bars * quarters * 60 / duration_s
        bend = 1.0 if is_fixed else _BEND
        tempo_bpm = _within(round(min(max(exact, low / bend), high * bend)), MIN_BPM, MAX_BPM)
    if bars > MAX_BARS:
        raise ControlError(
            f"duration_s {duration_s:g} needs {bars} bars of {metre} at {tempo_bpm} bpm; at most {MAX_BARS}"
        )
    return tempo_bpm, bars


def _tempo_band(reading: Reading, fixed: ExplicitControls, metre: str) -> tuple[float, float, bool]:
    """Return the lowest and highest quarter notes a minute, and whether that is an order rather than a leaning."""
    if fixed.tempo_bpm is not None:
        return fixed.tempo_bpm, fixed.tempo_bpm, True
    if (beats := reading.fixed("tempo")) is not None:
        scale = beat_unit(metre).ticks / TICKS_PER_QUARTER
        low, high = (_within(round(b * scale), MIN_BPM, MAX_BPM) for b in (beats[0], beats[-1]))
        return low, high, True
    bands = reading.tempo_bands() or [_USUAL_TEMPO]
    quarters_a_felt_beat = 100 / felt_bpm(100, metre)
    ends = [sum(band[i] for band in bands) / len(bands) * quarters_a_felt_beat for i in (0, 1)]
    low, high = (_within(round(end), MIN_BPM, MAX_BPM) for end in ends)
    return low, high, False


def _fit(duration_s: float, quarters: float, low: float, high: float, wanted: float) -> tuple[int, int]:
    """Return bars and tempo within the band that come closest to the duration, to `wanted` and to whole phrases."""
    best: tuple[float, int, int] | None = None
    fewest = max(1, round(duration_s * low / 60 / quarters))
    most = max(fewest, round(duration_s * high / 60 / quarters))
    for bars in range(fewest, min(most, max(fewest, MAX_BARS)) + 1):
        tempo_bpm = _within(round(bars * quarters * 60 / duration_s), round(low), round(high))
        error = abs(bars * quarters * 60 / tempo_bpm - duration_s) / duration_s
        phrases = 0.0 if bars % 4 == 0 else 0.02 if bars % 2 == 0 else 0.05
        cost = 10 * error + abs(tempo_bpm - wanted) / wanted + phrases
        if best is None or cost < best[0]:
            best = (cost, bars, tempo_bpm)
    if best is None:
        raise AssertionError("the range of bars is never empty")
    return best[1], best[2]


def _within(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def _title(text: str) -> str:
    """Return a heading from words: the first clause or so, without what no document can hold."""
    visible = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    words = " ".join(visible.split())
    if len(words) > _TITLE_LENGTH:
        words = words[: _TITLE_LENGTH + 1].rsplit(" ", 1)[0].rstrip(" ,;:.-")[:_TITLE_LENGTH]
    words = words.rstrip(".")
    return words[:1].upper() + words[1:]
