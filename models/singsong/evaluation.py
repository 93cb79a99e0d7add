"""Measures a SingSong on held-out songs: does the accompaniment go with the voice, more than another song's would.

Every figure is taken of accompaniments to isolated (true) vocals and stands beside the same of real accompaniments,
of these through the codec, of the training accompaniment whose vocals are nearest (the paper's retrieval baseline,
section 5), and of the generated ones held against another song. What is sung and where the beat falls is known of
these songs; chroma, onsets, keys, contours and embeddings are by judges that no training uses.

Shapes: N songs, T samples, G frames, D width of an embedding.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import libsonare
import numpy as np
import soundfile
from numpy.typing import NDArray

from models.digests import digest_of_bytes
from models.evaluation.clip import Clip, derangement
from models.evaluation.figure import Figure
from models.evaluation.frechet import frechet_distance
from models.evaluation.report import Report
from models.evaluation.scores import area_under_curve
from models.generator import NO_WORDS, Generator
from models.judges.melody import MelodyJudge, contour_correlation
from models.judges.panel import Panel
from models.judges.tonality import key_of
from models.key import Key, parse_key
from models.musiclm.evaluation import make, round_trip
from models.score.key import find_key, pitch_class_weights
from models.singsong.base import Base
from models.singsong.generator import VOCALS
from models.singsong.hearing import note_tokens
from models.singsong.pairs import PAIR_S, Pair, PairSet

Waveform = NDArray[np.float32]
Told = Callable[[str, int, int, Mapping[str, float]], None]
RATE_HZ = 16_000
_FRAME_RATE_HZ = 25.0
_AROUND_S = 1.0  # a chord goes with the notes around it
_ON_BEAT_S = 0.05
_LATE_S = 0.05  # after a stroke begins the judge hears it: 20 ms after a click, some 70 ms after an instrument's


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How many songs are measured, and how many of them can be heard on the page."""

    songs: int = 128
    ablated: int = 32
    examples: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class Songs:
    """Held-out songs: what is sung, the isolated vocals, and the real accompaniments."""

    pairs: Sequence[Pair]
    vocals: Sequence[Waveform]
    real: Sequence[Waveform]
    others: Sequence[int]  # another song for each


def held_out_songs(pairs: PairSet, count: int) -> Songs:
    """Return the first so many songs of validation."""
    numbers = pairs.numbers("validation")[:count]
    return Songs(
        pairs=[pairs.pairs[n] for n in numbers],
        vocals=[pairs.voice(n) for n in numbers],
        real=[pairs.accompaniment(n) for n in numbers],
        others=derangement(len(numbers), 0),
    )


def accompany(
    generator: Generator, vocals: Sequence[Waveform], progress: Callable[[int, int], None]
) -> list[Waveform]:
    """Return an accompaniment to each of the vocals, with seeds 0, 1, ... and no words.

    Raises:
        GenerationError: one could not be made.
    """
    files = [_file(sung) for sung in vocals]
    recipes = [_recipe(data, number, len(vocals[number])) for number, data in enumerate(files)]
    return make(generator, recipes, progress, [{VOCALS: data} for data in files], role="accompaniment")


def _file(sung: Waveform) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sung, RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _recipe(data: bytes, seed: int, samples: int) -> dict[str, Any]:
    controls = {"accompany": {"vocals": digest_of_bytes(data), "separate": False, "balance_db": -3.0}}
    return {"prompt": NO_WORDS, "seed": seed, "duration_s": samples / RATE_HZ, "controls": controls}


