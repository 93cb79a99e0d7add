"""What measuring a model is: a study for each kind of model, in parts that are measured one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flows.errors import FlowError
from flows.model_training import Report

if TYPE_CHECKING:
    from models.generator import Generator
    from models.weights import ModelVersion


class EvaluationError(FlowError):
    """A model cannot be measured so; the message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """On what a model is measured, and how much; a kind of model wants some of it."""

    corpus: Path | None = None  # of score models: the prepared corpus
    drafts: int = 100  # of score models
    clips: Path | None = None  # of a MusicLM: the rendered clips
    training: Path | None = None  # of a SingSong: the folder of its training
    voices: Path | None = None  # of a SingSong: a folder of recordings of real singing
    page: Path = Path("report")  # where the page to hear and see goes
    quick: bool = False


class Study(Protocol):
    """The measuring of one version."""

    @property
    def parts(self) -> Sequence[str]:
        """The parts that are measured if nobody names any, in order."""

    @property
    def known(self) -> Sequence[str]:
        """All parts that there are."""

    def measure(self, part: str, report: Report) -> None:
        """Measure a part."""

    def finish(self) -> dict[str, Any]:
        """Write the page if there is one, and return the figures as JSON values."""


def study_of(version: ModelVersion, extent: Extent) -> Study:
    """Return the study of a version.

    Raises:
        EvaluationError: it is of a kind that is not measured here, or the material or what judges needs is missing.
    """
    architecture = version.config.get("architecture")
    if architecture == "score-transformer":
        return _ScoreStudy(version, extent)
    if architecture not in ("musiclm", "singsong"):
        raise EvaluationError(f"{version.name} is no model of this project, which has no measure for it")
    try:
        return _MusicLMStudy(version, extent) if architecture == "musiclm" else _SingSongStudy(version, extent)
    except ImportError as error:
        raise EvaluationError(f"{error}; install Tutti with its extra 'evaluate'") from error


class _MusicLMStudy:
    """By judges that training never heard; a page to hear and see."""

    def __init__(self, version: ModelVersion, extent: Extent) -> None:
        from models.evaluation import report
        from models.material.clips import ClipsError, ClipSet
        from models.musiclm import evaluation

        if extent.clips is None:
            raise EvaluationError("a MusicLM is measured on rendered clips: give --clips OUT/clips")
        try:
            clips = ClipSet(extent.clips)
        except ClipsError as error:
            raise EvaluationError(str(error)) from error
        much = evaluation.QUICK if extent.quick else evaluation.Extent()
        self._evaluation = evaluation.Evaluation(version, clips, much)
        self._reporting, self._page = report, extent.page
        self.known = evaluation.PARTS
        self.parts = evaluation.QUICK_PARTS if extent.quick else evaluation.PARTS

    def measure(self, part: str, report: Report) -> None:
        self._evaluation.measure(part, report)

    def finish(self) -> dict[str, Any]:
        self._reporting.write_report(self._evaluation.report, self._page)
        figures: dict[str, Any] = self._reporting.as_json(self._evaluation.report)
        return figures


class _SingSongStudy:
    """On the held-out songs of a training; the ablation is measured where it was trained. A page to hear and see."""

    def __init__(self, version: ModelVersion, extent: Extent) -> None:
        from models.evaluation import report
        from models.singsong import evaluation, real_voices

        if extent.training is None:
            raise EvaluationError("a SingSong is measured on the songs of its training: give --training OUT")
        self._version, self._training, self._asked = version, extent.training, extent
        self._evaluation, self._real_voices, self._reporting = evaluation, real_voices, report
        self._found = report.Report(model=version.reference)
        self._much = evaluation.Extent(songs=8, ablated=8, examples=4) if extent.quick else evaluation.Extent()
        voices = ("voices",) if extent.voices else ()
        self.known = ("accompaniments", *voices, "ablation")
        self.parts = self.known[:-1] if extent.quick else self.known

    def measure(self, part: str, report: Report) -> None:
        from models.mulan.sentences import SentencesError
        from models.recording import RecordingError
        from models.registry import find_version, load_generator
        from models.singsong.pairs import PairsError
        from models.singsong.pipeline import Pipeline
        from models.training.parts import PipelineError

        base, found = find_version("musiclm-small", []), self._found
        pipeline = Pipeline(self._training, self._training, base, workers=1, device="cpu", report=report)
        try:
            if part == "ablation":
                variants = {v.name: load_generator(v, slots=8) for v in pipeline.ablated_versions()}
                figures = self._evaluation.evaluate_ablation(
                    variants, pipeline.pairs, pipeline.voices_NT, self._much, report=report
                )
                self._found = replace(found, figures=[*found.figures, *figures])
            elif part == "voices":
                assert self._asked.voices is not None
                voices = self._real_voices.read_voices(self._asked.voices)
                figures, examples = self._real_voices.evaluate_voices(self._generator, voices, report=report)
                self._found = replace(
                    found, figures=[*found.figures, *figures], examples=[*found.examples, *examples]
                )
            else:
                self._found = self._evaluation.evaluate(
                    self._version.reference,
                    self._generator,
                    pipeline.base,
                    pipeline.pairs,
                    self._much,
                    report=report,
                )
        except (PairsError, PipelineError, RecordingError, SentencesError) as error:
            raise EvaluationError(str(error)) from error

    @cached_property
    def _generator(self) -> Generator:
        from models.registry import load_generator

        return load_generator(self._version, slots=8)

    def finish(self) -> dict[str, Any]:
        self._reporting.write_report(self._found, self._asked.page)
        figures: dict[str, Any] = self._reporting.as_json(self._found)
        return figures


class _ScoreStudy:
    """Likelihood on held-out composers if there is a corpus, obedience over whole drafts."""

    def __init__(self, version: ModelVersion, extent: Extent) -> None:
        self._version, self._extent = version, extent
        self.known = self.parts = ("drafts",) if extent.corpus is None else ("likelihoods", "drafts")
        self._figures: dict[str, Any] = {}

    def measure(self, part: str, report: Report) -> None:
        if part == "likelihoods":
            self._figures["nats_per_token"] = self._likelihoods()
        else:
            self._figures["drafts"] = self._drafts(report)

    def finish(self) -> dict[str, Any]:
        return self._figures

    def _likelihoods(self) -> dict[str, float]:
        import torch

        from models.score.corpus import CorpusError, load_passages
        from models.score.evaluation import likelihoods
        from models.score.training import ScoreTrainingConfig
        from models.transformer import Transformer, TransformerConfig
        from models.weights import load_into

        assert self._extent.corpus is not None
        model = Transformer(TransformerConfig(**self._version.config["transformer"]))
        load_into(model, self._version, "cpu", torch.float32)
        try:
            return likelihoods(model, ScoreTrainingConfig(), load_passages(self._extent.corpus))
        except CorpusError as error:
            raise EvaluationError(str(error)) from error

    def _drafts(self, report: Report) -> dict[str, Any]:
        from models.registry import load_generator
        from models.score.evaluation import obedience, summary

        count = self._extent.drafts
        judged, making_s = obedience(
            load_generator(self._version),
            count,
            seed=0,
            report=lambda done, total: report("drafts", done, total, {}),
        )
        return {
            "count": count,
            "seconds_each": round(making_s / count, 2),
            "obeyed": summary(judged),
            "disobeyed": [one.prompt for one in judged if not (one.key and one.metre and one.instruments)],
        }
