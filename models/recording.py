"""A recording that a piece is made from, read: of any rate, width and number of channels that sound files have.

Shapes: T samples, A channels.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from models.digests import digest_of_bytes

MIN_S, MAX_S = 1.0, 900.0
_SILENT_DBFS: Final = -60.0
_NARROW_HZ: Final = 16_000
_COARSE_WIDTHS: Final = frozenset({"PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "DPCM_8"})
_RESAMPLED_TO_HZ: Final = 16_000
_LARGEST_FILTER: Final = 16_000_000  # weights of what resamples; 44,056 Hz takes 11 million, 44,101 Hz 706
_LENGTH_UNKNOWN: Final = 2**63 - 1  # as libsndfile counts the samples of a file that does not say
_CHUNK: Final = re.compile(r"^ *(?:data|SSND) : (?P<promised>\d+) \(should be (?P<found>\d+)\)", re.MULTILINE)
_OPEN_END: Final = 2**31 - 1  # bytes, or more: what was written to a pipe promises as much
_MISSING_SHARE: Final = 0.01  # of a chunk: headers that are off by less are common
_FULL = 0.999
_CLIPPED_SHARE = 0.001


class RecordingError(ValueError):
    """The file cannot be used; the message says why and what would be right."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a file holds: samples_TA in float32, and warnings that go into the lineage."""

    digest: str
    samples_TA: NDArray[np.float32]
    sample_rate_hz: int
    kept_as: str  # such as "WAV PCM_16"
    warnings: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return len(self.samples_TA) / self.sample_rate_hz

    @property
    def mono_T(self) -> NDArray[np.float32]:
        """The mean of all channels."""
        return np.asarray(self.samples_TA.mean(axis=1))


def read_recording(data: bytes, role: str) -> Recording:
    """Read a file.

    Args:
        data: its bytes.
        role: what the file should be, such as "a melody"; for messages.

    Raises:
        RecordingError: it is empty, no sound, damaged, silent, too short or too long, or of an odd rate.
    """
    if not data:
        raise RecordingError(f"empty; needed: a recording of {role}")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file)
            seconds = file.frames / file.samplerate
            if seconds < MIN_S:
                shown = math.floor(seconds * 100) / 100  # never as long as would do
                raise RecordingError(f"{shown:.2f} s long, too short; {role} has {MIN_S:g} to {MAX_S:g} s")
            if seconds > MAX_S:
                raise RecordingError(f"{seconds:.1f} s long; {role} has {MIN_S:g} to {MAX_S:g} s: cut it")
            samples_TA = file.read(dtype="float32", always_2d=True)
            rate, kept_as = int(file.samplerate), f"{file.format} {file.subtype}"
            promised, subtype = file.frames, file.subtype
    except soundfile.SoundFileError as error:
        raise RecordingError(
            f"cannot be read as sound ({_reason(error)}); needed: WAV, FLAC, MP3, OGG or AIFF. "
            "Take the sound out of a video first: ffmpeg -i VIDEO sound.wav"
        ) from error
    if len(samples_TA) < promised:
        raise RecordingError(f"damaged: it ends after {len(samples_TA)} of {promised} samples")
    if wrong := int((~np.isfinite(samples_TA)).any(axis=1).sum()):
        raise RecordingError(f"damaged: {wrong} of {promised} samples are not numbers")
    peak = float(np.abs(samples_TA).max())
    if peak < 10 ** (_SILENT_DBFS / 20):
        raise RecordingError(f"silent: nothing in it is louder than {_SILENT_DBFS:g} dBFS")
    return Recording(digest_of_bytes(data), samples_TA, rate, kept_as, tuple(_warnings(samples_TA, rate, subtype)))


def _check_header(file: soundfile.SoundFile) -> None:
    """Refuse a length that is unknown or not there, and a rate that no filter of bearable size leads away from."""
    if file.frames == _LENGTH_UNKNOWN:
        raise RecordingError("its length is not in it, as of a FLAC written to a pipe: ffmpeg -i FILE -c:a flac NEW")
    chunk = _CHUNK.search(file.extra_info)
    if chunk is not None and (promised := int(chunk["promised"])) < _OPEN_END:
        found = int(chunk["found"])
        if found < (1 - _MISSING_SHARE) * promised:
            raise RecordingError(f"damaged: it ends after {found} of {promised} bytes of sound")
    rate, common = file.samplerate, math.gcd(file.samplerate, _RESAMPLED_TO_HZ)
    if (rate // common) * (_RESAMPLED_TO_HZ // common) > _LARGEST_FILTER:
        raise RecordingError(f"{rate} samples a second are no usual rate: ffmpeg -i FILE -ar 48000 NEW")


def _reason(error: soundfile.SoundFileError) -> str:
    return str(getattr(error, "error_string", error)).rstrip(".").lower()


def _warnings(samples_TA: NDArray[np.float32], rate: int, subtype: str) -> list[str]:
    found = []
    if subtype in _COARSE_WIDTHS:
        found.append(f"kept as {subtype}: the noise of 8 bits and less is heard")
    if rate < _NARROW_HZ:
        found.append(f"a rate of {rate} Hz: there is nothing above {rate // 2000} kHz")
    if float((np.abs(samples_TA) >= _FULL).mean()) > _CLIPPED_SHARE:
        found.append("clipped: more than one sample in a thousand is at full scale")
    return found