def evaluate(
    reference: str,
    generator: Generator,
    base: Base,
    pairs: PairSet,
    extent: Extent,
    *,
    report: Told,
) -> Report:
    """Measure a version.

    Raises:
        GenerationError: an accompaniment could not be made.
    """
    songs, panel = held_out_songs(pairs, extent.songs), Panel.load()
    made = accompany(generator, songs.vocals, lambda done, total: report("accompaniments", done, total, {}))
    sets = {
        "generated": made,
        "real": list(songs.real),
        "round_trip": [round_trip(base.codec, x) for x in songs.real],
        "retrieved": _retrieved(pairs, songs),
    }
    figures = [*_fitting(songs, sets), *_leaking(songs, sets), *_sounding(sets, panel)]
    names = [f"{pair.source}, {pair.singer}" for pair in songs.pairs]
    examples = []
    for n in range(min(extent.examples, len(made))):
        examples.append((f"{names[n]}: vocals and what was made", Clip(together(songs.vocals[n], made[n]), RATE_HZ)))
        examples.append((f"{names[n]}: what was made, alone", Clip(made[n], RATE_HZ)))
        examples.append((f"{names[n]}: the real accompaniment", Clip(songs.real[n], RATE_HZ)))
    return Report(
        model=reference,
        figures=figures,
        examples=examples,
        notes=[
            f"{len(made)} songs by composers that training never saw, isolated vocals, no words, seeds 0 to "
            f"{len(made) - 1}. 'shuffled' holds an accompaniment against another song. Of the fitting figures the "
            f"retrieval baseline is told in the meaning."
        ],
    )


def _fitting(songs: Songs, sets: Mapping[str, Sequence[Waveform]]) -> list[Figure]:
    """Return how well accompaniments go with what is sung: notes, beat, key."""
    count = len(songs.pairs)
    areas: dict[str, dict[str, float]] = {"notes": {}, "beat": {}}
    for name, waveforms in sets.items():
        notes = _scores(songs, waveforms, chroma_agreement)
        beats = _scores(songs, waveforms, beat_alignment)
        areas["notes"][name] = area_under_curve(*notes)
        areas["beat"][name] = area_under_curve(*beats)
    figures = [
        Figure(
            name=f"{what} agree, area under curve",
            meaning=f"own song against another; the retrieval baseline has {areas[what]['retrieved']:.3f}",
            generated=areas[what]["generated"], real=areas[what]["real"], round_trip=areas[what]["round_trip"],
            chance=0.5, goal=0.75, clips=count,
        )
        for what in ("notes", "beat")
    ]  # fmt: skip
    keys = [true_key(pair) for pair in songs.pairs]
    shares = {
        name: float(np.mean([key_of(x, RATE_HZ) in key.near for key, x in zip(keys, waveforms, strict=True)]))
        for name, waveforms in sets.items()
    }
    shuffled = np.mean(
        [key_of(sets["generated"][n], RATE_HZ) in keys[other].near for n, other in enumerate(songs.others)]
    )
    return [
        *figures,
        Figure(
            name="key equal or related",
            meaning="to the song's: the same, a fifth away, relative or parallel; the retrieval baseline has "
            f"{shares['retrieved']:.3f}",
            generated=shares["generated"], real=shares["real"], round_trip=shares["round_trip"],
            shuffled=float(shuffled), goal=0.70, clips=count,
        ),
    ]  # fmt: skip


def _leaking(songs: Songs, sets: Mapping[str, Sequence[Waveform]]) -> list[Figure]:
    """Return how much of the vocals is in the accompaniments: as a waveform, and as a melody."""
    judge, figures = MelodyJudge(), []
    sung = [judge.contour(x, RATE_HZ) for x in songs.vocals]
    played = {name: [judge.contour(x, RATE_HZ) for x in sets[name]] for name in ("generated", "real")}
    waves = {
        name: float(np.mean([coherence(sets[name][n], x) for n, x in enumerate(songs.vocals)])) for name in played
    }
    figures.append(
        Figure(
            name="vocals inside, as a waveform",
            meaning="largest correlation of the waveforms within 50 ms",
            generated=waves["generated"],
            real=waves["real"],
            shuffled=float(
                np.mean([coherence(sets["generated"][n], songs.vocals[o]) for n, o in enumerate(songs.others)])
            ),
            better="lower",
            clips=len(sung),
        )
    )
    contours = {
        name: float(np.mean([contour_correlation(x, y) for x, y in zip(each, sung, strict=True)]))
        for name, each in played.items()
    }
    figures.append(
        Figure(
            name="vocals inside, as a melody",
            meaning="correlation of the pitch contours; an accompaniment may double its voice, as real ones do",
            generated=contours["generated"],
            real=contours["real"],
            shuffled=float(
                np.mean([contour_correlation(played["generated"][n], sung[o]) for n, o in enumerate(songs.others)])
            ),
            better="lower",
            clips=len(sung),
        )
    )
    return figures


