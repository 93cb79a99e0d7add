"""How good is a codec? Its round trip beside the waveform itself, a low-pass and Opus at its lowest bit rate."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from models.evaluation.clip import Clip
from models.evaluation.fidelity import mel_distance, si_sdr_db, visqol
from models.evaluation.scores import kl_divergence
from models.judges.sound import Waveform
from models.judges.yamnet import Yamnet

LOW_PASS_HZ = 3500.0
TAGS_SHOWN = 5
_TAGS_OF = 8  # clips: their changes are to be read one by one

RoundTrip = Callable[[Waveform, int], Waveform]  # waveform and its sample rate in, as many samples out
Progress = Callable[[int, int], None]  # done, of how many


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Means over the clips. `tags_kl` tells how far what YAMNet hears has moved, in nats."""

    mel: float
    si_sdr_db: float
    visqol: float | None  # None where it was not asked for
    tags_kl: float


@dataclass(frozen=True, slots=True)
class TagChange:
    """What YAMNet hears in one clip before and after the round trip, best first."""

    clip: str
    before: tuple[tuple[str, float], ...]
    after: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class CodecEvaluation:
    """One codec on one set of clips."""

    name: str
    clips: int
    visqol_clips: int
    codec: Fidelity
    identity: Fidelity
    low_pass: Fidelity
    opus: Fidelity
    opus_kbps: float
    tags: tuple[TagChange, ...]  # of the first few clips


class RoundTripError(Exception):
    """A codec gave back what cannot be compared; the message says what."""


def evaluate_codec(
    round_trip: RoundTrip,
    clips: Sequence[Clip],
    *,
    name: str,
    yamnet: Yamnet,
    visqol_clips: int | None = None,
    progress: Progress | None = None,
) -> CodecEvaluation:
    """Measure a codec on clips, all of them or of one kind (music, ambience).

    Args:
        round_trip: encodes and decodes one waveform.
        clips: what to measure on; their prompts name them in the report.
        name: what this set is called.
        yamnet: the judge of tags.
        visqol_clips: ViSQOL takes about 8 s of processor time a clip of 10 s: measure it on the first so many;
            None for all, 0 for none.
        progress: told how many clips are done.

    Raises:
        RoundTripError: the codec gave back another number of samples, or such as are not finite.
        ValueError: there are no clips.
    """
    if not clips:
        raise ValueError(f"no clips to measure {name} on")
    ways: dict[str, RoundTrip] = {
        "codec": _checked(round_trip),
        "identity": lambda x, _: x,
        "low_pass": low_pass,
        "opus": lambda x, rate_hz: opus(x, rate_hz)[0],
    }
    measured: dict[str, list[tuple[float, float, float | None, float]]] = {way: [] for way in ways}
    tags: list[TagChange] = []
    opus_bits, seconds = 0, 0.0
    with_visqol = len(clips) if visqol_clips is None else min(visqol_clips, len(clips))
    for number, clip in enumerate(clips):
        x, rate_hz = clip.waveform, clip.sample_rate_hz
        heard = yamnet.scores(x, rate_hz)
        opus_bits += opus(x, rate_hz)[1]
        seconds += clip.duration_s
        for way, through in ways.items():
            y = through(x, rate_hz)
            scores = yamnet.scores(y, rate_hz)
            opinion = visqol(x, y, rate_hz) if number < with_visqol else None
            moved = kl_divergence(heard, scores)
            measured[way].append((mel_distance(x, y, rate_hz), si_sdr_db(x, y), opinion, moved))
            if way == "codec" and number < _TAGS_OF:
                tags.append(TagChange(clip.prompt or str(number), _best(yamnet, heard), _best(yamnet, scores)))
        if progress:
            progress(number + 1, len(clips))
    means = {way: _mean(rows) for way, rows in measured.items()}
    return CodecEvaluation(
        name, len(clips), with_visqol, **means, opus_kbps=opus_bits / seconds / 1000, tags=tuple(tags)
    )


def low_pass(waveform: Waveform, sample_rate_hz: int, cutoff_hz: float = LOW_PASS_HZ) -> Waveform:
    """Return the waveform with nothing above `cutoff_hz`."""
    spectrum = np.fft.rfft(waveform)
    spectrum[np.fft.rfftfreq(len(waveform), 1 / sample_rate_hz) > cutoff_hz] = 0
    return np.fft.irfft(spectrum, len(waveform)).astype(np.float32)


def opus(waveform: Waveform, sample_rate_hz: int) -> tuple[Waveform, int]:
    """Return the waveform through Opus at the lowest bit rate that libsndfile asks of it, and the file's bits."""
    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate_hz, format="OGG", subtype="OPUS", compression_level=1.0)
    bits = 8 * file.tell()
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0], bits


def codebook_use(codes_FK: NDArray[np.integer], entries: int) -> list[float]:
    """Return, for each codebook, the share of its entries that occur."""
    return [len(np.unique(codes_F)) / entries for codes_F in codes_FK.T]


def _checked(round_trip: RoundTrip) -> RoundTrip:
    def through(waveform: Waveform, sample_rate_hz: int) -> Waveform:
        y = round_trip(waveform, sample_rate_hz)
        if y.shape != waveform.shape or not np.isfinite(y).all():
            raise RoundTripError(f"the codec made shape {y.shape} of {waveform.shape}, or values that are not finite")
        return y

    return through


def _mean(rows: Sequence[tuple[float, float, float | None, float]]) -> Fidelity:
    mels, ratios, opinions, moved = zip(*rows, strict=True)
    rated = [opinion for opinion in opinions if opinion is not None]
    return Fidelity(
        float(np.mean(mels)), float(np.mean(ratios)), float(np.mean(rated)) if rated else None, float(np.mean(moved))
    )


def _best(yamnet: Yamnet, scores_C: NDArray[np.float32]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-scores_C)[:TAGS_SHOWN]
    return tuple((yamnet.names[place], float(scores_C[place])) for place in order)
