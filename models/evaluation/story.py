"""Does a story tell its sections? Each section by the judges, each change by ear for faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.evaluation.clip import Labels
from models.evaluation.seam import Seam, seam
from models.judges.instruments import judged_as
from models.judges.panel import Hearing, Panel
from models.judges.sound import Waveform


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
