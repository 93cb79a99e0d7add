"""Does a story tell its sections? Each section by the judges, each change by ear for faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.evaluation.clip import Labels
from models.evaluation.figure import Figure
from models.evaluation.scores import share
from models.evaluation.seam import Seam, seam
from models.judges.instruments import judged_as
from models.judges.panel import Hearing, Panel
from models.judges.sound import Waveform

NO_CLICK, NO_SILENCE_S = 2.0, 0.1


@dataclass(frozen=True, slots=True)
class Section:
    """What is asked from a moment on, until the next section or the end."""

    at_s: float
    labels: Labels


@dataclass(frozen=True, slots=True)
class SectionHeard:
    """One section. None where it asks for nothing that the judges know."""

    at_s: float
    instrument: str  # heard best
    scene: str  # heard best
    obeyed: bool | None  # the instrument or the scene heard best is one asked for
    stands_out: bool | None  # what was asked for is heard more in this section than in any other


@dataclass(frozen=True, slots=True)
class StoryEvaluation:
    """A piece of several sections."""

    sections: tuple[SectionHeard, ...]
    seams: tuple[Seam, ...]


def story_figures(stories: Sequence[StoryEvaluation]) -> list[Figure]:
    """Return how many sections obey, how many stand out, and the worst change."""
    sections = [section for story in stories for section in story.sections]
    seams = [found for story in stories for found in story.seams]
    figures = []
    for name, meaning, answers in (
        ("story, section obeys", "what is heard best is what the section asks for", [s.obeyed for s in sections]),
        (
            "story, section stands out",
            "what it asks for is heard more than elsewhere",
            [s.stands_out for s in sections],
        ),
    ):
        if known := [bool(answer) for answer in answers if answer is not None]:
            figures.append(Figure(name=name, meaning=meaning, generated=share(known), clips=len(known)))
    if seams:
        figures += [
            Figure(
                name="story, worst click",
                meaning="largest jolt at a change, over the largest within two seconds around it",
                generated=max(found.click_ratio for found in seams),
                better="lower",
                goal=NO_CLICK,
                clips=len(seams),
            ),
            Figure(
                name="story, longest silence in s",
                meaning="within a second of a change",
                generated=max(found.silence_s for found in seams),
                better="lower",
                goal=NO_SILENCE_S,
                clips=len(seams),
            ),
        ]
    return figures


def evaluate_story(
    waveform: Waveform, sample_rate_hz: int, sections: Sequence[Section], panel: Panel
) -> StoryEvaluation:
    """Judge every section and every change of a story.

    Raises:
        ValueError: there are fewer than two sections, or one of them does not begin inside the waveform.
    """
    if len(sections) < 2:
        raise ValueError(f"{len(sections)} section is no story")
    ends_s = [section.at_s for section in sections[1:]] + [len(waveform) / sample_rate_hz]
    seams = tuple(seam(waveform, sample_rate_hz, section.at_s) for section in sections[1:])
    heard = [
        panel.hear(waveform[round(s.at_s * sample_rate_hz) : round(end_s * sample_rate_hz)], sample_rate_hz)
        for s, end_s in zip(sections, ends_s, strict=True)
    ]
    return StoryEvaluation(tuple(_judge(section, n, heard) for n, section in enumerate(sections)), seams)


def _judge(section: Section, place: int, heard: Sequence[Hearing]) -> SectionHeard:
    own = heard[place]
    instruments = {c for name in section.labels.instruments if (c := judged_as(name))}
    scenes = set(section.labels.scenes) & own.scenes.keys()
    obeyed = stands_out = None
    if instruments or scenes:
        obeyed = own.instrument in instruments or own.scene in scenes
        strength = [
            max([h.instruments[name] for name in instruments] + [h.scenes[name] for name in scenes]) for h in heard
        ]
        stands_out = max(range(len(heard)), key=strength.__getitem__) == place
    return SectionHeard(section.at_s, own.instrument, own.scene, obeyed, stands_out)
