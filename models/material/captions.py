"""Captions by template over true labels, in words that people use of music (MusicCaps' vocabulary).

Some words are left out on purpose (fiddle, downpour, lonely ...): they examine whether free words are understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from models.material.instruments import SOUNDS
from models.material.labels import Labels

_SCENES: dict[str, tuple[str, ...]] = {
    "birds": ("birds singing", "birdsong in a forest", "birds chirping", "chirping birds in the morning"),
    "boat": ("a boat creaking on the water", "water lapping against a boat", "a wooden boat in a harbour"),
    "city": ("city traffic", "a busy city street", "street noise with cars passing", "urban traffic"),
    "crowd": (
        "people talking in a coffee shop",
        "a busy café",
        "crowd chatter",
        "the murmur of people in a restaurant",
    ),
    "fire": ("a crackling fire", "a fireplace", "a campfire crackling", "burning logs"),
    "rain": ("rain", "heavy rain falling", "rain on leaves", "steady rainfall", "rainy weather"),
    "thunderstorm": ("a thunderstorm", "thunder and rain", "a storm with rolling thunder"),
    "crickets": ("crickets at night", "a summer night with crickets", "insects chirping at night"),
    "train": ("a train on the rails", "a train ride", "the rattle of a train"),
    "waves": ("ocean waves", "waves on a beach", "the sea, waves breaking on the shore", "surf"),
    "wind": ("wind blowing", "howling wind", "a windy landscape", "strong wind"),
}
_TEMPI = {
    "slow": ("slow tempo", "slow", "very slow", "slow-paced", "at a slow tempo"),
    "medium": ("medium tempo", "moderate tempo", "mid-tempo", "at a moderate pace"),
    "fast": ("fast tempo", "fast", "up-tempo", "fast-paced", "at a fast tempo", "quick"),
}
_MOODS = {
    ("slow", "minor"): ("sad", "melancholic", "sorrowful", "gloomy", "sombre", "emotional"),
    ("slow", "major"): ("calm", "peaceful", "relaxing", "soothing", "dreamy", "gentle"),
    ("medium", "minor"): ("wistful", "mysterious", "nostalgic", "brooding"),
    ("medium", "major"): ("pleasant", "warm", "hopeful", "easygoing", "charming"),
    ("fast", "minor"): ("tense", "urgent", "dramatic", "agitated", "intense", "restless"),
    ("fast", "major"): ("joyful", "happy", "lively", "energetic", "cheerful", "upbeat"),
}
_DRUMS = ("drums", "a drum beat", "percussion", "acoustic drums", "a steady drum groove")
_BUSY, _SPARSE = 6.0, 2.0  # onsets a second


def caption(labels: Labels, rng: np.random.Generator) -> str:
    """Return one caption; every call may choose other words and leave out other labels."""
    match labels.kind:
        case "scene":
            text = _joined([_one(_SCENES[s], rng) for s in labels.scenes], rng)
            text = _one(("{}", "the sound of {}", "a field recording of {}", "{}, ambience", "soundscape of {}",
                         "{}, no music", "environmental sounds: {}"), rng).format(text)  # fmt: skip
        case "scene and music":
            scene = _joined([_one(_SCENES[s], rng) for s in labels.scenes], rng)
            joint = _one(("{music} with {scene} in the background", "{music}, {scene}", "{scene} and {music}",
                          "{music} over the sound of {scene}", "{scene}, with {music}"), rng)  # fmt: skip
            text = joint.format(music=_music(labels, rng), scene=scene)
        case _:
            text = _music(labels, rng)
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def _music(labels: Labels, rng: np.random.Generator) -> str:
    names = [_one(SOUNDS[i].words, rng) for i in labels.instruments]
    if labels.kind == "drums":
        thing = _one(("a {style} drum groove", "{style} drums", "drum beat", "a drum solo", "percussion only",
                      "{style} beat, drums only"), rng).format(style=labels.style)  # fmt: skip
    elif labels.kind == "band":
        thing = _one(("a {style} band with {list}", "{style} music with {list}", "{style} song, {list}",
                      "instrumental {style} track featuring {list}", "{style}"), rng)  # fmt: skip
        thing = thing.format(style=labels.style, list=_joined(_some([*names, _one(_DRUMS, rng)], rng), rng))
    elif len(names) == 1:
        thing = _one(("{}", "solo {}", "a {} playing", "a {} melody", "a piece for {}", "{} music",
            "someone playing {}",
                      "an instrumental featuring {}", "a recording of a {}"), rng).format(names[0])  # fmt: skip
    else:
        if set(labels.instruments) == {"violin", "viola", "cello"} and rng.random() < 0.6:
            thing = _one(("a string quartet", "string quartet music", "violins, viola and cello"), rng)
        else:
            thing = _one(("{}", "a piece for {}", "{} playing together", "an ensemble of {}", "a duet of {}"
                          if len(names) == 2 else "chamber music with {}"), rng).format(_joined(names,
                              rng))  # fmt: skip
    details = [*_details(labels, rng)]
    rng.shuffle(details)
    before = (
        details[:1] if details and not details[0].startswith(("at ", "in ", "no ")) and rng.random() < 0.5 else []
    )
    after = details[len(before) : len(before) + int(rng.integers(0, 4))]
    if before and thing.startswith("a "):
        thing = f"a {before.pop()} {thing.removeprefix('a ')}"
    return ", ".join([" ".join([*before, thing]), *after])


def _details(labels: Labels, rng: np.random.Generator) -> list[str]:
    found = []
    if labels.tempo is not None:
        found.append(_one(_TEMPI[labels.tempo], rng))
        if labels.mode is not None and rng.random() < 0.7:
            found.append(_one(_MOODS[labels.tempo, labels.mode], rng))
    if labels.key is not None and rng.random() < 0.25:
        found.append(_one((f"in {labels.key}", f"in the key of {labels.key}"), rng))
    elif labels.mode is not None and rng.random() < 0.25:
        found.append(_one((f"in a {labels.mode} key", f"{labels.mode} key"), rng))
    if labels.loudness is not None and rng.random() < 0.5:
        found.append({"soft": "soft", "loud": "loud"}[labels.loudness])
    if labels.onsets_per_s is not None and rng.random() < 0.25:
        if labels.onsets_per_s > _BUSY:
            found.append("busy")
        elif labels.onsets_per_s < _SPARSE:
            found.append("sparse")
    if labels.kind in ("solo", "ensemble") and rng.random() < 0.15:
        found.append(_one(("no drums", "no percussion", "instrumental", "classical"), rng))
    return found


def _one(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _some(names: list[str], rng: np.random.Generator) -> list[str]:
    kept = [name for name in names if rng.random() < 0.8]
    return kept or names[:1]


def _joined(names: Sequence[str], rng: np.random.Generator) -> str:
    names = list(dict.fromkeys(names))
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + (" and " if rng.random() < 0.7 else ", ") + names[-1]
