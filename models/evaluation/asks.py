"""The prompts of an evaluation, with just the labels that their words ask for, and held-out renders that fit them.

Captions of the training material tell only a part of what is true of a clip; to judge by the rest would blame a
model for what nobody said. So these prompts are written for the purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.evaluation.clip import Clip, Labels
from models.judges.instruments import INSTRUMENTS
from models.judges.scenes import SCENES
from models.material.clips import ClipSet
from models.material.labels import Labels as MaterialLabels
from models.material.synth import SAMPLE_RATE_HZ

_PACES: tuple[Literal["slow", "fast"], ...] = ("slow", "fast")
_SOLOS = (
    "{pace} solo {instrument}",
    "just {instrument}, at a {pace} tempo",
    "{pace} {instrument} music, no other instruments",
    "someone plays a {pace} melody on the {instrument}",
)
_GROOVES = (
    "{pace} drum groove",
    "a {pace} beat on a drum kit",
    "{pace} music with drums",
    "drums and bass playing at a {pace} tempo",
)
_SCENE_WORDS = {
    "rain": ("rain falling", "a rainy day", "steady rain outside", "the sound of rain"),
    "waves": ("sea waves", "waves at the beach", "the ocean", "the sound of waves on the shore"),
    "birds": ("birds singing", "birdsong in the morning", "chirping birds", "the sound of birds"),
    "thunderstorm": ("a thunderstorm", "thunder rolling", "a storm with thunder", "the sound of thunder"),
    "fire": ("a crackling fire", "a fireplace", "a campfire burning", "the sound of fire"),
}
_PLAYED_ON = {"mallets": ("marimba", "vibraphone")}


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt and what it asks for."""

    prompt: str
    labels: Labels


class NoFittingClipError(Exception):
    """The held-out clips have none that fits an ask; the message names it."""


def asks(copies: int = 2) -> tuple[Ask, ...]:
    """Return the prompts: every instrument slow and fast, every scene, grooves slow and fast.

    Args:
        copies: of each instrument at each pace, each in other words; of scenes and grooves there are more, so that
            each side of a comparison has enough. 2 make 80 prompts.
    """
    found = []
    for number, name in enumerate(INSTRUMENTS):
        for pace in _PACES:
            for copy in range(copies):
                named = _PLAYED_ON.get(name, (name,))
                instrument = named[copy % len(named)]
                prompt = _SOLOS[(number + copy) % len(_SOLOS)].format(pace=pace, instrument=instrument)
                found.append(Ask(prompt, Labels(instruments=(instrument,), tempo_band=pace)))
    for name in SCENES:
        found += [Ask(_SCENE_WORDS[name][copy % 4], Labels(scenes=(name,))) for copy in range(2 * copies)]
    for pace in _PACES:
        for copy in range(4 * copies):
            found.append(Ask(_GROOVES[copy % 4].format(pace=pace), Labels(drums=True, tempo_band=pace)))
    return tuple(found)


def fitting_clips(asked: Sequence[Ask], clips: ClipSet) -> list[Clip]:
    """Return a held-out clip for each ask that its words are true of, with the ask's prompt and labels.

    No clip is taken twice while another one fits.

    Raises:
        NoFittingClipError: none fits an ask.
    """
    numbers = clips.numbers("validation")
    taken: dict[int, int] = dict.fromkeys(numbers, 0)
    found = []
    for ask in asked:
        fitting = [n for n in numbers if _fits(ask.labels, clips.clips[n].labels)]
        if not fitting:
            raise NoFittingClipError(f"none of {len(numbers)} held-out clips fits {ask.prompt!r}")
        number = min(fitting, key=lambda n: (taken[n], n))
        taken[number] += 1
        found.append(Clip(clips.waveform(number), SAMPLE_RATE_HZ, ask.labels, ask.prompt))
    return found


def _fits(asked: Labels, true: MaterialLabels) -> bool:
    if asked.scenes:
        return true.kind == "scene" and set(true.scenes) == set(asked.scenes)
    if true.scenes or true.drums != asked.drums or true.tempo != asked.tempo_band:
        return False
    return asked.drums or (true.kind == "solo" and set(true.instruments) == set(asked.instruments))