def _sounding(sets: Mapping[str, Sequence[Waveform]], panel: Panel) -> list[Figure]:
    """Return how far accompaniments are from real ones as a set."""
    embedded = {name: _embedded(panel, waveforms) for name, waveforms in sets.items()}
    halves = np.array_split(np.arange(len(sets["real"])), 2)
    between = frechet_distance(
        *(np.concatenate([_embedded(panel, [sets["real"][n]]) for n in half]) for half in halves)
    )
    return [
        Figure(
            name="Fréchet audio distance (musicnn)",
            meaning=f"to real accompaniments; 'real' is of their two halves; retrieved ones have "
            f"{frechet_distance(embedded['retrieved'], embedded['real']):.3f}",
            generated=frechet_distance(embedded["generated"], embedded["real"]),
            real=between,
            round_trip=frechet_distance(embedded["round_trip"], embedded["real"]),
            better="lower",
            clips=len(sets["real"]),
        )
    ]


def evaluate_ablation(
    variants: Mapping[str, Generator],
    pairs: PairSet,
    separated_NT: NDArray[np.int16],
    extent: Extent,
    *,
    report: Told,
) -> list[Figure]:
    """Return, of every variant, its distance to real accompaniments for isolated and for separated vocals.

    Raises:
        GenerationError: an accompaniment could not be made.
    """
    count = extent.ablated
    songs, panel = held_out_songs(pairs, count), Panel.load()
    separated = [separated_NT[pair.number].astype(np.float32) / 32768 for pair in songs.pairs]
    real = _embedded(panel, songs.real)
    figures = []
    for name, generator in variants.items():
        distances, agreeing = {}, {}
        for kind, vocals in (("isolated", songs.vocals), ("separated", separated)):
            told = f"ablation, {name}, {kind}"
            made = accompany(generator, vocals, lambda done, total, told=told: report(told, done, total, {}))  # type: ignore[misc]
            distances[kind] = frechet_distance(_embedded(panel, made), real)
            own = [chroma_agreement(x, pair) for x, pair in zip(made, songs.pairs, strict=True)]
            other = [chroma_agreement(x, songs.pairs[o]) for x, o in zip(made, songs.others, strict=True)]
            agreeing[kind] = area_under_curve(own, other)
        figures.append(
            Figure(
                name=f"ablation, {name}: Fréchet audio distance, isolated vocals",
                meaning=f"with separated vocals {distances['separated']:.3f}; notes agree (area) "
                f"{agreeing['isolated']:.3f} isolated, {agreeing['separated']:.3f} separated",
                generated=distances["isolated"],
                better="lower",
                clips=count,
            )
        )
    return figures


def _scores(
    songs: Songs, waveforms: Sequence[Waveform], score: Callable[[Waveform, Pair], float]
) -> tuple[list[float], list[float]]:
    """Return the score of every accompaniment with its own song, and with another."""
    own = [score(x, pair) for x, pair in zip(waveforms, songs.pairs, strict=True)]
    return own, [score(x, songs.pairs[other]) for x, other in zip(waveforms, songs.others, strict=True)]


def chroma_agreement(accompaniment_T: Waveform, pair: Pair) -> float:
    """Return how much more of the accompaniment's chroma lies on the notes sung around it than usually."""
    frames = round(PAIR_S * _FRAME_RATE_HZ)
    sung = np.zeros((frames, 12))
    notes_G = note_tokens(pair.sung, frames, _FRAME_RATE_HZ)
    pitches = np.array([pitch for _, _, pitch in pair.sung])
    if not pitches.size:
        return 0.0
    sung[np.flatnonzero(notes_G), _pitch_classes(pair, frames)[notes_G > 0]] = 1
    played = _chroma(accompaniment_T, frames)
    width = round(_AROUND_S * _FRAME_RATE_HZ)
    sung, played = (
        np.stack([np.convolve(row, np.ones(width) / width, mode="same") for row in part.T], axis=1)
        for part in (sung, played)
    )
    agreeing = (sung * played).sum(axis=1) - sung.sum(axis=1) / 12
    return float(agreeing.sum() / max(sung.sum(), 1e-9))


def _pitch_classes(pair: Pair, frames: int) -> NDArray[np.int64]:
    found = np.zeros(frames, dtype=np.int64)
    for onset_s, duration_s, pitch in pair.sung:
        begin, end = (max(round(x * _FRAME_RATE_HZ), 0) for x in (onset_s + 0.02, onset_s + duration_s))
        found[begin:end] = pitch % 12
    return found


