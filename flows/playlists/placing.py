"""Placing what is new: every asset with sound gets its place in the joint space, its tempo, key and liveliness."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from db.content_vectors import Content, record_content, take_over_content, without_content
from db.errors import CorruptObjectError, MissingObjectError
from flows.model_choice import choose_version, newest
from flows.services import Backend
from flows.settings import Settings
from models.registry import list_versions
from models.weights import ModelVersion, UnknownModelError

if TYPE_CHECKING:
    from models.musiclm.joint_space import JointSpace

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 16  # assets a commit


@dataclass(frozen=True, slots=True)
class Placed:
    """How many assets were placed, and which cannot be, with the reason."""

    assets: int
    failed: Mapping[str, str]


def taste_version(settings: Settings) -> ModelVersion:
    """Return the MusicLM whose joint space tells tastes: TUTTI_TASTE_MODEL, or the newest.

    Raises:
        UnknownModelError: there is none.
        CorruptModelError: a registered version cannot be read.
    """
    if settings.taste_model is not None:
        version = choose_version(settings.taste_model, None, settings)
        if version.config.get("architecture") != "musiclm":
            raise UnknownModelError(f"TUTTI_TASTE_MODEL {settings.taste_model} is no MusicLM: it has no joint space")
        return version
    found = [v for v in list_versions((settings.model_folder,)) if v.config.get("architecture") == "musiclm"]
    if not found:
        raise UnknownModelError("no registered model is a MusicLM, whose joint space tells tastes")
    return newest(found)


def versions_alike(version: ModelVersion, settings: Settings) -> list[str]:
    """Return the digests of the other registered versions with the same joint space: a version trained on has them.

    Raises:
        CorruptModelError: a registered version cannot be read.
    """
    from models.musiclm.lending import digest_of_part

    musiclms = [v for v in list_versions((settings.model_folder,)) if v.config.get("architecture") == "musiclm"]
    others = [v for v in musiclms if v.digest != version.digest]
    wanted = digest_of_part(version, "mulan") if others else ""
    return [other.digest for other in others if digest_of_part(other, "mulan") == wanted]


def place_assets(backend: Backend, space: JointSpace, alike: Callable[[], Sequence[str]] = tuple) -> Placed:
    """Place every asset that this version's space does not have yet; committed as it goes.

    Where versions `alike` (asked for only if something is new) have placed an asset it need not be heard again.

    Raises:
        StorageError: the database or the object store cannot be used.
    """
    from actors.marking.waveforms import UnmarkableError

    digest = space.version.digest
    with backend.database.unit_of_work() as session:
        waiting = without_content(session, digest)
        known = take_over_content(session, digest, alike()) if waiting else 0
        if known:
            waiting = without_content(session, digest)
    failed: dict[str, str] = {}
    done: list[Content] = []
    for asset_id, file in waiting:
        try:
            done.append(_content(asset_id, backend.objects.get(file.digest), space))
        except (CorruptObjectError, MissingObjectError, UnmarkableError, ValueError) as error:
            _log.warning("asset %s cannot be placed: %s", asset_id[:12], error)
            failed[asset_id] = str(error)
        if len(done) == _AT_ONCE:
            _commit(backend, digest, done)
    _commit(backend, digest, done)
    return Placed(known + len(waiting) - len(failed), failed)


def _content(asset_id: str, data: bytes, space: JointSpace) -> Content:
    from actors.marking.waveforms import decode_waveform
    from models.resampling import at_rate
    from models.taste.features import features_of

    samples_TC, rate_hz = decode_waveform(data)
    if len(samples_TC) < rate_hz // 4:
        raise ValueError("is too short to be heard")
    mono = at_rate(samples_TC.mean(axis=1), rate_hz, space.sample_rate_hz)
    features = features_of(mono, space.sample_rate_hz)
    return Content(asset_id, space.of_sound(mono), features.tempo_bpm, features.key, features.energy)


def _commit(backend: Backend, digest: str, done: list[Content]) -> None:
    with backend.database.unit_of_work() as session:
        record_content(session, digest, done)
    done.clear()
