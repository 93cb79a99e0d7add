"""The mark in the files of a product: decoded, marked, and encoded again as it was.

What is lossless keeps its format, rate and width of samples. What is lossy is encoded from the marked samples of the
product's lossless file of the same length, if it has one, so that it is coded once; otherwise from its own.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from actors.marking.ogg import with_settled_serial
from models.generator import ProductFile
from models.watermark.embedding import embed

_FORMATS: Final = {
    "audio/flac": "FLAC",
    "audio/x-flac": "FLAC",
    "audio/wav": "WAV",
    "audio/x-wav": "WAV",
    "audio/vnd.wave": "WAV",
    "audio/mpeg": "MP3",
    "audio/ogg": "OGG",
    "audio/opus": "OGG",
}
_LOSSY: Final = frozenset({"MP3", "OGG"})
_SAME_LENGTH_S: Final = 0.1
_OPUS_RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)

Samples = NDArray[np.float32]


class UnmarkableError(Exception):
    """A file is said to be a waveform, and cannot be decoded or encoded again."""


@dataclass(frozen=True, slots=True)
class _Sound:
    samples: Samples
    rate_hz: int
    subtype: str


def is_waveform(media_type: str) -> bool:
    """Say whether files of this type are sound."""
    return media_type.startswith("audio/") and media_type != "audio/midi"


def payload_of(asset_id: str) -> int:
    """Return the mark of an asset: the first 64 bits of its id, by which it is found again."""
    return int(asset_id[:16], 16)


def mark_files(files: Sequence[ProductFile], key: bytes, payload: int) -> dict[str, bytes]:
    """Return the marked bytes of every waveform among the files, by role.

    Raises:
        UnmarkableError: one cannot be decoded, or its format is one that this cannot write.
    """
    decoded = {file.role: _decode(file) for file in files if is_waveform(file.media_type)}
    marked: dict[str, _Sound] = {}
    lossless = [file for file in files if file.role in decoded and _format(file) not in _LOSSY]
    for file in lossless:
        marked[file.role] = _marked(decoded[file.role], key, payload)
    for file in files:
        if file.role in decoded and file.role not in marked:
            masters = [marked[each.role] for each in lossless if _same(marked[each.role], decoded[file.role])]
            if masters:
                marked[file.role] = _Sound(masters[0].samples, masters[0].rate_hz, decoded[file.role].subtype)
            else:
                marked[file.role] = _marked(decoded[file.role], key, payload)
    return {file.role: _encode(file, marked[file.role]) for file in files if file.role in marked}


def decode_waveform(data: bytes) -> tuple[Samples, int]:
    """Return (samples, channels) in float32 and the sample rate of any file of sound.

    Raises:
        UnmarkableError: it is none.
    """
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UnmarkableError(f"cannot be decoded: {error}") from error
    return np.asarray(samples, dtype=np.float32), int(rate_hz)


def _format(file: ProductFile) -> str:
    try:
        return _FORMATS[file.media_type]
    except KeyError:
        raise UnmarkableError(f"{file.name}: sound of type {file.media_type} cannot be marked") from None


def _decode(file: ProductFile) -> _Sound:
    _format(file)
    try:
        samples, rate_hz = decode_waveform(file.data)
        subtype = soundfile.info(io.BytesIO(file.data)).subtype
    except (UnmarkableError, soundfile.SoundFileError) as error:
        raise UnmarkableError(f"{file.name} {error}") from error
    return _Sound(samples, rate_hz, subtype)


def _marked(sound: _Sound, key: bytes, payload: int) -> _Sound:
    samples = embed(sound.samples, sound.rate_hz, key, payload)
    return _Sound(np.clip(samples, -1.0, 1.0), sound.rate_hz, sound.subtype)


def _same(master: _Sound, lossy: _Sound) -> bool:
    """Say whether a lossy file is an encoding of this master: as long, and as many channels."""
    lengths_s = len(master.samples) / master.rate_hz, len(lossy.samples) / lossy.rate_hz
    is_as_long = abs(lengths_s[0] - lengths_s[1]) <= _SAME_LENGTH_S
    same_rate = master.rate_hz == lossy.rate_hz or (lossy.subtype == "OPUS" and master.rate_hz in _OPUS_RATES_HZ)
    return is_as_long and same_rate and master.samples.shape[1] == lossy.samples.shape[1]


def _encode(file: ProductFile, sound: _Sound) -> bytes:
    kind = _format(file)
    # The encoders' own scale: 0 is their best. The file that came in does not tell how it was asked for.
    options = {"compression_level": 0.0} if kind in _LOSSY else {}
    if kind == "MP3":
        options["bitrate_mode"] = "CONSTANT"  # type: ignore[assignment]
    out = io.BytesIO()
    try:
        soundfile.write(out, sound.samples, sound.rate_hz, format=kind, subtype=sound.subtype, **options)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise UnmarkableError(f"{file.name} cannot be encoded: {error}") from error
    return with_settled_serial(out.getvalue()) if kind == "OGG" else out.getvalue()
