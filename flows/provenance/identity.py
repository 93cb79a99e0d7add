"""Which asset a file is of: by its bytes, by its manifest, by the mark in its sound, in that order of certainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from actors.marking.manifests import SIDECAR, SIDECAR_TYPE, ManifestError, Reading, read_manifest
from actors.marking.waveforms import UnmarkableError, decode_waveform, is_waveform, payload_of
from flows.keys import Keys
from flows.provenance.checks import Check
from flows.provenance.stored import reading_problem
from models.digests import digest_of_bytes
from models.watermark.detection import Detection, best_match, detect

_MAGIC: Final = (
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"MThd", "audio/midi"),
    (b"%PDF", "application/pdf"),
)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of some asset; `unsigned_digest` is that of the file before its manifest was put in, if it was."""

    asset: str
    name: str
    media_type: str
    bytes: int
    digest: str
    unsigned_digest: str | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known, asked as needed: files by digest or asset, assets by the beginning of an id, or all."""

    by_digest: Callable[[str], Sequence[KnownFile]]
    files_of: Callable[[str], Sequence[KnownFile]]
    by_mark: Callable[[str], Sequence[str]]
    all_ids: Callable[[], Sequence[str]]


@dataclass(slots=True)
class Identity:
    """What was found out about a file. `assets` are the ids it points to, the surest first."""

    media_type: str
    checks: list[Check] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)

    @property
    def asset(self) -> str | None:
        """The asset, None if nothing points to one."""
        return self.assets[0] if self.assets else None


def identify(path: Path, data: bytes, known: Catalogue, keys: Keys) -> Identity:
    """Find out which asset a file is of."""
    identity = Identity(media_type_of(path, data))
    by_bytes = _by_bytes(data, known, identity)
    by_manifest = _by_manifest(path, data, identity, keys)
    by_mark = _by_mark(data, known, identity, keys) if is_waveform(identity.media_type) else None
    claims = {"bytes": by_bytes, "manifest": by_manifest, "watermark": by_mark}
    told = {how: asset for how, asset in claims.items() if asset is not None}
    identity.assets = list(dict.fromkeys(told.values()))
    if len(identity.assets) > 1:
        said = ", ".join(f"{how} of {asset[:12]}" for how, asset in told.items())
        identity.checks.append(Check("agreement", False, f"the file contradicts itself: {said}"))
    elif len(told) > 1:
        identity.checks.append(Check("agreement", True, f"{', '.join(told)} name the same asset"))
    if identity.asset is not None and len(identity.assets) == 1:
        _hold_against(path, data, known.files_of(identity.asset), identity)
    return identity


def altered(data: bytes, media_type: str, files: Sequence[KnownFile]) -> KnownFile | None:
    """Return the file that this was before bytes of it were changed: as long, of its type, and not it."""
    digest = digest_of_bytes(data)
    if any(digest in (file.digest, file.unsigned_digest) for file in files):
        return None
    return next((file for file in files if (file.bytes, file.media_type) == (len(data), media_type)), None)


def _hold_against(path: Path, data: bytes, files: Sequence[KnownFile], identity: Identity) -> None:
    """Not every byte of a manifest is signed (there is padding), and a mark survives much: length tells as well."""
    if (was := altered(data, identity.media_type, files)) is not None:
        identity.checks[0] = Check("bytes", False, f"altered: as long as the {was.name} that was made, and not it")
    beside = path.with_name(path.name + SIDECAR)
    if beside.is_file() and (was := altered(beside.read_bytes(), SIDECAR_TYPE, files)) is not None:
        detail = f"{beside.name} was altered: as long as the {was.name} that was made, and not it"
        identity.checks.append(Check("sidecar", False, detail))


def media_type_of(path: Path, data: bytes) -> str:
    """Return what a file is, from how it begins."""
    for magic, media_type in _MAGIC:
        if data.startswith(magic):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    if data[4:8] == b"ftyp":
        return "audio/mp4"
    if data[:3] == b"ID3":  # before an MP3, or before a FLAC with a manifest
        size = int.from_bytes(bytes(data[6:10]), "big")
        length = sum(((size >> shift * 8) & 0x7F) << shift * 7 for shift in range(4))
        return "audio/flac" if data[10 + length : 14 + length] == b"fLaC" else "audio/mpeg"
    if data[:1] == b"\xff" and data[1:2] and data[1] & 0xE0 == 0xE0:
        return "audio/mpeg"
    if b"<score-partwise" in data[:4096] or path.suffix == ".musicxml":
        return "application/vnd.recordare.musicxml+xml"
    return "application/octet-stream"


def _by_bytes(data: bytes, known: Catalogue, identity: Identity) -> str | None:
    found = known.by_digest(digest_of_bytes(data))
    if not found:
        detail = "not byte for byte a file of any asset: a copy, or something else"
        identity.checks.append(Check("bytes", None, detail))
        return None
    first = found[0]
    bare = ", without its manifest" if first.digest != digest_of_bytes(data) else ""
    what = f"the {first.name} of asset {first.asset[:12]}{bare}"
    identity.checks.append(Check("bytes", True, f"byte for byte {what}"))
    return first.asset


def _by_manifest(path: Path, data: bytes, identity: Identity, keys: Keys) -> str | None:
    beside = path.with_name(path.name + SIDECAR)
    sidecar = beside.read_bytes() if beside.is_file() else None
    try:
        reading = read_manifest(data, identity.media_type, keys.manifests.root, sidecar)
    except ManifestError as error:
        identity.checks.append(Check("manifest", False, str(error)))
        return None
    if reading is None:
        detail = f"the file has no C2PA manifest, and there is no {beside.name} beside it"
        identity.checks.append(Check("manifest", None, detail))
        return None
    problem = reading_problem(reading, keys)
    where = "in the file" if reading.embedded else beside.name
    if problem:
        claim = f"; it claims asset {reading.asset[:12]}" if reading.asset else ""
        identity.checks.append(
            Check("manifest", False, f"the C2PA manifest ({where}) does not hold: {problem}{claim}")
        )
        return None
    return _named(reading, where, identity)


def _named(reading: Reading, where: str, identity: Identity) -> str | None:
    if reading.asset is None:
        identity.checks.append(Check("manifest", None, f"the C2PA manifest ({where}) is whole, and not Tutti's"))
        return None
    detail = f"the C2PA manifest ({where}) is signed by {reading.signer} and names asset {reading.asset[:12]}"
    identity.checks.append(Check("manifest", True, detail))
    return reading.asset


def _by_mark(data: bytes, known: Catalogue, identity: Identity, keys: Keys) -> str | None:
    try:
        wave, rate_hz = decode_waveform(data)
    except UnmarkableError as error:
        identity.checks.append(Check("watermark", None, f"the sound cannot be listened to: it {error}"))
        return None
    detection = detect(wave, rate_hz, keys.watermark)
    asset, told = _issued(detection, known)
    if asset is None:
        identity.checks.append(Check("watermark", None, told))
        return None
    whose = " (set with the development key, which everybody has)" if keys.watermark_is_everybodys else ""
    identity.checks.append(Check("watermark", True, f"{told}{whose}"))
    return asset


def _issued(detection: Detection, known: Catalogue) -> tuple[str | None, str]:
    """Return the asset of a mark: read as it stands, or else the best of all there are."""
    if detection.found and len(ids := known.by_mark(f"{detection.payload:016x}")) == 1:
        return ids[0], f"the sound carries the mark of asset {ids[0][:12]} (strength {detection.strength:.0f})"
    ids = known.all_ids()
    match = best_match(detection, np.array([payload_of(each) for each in ids], dtype=np.uint64))
    if match is not None and match.found:
        asset = next(each for each in ids if payload_of(each) == match.payload)
        strength = f"strength {match.strength:.1f}, {match.threshold:.1f} needed among {len(ids)} assets"
        return asset, f"the sound carries the mark of asset {asset[:12]} ({strength})"
    if detection.found:
        return None, f"the sound carries the mark {detection.payload:016x}, which no asset here has"
    return None, "no mark is heard in the sound"