def _chroma(waveform_T: Waveform, frames: int) -> NDArray[np.float64]:
    """Return chroma_G12 by libsonare; rows sum to 1, or are 0 in silence."""
    heard = np.asarray(libsonare.chroma(np.ascontiguousarray(waveform_T), RATE_HZ).features, dtype=np.float64)
    heard = heard.reshape(12, -1)
    at = np.clip((np.arange(frames) + 0.5) / frames * heard.shape[1], 0, heard.shape[1] - 1).astype(int)
    found = heard[:, at].T
    sums = found.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(found, sums, out=np.zeros_like(found), where=sums > 1e-9))


def beat_alignment(accompaniment_T: Waveform, pair: Pair) -> float:
    """Return how much stronger the accompaniment's onsets are on the song's beats than elsewhere, in spreads."""
    onsets_F = np.asarray(libsonare.onset_envelope(np.ascontiguousarray(accompaniment_T), RATE_HZ), dtype=np.float64)
    times_s = np.arange(len(onsets_F)) * PAIR_S / max(len(onsets_F), 1)
    phase = (times_s - _LATE_S - pair.first_beat_s + pair.beat_s / 2) % pair.beat_s - pair.beat_s / 2
    on_beat = np.abs(phase) < _ON_BEAT_S
    if not on_beat.any() or on_beat.all():
        return 0.0
    return float((onsets_F[on_beat].mean() - onsets_F[~on_beat].mean()) / max(onsets_F.std(), 1e-9))


def true_key(pair: Pair) -> Key:
    """Return the key of a song: of its accompaniment where that was certain, else of what is sung."""
    if pair.labels.key is not None:
        return parse_key(pair.labels.key)
    return find_key(pitch_class_weights((pitch, round(1000 * duration)) for _, duration, pitch in pair.sung))[0]


def coherence(a_T: Waveform, b_T: Waveform) -> float:
    """Return the largest correlation of two waveforms within 50 ms."""
    length = min(len(a_T), len(b_T))
    a, b = a_T[:length] - a_T[:length].mean(), b_T[:length] - b_T[:length].mean()
    crossed = np.fft.irfft(np.fft.rfft(a, 2 * length) * np.conj(np.fft.rfft(b, 2 * length)))
    lags = round(0.05 * RATE_HZ)
    near = np.concatenate([crossed[:lags], crossed[-lags:]])
    return float(np.abs(near).max() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9))


def _retrieved(pairs: PairSet, songs: Songs) -> list[Waveform]:
    """Return, for each song, the training accompaniment whose vocals sing most like it, frame by frame."""
    frames = round(PAIR_S * _FRAME_RATE_HZ)
    numbers = pairs.numbers("train")
    known = np.stack([note_tokens(pairs.pairs[n].sung, frames, _FRAME_RATE_HZ) for n in numbers])
    found = []
    for pair in songs.pairs:
        wanted = note_tokens(pair.sung, frames, _FRAME_RATE_HZ)
        alike = ((known > 0) == (wanted > 0)) & ((known - wanted) % 12 == 0)
        found.append(pairs.accompaniment(numbers[int(alike.sum(axis=1).argmax())]))
    return found


def _embedded(panel: Panel, waveforms: Sequence[Waveform]) -> NDArray[np.float32]:
    """Return musicnn's embeddings of all patches; loudness is made equal first."""
    rows = []
    for waveform in waveforms:
        loud = waveform * np.float32(0.07 / max(float(np.sqrt(np.mean(waveform**2))), 1e-6))
        rows.append(panel.musicnn.listen(loud, RATE_HZ)[1])
    return np.concatenate(rows)


def together(vocals_T: Waveform, accompaniment_T: Waveform) -> Waveform:
    """Return both as one would listen to them."""
    rms = [max(float(np.sqrt(np.mean(x**2))), 1e-6) for x in (vocals_T, accompaniment_T)]
    mixed = vocals_T + accompaniment_T[: len(vocals_T)] * np.float32(0.7 * rms[0] / rms[1])
    return np.asarray(0.8 * mixed / max(float(np.abs(mixed).max()), 0.8), dtype=np.float32)
