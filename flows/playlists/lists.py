"""A night's playlists as they are kept: canonical JSON with every track's reason, the candidates and their scores.

Equal rows give equal bytes, so a list can be made again from the rows of its time and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from actors.identity import canonical_json
from db.database import Database
from db.listeners import consenting_listeners
from db.playlists import NewPlaylist, made_for
from flows.playlists.material import Ears, Shelf, load_ears, load_shelf
from models.taste.choosing import Catalogue, Choice, Person, Reason, Rules
from models.taste.factors import FactorConfig
from models.taste.night import Guest, Night, fit_factors
from models.taste.ranking import Candidates
from models.taste.space import Vectors
from models.weights import ModelVersion

SCHEMA: Final = "tutti.playlist/1"
_KEPT_CANDIDATES: Final = 30  # of each kind
_FACTORS: Final = FactorConfig()
_ALIKE: Final = 0.2  # cosine of directions from the middle of the catalogue, where 0 is as unlike as most


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What lists are made from: the date, what was heard before `heard_before`, rows as of `as_of`, which model.

    `licences` are those that pieces of lists may be under; None for any, known or not.
    """

    date: date
    heard_before: datetime
    as_of: datetime
    model: ModelVersion
    licences: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Whose list could not be made, and why."""

    listener: str
    error: str


class Lists:
    """Makes the lists of one moment."""

    def __init__(
        self,
        moment: Moment,
        shelf: Shelf,
        ears: Ears,
        likes_LI: csr_matrix,
        made: Mapping[str, Sequence[int]],
        sentences: Mapping[str, Vectors],
        *,
        rules: Rules,
        threads: int,
    ) -> None:
        """Fit the factors.

        Args:
            moment: which.
            shelf: the pieces.
            ears: what listeners heard.
            likes_LI: what they like of it, see `Heard.likes_LI`.
            made: numbers of the pieces that were made for listeners.
            sentences: where the sentences of listeners lie.
            rules: how lists are made.
            threads: for fitting; they change no bit.
        """
        self.moment, self.shelf, self.ears, self.rules = moment, shelf, ears, rules
        self._made, self._sentences = made, sentences
        renown = np.asarray(likes_LI.sum(axis=0), dtype=np.float32).ravel()
        allowed = [moment.licences is None or track.licence in moment.licences for track in shelf.tracks]
        self.catalogue = Catalogue(
            shelf.space, shelf.character, shelf.family_I, renown, np.array(allowed, dtype=bool)
        )
        self._night = Night(
            ears.heard,
            self.catalogue,
            at_s=moment.heard_before.timestamp(),
            rules=rules,
            factors=fit_factors(likes_LI, _FACTORS, threads=threads),
        )
        self._number = {name: index for index, name in enumerate(ears.names)}

    def people(self, names: Sequence[str]) -> Iterator[tuple[str, tuple[Guest, Person] | Failed]]:
        """Yield what is known of each, or why that cannot be told."""
        for name in names:
            if name not in self._number:
                yield name, Failed(name, "was deleted, or took their consent back, in the meantime")
                continue
            if name in self.ears.strange:
                yield name, Failed(name, self.ears.strange[name])
                continue
            try:
                guest = Guest(
                    listener=self._number[name],
                    seed=seed_of(name, self.moment.date, self.moment.model),
                    sentence_E=self._sentences.get(name),
                    made=tuple(self._made.get(name, ())),
                )
                yield name, (guest, self._night.person(guest))
            except Exception as error:  # of this listener alone
                yield name, Failed(name, _told(error))

    def make(self, names: Sequence[str]) -> Iterator[NewPlaylist | Failed]:
        """Yield a playlist for each of these listeners, or why there is none; the others go on."""
        guests: list[tuple[str, Guest, Person]] = []
        for name, known in self.people(names):
            if isinstance(known, Failed):
                yield known
            else:
                guests.append((name, *known))
        choices = self._night.choices([(guest, person) for _, guest, person in guests])
        for (name, guest, person), choice in zip(guests, choices, strict=True):
            if isinstance(choice, Exception):
                yield Failed(name, _told(choice))
            else:
                body = canonical_json(self._body(name, guest, person, choice)).decode()
                yield NewPlaylist(name, self.moment.date, body, self.moment.as_of)

    def _body(self, name: str, guest: Guest, person: Person, choice: Choice) -> dict[str, Any]:
        licences = self.moment.licences
        left_out = int((~self.catalogue.allowed_I).sum())
        filters = {} if licences is None else {"filters": {"licences": list(licences), "left_out": left_out}}
        return filters | {
            "schema": SCHEMA,
            "listener": name,
            "date": str(self.moment.date),
            "seed": guest.seed,
            "model": {"name": self.moment.model.name, "digest": self.moment.model.digest},
            "heard_before": self.moment.heard_before.isoformat(),
            "rules": asdict(self.rules),
            "note": None if len(choice.pieces) else self._why_empty(person),
            "tracks": [
                self._track(int(piece), reason) for piece, reason in zip(choice.pieces, choice.reasons, strict=True)
            ],
            "candidates": {
                "heard_by_others": self._candidates(choice.warm),
                "by_sound": self._candidates(choice.cold),
            },
        }

    def _track(self, piece: int, reason: Reason) -> dict[str, Any]:
        track = self.shelf.tracks[piece]
        return {
            "asset": track.asset_id,
            "title": track.title,
            "duration_s": track.duration_s,
            "file": {"digest": track.file.digest, "name": track.file.name, "media_type": track.file.media_type},
            "why": {
                "kind": reason.kind,
                "because_of": None if reason.because is None else self.shelf.tracks[reason.because].asset_id,
                "likeness": reason.likeness,
                "words": words_of(reason, self.shelf),
            },
        }

    def _candidates(self, candidates: Candidates) -> list[list[Any]]:
        rows = zip(
            candidates.piece_K[:_KEPT_CANDIDATES].tolist(),
            candidates.by_factors_K[:_KEPT_CANDIDATES].round(6).tolist(),
            candidates.by_content_K[:_KEPT_CANDIDATES].round(6).tolist(),
            strict=True,
        )
        return [[self.shelf.tracks[piece].asset_id, factors, content] for piece, factors, content in rows]

    def _why_empty(self, person: Person) -> str:
        if not self.shelf.tracks:
            return "the catalogue has no sound yet"
        if not self.catalogue.allowed_I.any():
            return f"no piece of the catalogue is under {' or '.join(self.moment.licences or ('no licence',))}"
        return "every piece of the catalogue is hated" if len(person.hated) else "nothing is left to choose from"


def words_of(reason: Reason, shelf: Shelf) -> str:
    """Return a reason as a listener reads it."""
    because = None if reason.because is None else shelf.tracks[reason.because].title
    if reason.kind == "sound" and (reason.likeness or 0.0) < _ALIKE:
        return "for a change: nothing that you like sounds much like it"
    return {
        "made": f"made for you, because you like “{because}”" if because else "made for you",
        "known": "you know and like it",
        "again": "you know and like it; you heard it lately, but there is little else",
        "listeners": f"heard by those who also like “{because}”",
        "sound": f"sounds like “{because}”, which you like",
        "sentence": "sounds like what you said you like",
        "start": "to begin with: you have not heard enough yet",
    }[reason.kind]


def seed_of(listener: str, on: date, model: ModelVersion) -> int:
    """Return the seed of a listener's night."""
    told = canonical_json([SCHEMA, listener, str(on), model.digest])
    return int.from_bytes(hashlib.sha256(told).digest()[:6])


