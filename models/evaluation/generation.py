"""Does generated audio obey its prompts, and does it sound like music? Every figure beside its references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.clip import Clip, Labels, derangement
from models.evaluation.figure import Figure
from models.evaluation.frechet import frechet_distance
from models.evaluation.obedience import MEASURES, Measure, Scored, solo
from models.evaluation.scores import bootstrap_interval, kl_divergence
from models.judges.instruments import INSTRUMENTS
from models.judges.panel import Hearing, Panel
from models.key import parse_key

Progress = Callable[[int, int], None]  # done, of how many
Agreement = Callable[[Sequence[Clip], Sequence[str]], NDArray[np.floating]]  # (clips, prompts), cosine of each pair

FEWEST_FOR_FRECHET = 8  # clips of a kind


@dataclass(frozen=True, slots=True)
class Set:
    """Clips and what the judges heard in them."""

    clips: tuple[Clip, ...]
    heard: tuple[Hearing, ...]

    def asked(self) -> tuple[Labels, ...]:
        """The labels of all clips."""
        return tuple(clip.labels for clip in self.clips)


@dataclass(frozen=True, slots=True)
class GenerationEvaluation:
    """All figures, and what they were taken from."""

    figures: tuple[Figure, ...]
    confusion: dict[str, dict[str, int]]  # of solo instruments: asked -> heard -> clips
    generated: Set
    real: Set
    round_trip: Set | None


def evaluate_generation(
    generated: Sequence[Clip],
    real: Sequence[Clip],
    *,
    panel: Panel,
    round_trip: Callable[[NDArray[np.float32], int], NDArray[np.float32]] | None = None,
    agreement: Agreement | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> GenerationEvaluation:
    """Judge generated clips, and beside them real renders, these through the codec, and shuffled prompts.

    Args:
        generated: clips with the labels that their prompts ask for.
        real: held-out renders with true labels. Where as many as `generated` and with the same prompts in the same
            order, the divergence of each from its render is measured too.
        panel: the judges.
        round_trip: the codec, (waveform, sample rate) -> waveform of as many samples.
        agreement: how well audio fits words by the model's own joint embedding (MuLan): called with all clips and
            all prompts, it returns the cosines (clips, prompts).
        seed: who gets whose prompt when they are shuffled, and the noise.
        progress: told how many clips have been heard.

    Raises:
        ValueError: there are fewer than two generated or real clips, a clip is no audio, or its key is none.
    """
    if min(len(generated), len(real)) < 2:
        raise ValueError(f"{len(generated)} generated and {len(real)} real clips: give at least 2 of each")
    for clip in (*generated, *real):  # before an hour of listening, not after it
        if clip.labels.key:
            parse_key(clip.labels.key)
    ear = _Ear(panel, len(generated) + len(real) * (3 if round_trip else 2), progress)
    made, true = ear.hear(generated), ear.hear(real)
    coded = None
    if round_trip:
        coded = ear.hear([_with(c, round_trip(c.waveform, c.sample_rate_hz)) for c in real])
    noise = ear.hear(noise_like(real, seed))
    swapped = [made.asked()[other] for other in derangement(len(generated), seed)]
    figures = [f for measure in MEASURES if (f := _obedience(measure, made, true, coded, swapped))]
    figures += _distances(made, true, coded, noise, swapped)
    if paired(generated, real):
        figures.append(_divergence(made, true, coded, derangement(len(generated), seed)))
    if agreement:
        figures.append(_agreement(agreement, made, true, coded, seed))
    return GenerationEvaluation(tuple(figures), confusion(made), made, true, coded)


def paired(generated: Sequence[Clip], real: Sequence[Clip]) -> bool:
    """Tell whether each generated clip has a real one to its own prompt."""
    return [c.prompt for c in generated] == [c.prompt for c in real] and all(c.prompt for c in real)


def confusion(clips: Set) -> dict[str, dict[str, int]]:
    """Return how often each solo instrument was heard as which."""
    table = {asked: dict.fromkeys(INSTRUMENTS, 0) for asked in INSTRUMENTS}
    for labels, heard in zip(clips.asked(), clips.heard, strict=True):
        if asked := solo(labels):
            table[asked][heard.instrument] += 1
    return {asked: row for asked, row in table.items() if any(row.values())}


def noise_like(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """Return noise with the spectrum and level of each clip, and none of its course in time."""
    rng = np.random.default_rng(seed)
    found = []
    for clip in clips:
        spectrum = np.fft.rfft(clip.waveform)
        turned = np.abs(spectrum) * np.exp(2j * np.pi * rng.random(len(spectrum)))
        found.append(_with(clip, np.fft.irfft(turned, len(clip.waveform)).astype(np.float32)))
    return found


class _Ear:
    """Hears sets of clips and tells how far it is."""

    def __init__(self, panel: Panel, total: int, progress: Progress | None) -> None:
        self._panel, self._total, self._progress, self._done = panel, total, progress, 0

    def hear(self, clips: Sequence[Clip]) -> Set:
        heard = []
        for clip in clips:
            heard.append(self._panel.hear(clip.waveform, clip.sample_rate_hz))
            self._done += 1
            if self._progress:
                self._progress(self._done, self._total)
        return Set(tuple(clips), tuple(heard))


def _obedience(measure: Measure, made: Set, true: Set, coded: Set | None, swapped: Sequence[Labels]) -> Figure | None:
    """Score a set and its references alike; None if nothing was asked that could be scored."""
    asked, heard = made.asked(), made.heard
    own = measure.score(asked, heard)
    if own is None:
        return None
    interval = bootstrap_interval(
        lambda places: _value(measure.score([asked[n] for n in places], [heard[n] for n in places])), len(asked)
    )
    return Figure(
        name=measure.name,
        meaning=measure.meaning,
        generated=own[0],
        interval=interval,
        real=_value(measure.score(true.asked(), true.heard)),
        round_trip=_value(measure.score(coded.asked(), coded.heard)) if coded else None,
        shuffled=_value(measure.score(swapped, heard)),
        chance=measure.chance,
        goal=measure.goal,
        clips=own[1],
    )


def _value(found: Scored) -> float | None:
    return found[0] if found else None


def _distances(made: Set, true: Set, coded: Set | None, noise: Set, swapped: Sequence[Labels]) -> list[Figure]:
    """Fréchet distances to one half of the real clips, of as many clips of each set: the bias is the same."""
    figures = []
    for judge, attribute in (("musicnn", "music_embeddings_PD"), ("YAMNet", "sound_embeddings_PD")):
        if found := _kinds(made, true, coded, noise, swapped, attribute):
            figures.append(
                Figure(
                    name=f"Fréchet distance, {judge}",
                    meaning="to half of the real clips, those of each kind (music, scene, both) apart, then the mean",
                    better="lower",
                    clips=len(made.clips),
                    generated=found["generated"],
                    real=found["real"],
                    round_trip=found.get("round_trip"),
                    shuffled=found["shuffled"],
                    noise=found["noise"],
                )
            )
    return figures


def _kinds(
    made: Set, true: Set, coded: Set | None, noise: Set, swapped: Sequence[Labels], attribute: str
) -> dict[str, float] | None:
    names = ["generated", "real", "shuffled", "noise"] + (["round_trip"] if coded else [])
    sums: dict[str, list[float]] = {name: [] for name in names}
    for kind in ("music", "scene", "both"):
        true_of = [n for n, labels in enumerate(true.asked()) if kind_of(labels) == kind]
        made_of = [n for n, labels in enumerate(made.asked()) if kind_of(labels) == kind]
        swapped_of = [n for n, labels in enumerate(swapped) if kind_of(labels) == kind]
        count = min(len(true_of) // 2, len(made_of), len(swapped_of))
        if count < FEWEST_FOR_FRECHET:
            continue
        held, other = true_of[::2][:count], true_of[1::2][:count]
        sides = {
            "generated": (made, made_of),
            "real": (true, other),
            "shuffled": (made, swapped_of),
            "noise": (noise, other),
        }
        if coded:
            sides["round_trip"] = (coded, other)
        reference = _stack(true, held, attribute)
        for name, (clips, places) in sides.items():
            sums[name].append(frechet_distance(_stack(clips, places[:count], attribute), reference))
    return {name: float(np.mean(values)) for name, values in sums.items()} if sums["generated"] else None


def kind_of(labels: Labels) -> str:
    """Tell music, scene, or both."""
    if not labels.scenes:
        return "music"
    return "both" if labels.instruments or labels.drums else "scene"


def _stack(clips: Set, places: Sequence[int], attribute: str) -> NDArray[np.float32]:
    return np.concatenate([getattr(clips.heard[n], attribute) for n in places])


def _divergence(made: Set, true: Set, coded: Set | None, order: Sequence[int]) -> Figure:
    def mean(a: Set, places: Sequence[int]) -> float:
        pairs = zip(true.heard, (a.heard[n] for n in places), strict=True)
        return float(np.mean([kl_divergence(t.sounds_C, h.sounds_C) for t, h in pairs]))

    own = range(len(made.clips))
    return Figure(
        name="KL divergence, YAMNet",
        meaning="of what is heard in the generated clip from what is heard in the render of the same prompt, in nats",
        generated=mean(made, own),
        real=0.0,
        round_trip=mean(coded, own) if coded else None,
        shuffled=mean(made, order),
        better="lower",
        clips=len(made.clips),
    )


def _agreement(agreement: Agreement, made: Set, true: Set, coded: Set | None, seed: int) -> Figure:
    def mean(clips: Set) -> tuple[float, float]:
        cosines = agreement(clips.clips, [clip.prompt for clip in clips.clips])
        order = derangement(len(clips.clips), seed)
        return float(np.diagonal(cosines).mean()), float(cosines[np.arange(len(order)), order].mean())

    own, shuffled = mean(made)
    return Figure(
        name="MuLan cycle consistency",
        meaning="cosine of audio and prompt in the model's own joint embedding: no judge from outside",
        generated=own,
        real=mean(true)[0],
        round_trip=mean(coded)[0] if coded else None,
        shuffled=shuffled,
        chance=0.0,
        clips=len(made.clips),
    )


def _with(clip: Clip, waveform: NDArray[np.float32]) -> Clip:
    return Clip(waveform, clip.sample_rate_hz, clip.labels, clip.prompt)