def lists_of(
    database: Database, moment: Moment, place_words: Callable[[str], Vectors], *, rules: Rules, threads: int
) -> Lists:
    """Read the rows of a moment and return what makes its lists.

    Args:
        database: where the rows are.
        moment: which.
        place_words: says where words lie in the joint space; asked for the sentences of those who like nothing yet.
        rules: how lists are made.
        threads: for fitting; they change no bit.

    Raises:
        DatabaseUnavailableError: the server went away.
    """
    with database.unit_of_work() as session:
        people = consenting_listeners(session, known_at=moment.as_of)
        shelf = load_shelf(session, moment.model.digest, as_of=moment.as_of)
        names = [listener.name for listener in people]
        ears = load_ears(session, names, shelf, before=moment.heard_before, known_at=moment.as_of)
        made: dict[str, list[int]] = {}
        for name, asset_id in made_for(session):
            if asset_id in shelf.number_of:
                made.setdefault(name, []).append(shelf.number_of[asset_id])
    likes_LI = ears.heard.likes_LI()
    likes = np.diff(likes_LI.indptr)
    sentences = {
        each.name: place_words(each.sentence)
        for number, each in enumerate(people)
        if each.sentence and not likes[number]
    }
    return Lists(moment, shelf, ears, likes_LI, made, sentences, rules=rules, threads=threads)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
