"""Score drafts from prompts: read the words, compose with the language model, write, engrave and play.

Stages: read -> compose -> notate -> engrave -> preview. Everything up to the tokens depends on the recipe alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import rfc8785
import torch
from torch import Tensor

from models.digests import digest_of_bytes
from models.engine.backends import BackendChoice
from models.engine.engine import Engine
from models.engine.patterns import FREE
from models.engine.requests import Completion, Conditioning, Request
from models.generator import NO_INPUTS, GenerationError, Json, Outcome, Product, ProductFile, StageRecord
from models.key import Key
from models.score.controls import ControlError, ScoreControls
from models.score.encoding import decode
from models.score.grammar import ScoreGrammar, StaffPlan
from models.score.midi import write_midi
from models.score.notation import NotationError, write_musicxml
from models.score.orchestration import header_tokens, heard_key, plan_staves, to_draft
from models.score.page import EngravingError, engrave
from models.score.preview import PreviewError, render_preview
from models.score.prompt import Reading, decide, read_prompt
from models.score.takes import Takes
from models.score.vocabulary import VOCABULARY
from models.transformer import Transformer, TransformerConfig
from models.weights import CorruptModelError, ModelVersion, load_into

STEPS_AN_ADVANCE = 16  # engine steps between looks at the queue
MUSICXML_TYPE = "application/vnd.recordare.musicxml+xml"
CODES_SCHEMA = "tutti.score-codes/1"
TOKENS_A_BAR = 8  # of a staff, about: the longest pieces are begun first
TAKES = 6  # a draft that is not heard in the key asked for is composed anew, at most so often
SIDE_BY_SIDE = 3  # takes of a draft where slots are idle: another row of the engine costs a tenth of the first
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Item:
    """An admitted recipe: how its words were read, what was decided, and how the model is asked for it."""

    recipe: Mapping[str, Json]
    reading: Reading
    controls: ScoreControls
    plans: tuple[StaffPlan, ...]
    prefix: tuple[int, ...]
    read: StageRecord


@dataclass(frozen=True, slots=True)
class _Take:
    """One composition of an item. `staves` and `heard` are None where it did not come to an end."""

    completion: Completion
    staves: list[list[tuple[int, int, int]]] | None
    heard: Key | None


@dataclass(slots=True)
class _Piece:
    """An item that is being composed, in as many takes as it needs."""

    item: _Item
    takes: Takes[_Take]
    composing_since: float | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """Tokens of a draft, ready to be written."""

    item: _Item
    completion: Completion
    staves: list[list[tuple[int, int, int]]]
    key_heard: str
    take: int
    started_at: datetime
    wall_s: float


class ScoreGenerator:
    """Makes score drafts with one version of the score model."""

    def __init__(self, version: ModelVersion, *, backend: BackendChoice, device: str, slots: int) -> None:
        """Load the weights.

        Raises:
            CorruptModelError: they do not fit the configuration, or were made for another vocabulary.
        """
        torch.set_num_threads(backend.threads)
        self.version, self.slots = version, slots
        if version.config["vocabulary"] != VOCABULARY.digest:
            raise CorruptModelError(f"{version.path}: made for another vocabulary than this code's")
        transformer = Transformer(TransformerConfig(**version.config["transformer"]))
        load_into(transformer, version, device, backend.model_dtype)
        self._sampling = version.config["sampling"]
        self._transformer = transformer
        self._max_positions = int(version.config["max_positions"])
        self._engine = Engine(
            transformer,
            slots=slots,
            cache_length=version.config["cache_length"],
            max_positions=self._max_positions,
            backend=backend,
        )
        self._pieces: dict[str, _Piece] = {}
        self.profile = backend.profile(self._engine.backend, device=device, slots=slots)

    def admit(
        self,
        key: str,
        recipe: Mapping[str, Json],
        inputs: Mapping[str, bytes] = NO_INPUTS,  # noqa: ARG002  # a draft is made from words alone
    ) -> None:
        """Read the prompt, decide what it leaves open, and queue the composition.

        Raises:
            GenerationError: the words or controls make no score.
        """
        try:
            (reading, controls), read = _timed("read", digest_of_bytes(rfc8785.dumps(recipe)), lambda: _read(recipe))
        except (ControlError, KeyError, TypeError, ValueError) as error:
            raise GenerationError(f"the recipe makes no score: {type(error).__name__}: {error}") from error
        read = replace(read, output_digest=digest_of_bytes(rfc8785.dumps(controls.as_dict())))
        plans = plan_staves(controls)
        item = _Item(recipe, reading, controls, plans, header_tokens(controls, plans), read)
        self._make_room()
        self._pieces[key] = _Piece(item, Takes(TAKES))
        self._compose(key)

    def advance(self) -> Sequence[Outcome]:
        """Run some engine steps; return the drafts composed in them."""
        self._use_idle_slots()
        outcomes: list[Outcome] = []
        for _ in range(STEPS_AN_ADVANCE):
            for completion in self._engine.step():
                outcome = self._listen(completion)
                if outcome is not None:
                    outcomes.append(outcome)
            if not self._engine.busy or outcomes:
                break
        return outcomes

    def finish(self, drafted: Composed) -> Product:
        """Write, engrave and play a composed draft.

        Raises:
            GenerationError: the draft cannot be written, engraved or played.
        """
        controls = drafted.item.controls
        draft = to_draft(controls, drafted.staves)
        codes = self._codes(drafted)
        try:
            (musicxml, midi), notated = _timed(
                "notate", digest_of_bytes(codes), lambda: (write_musicxml(draft), write_midi(draft))
            )
            engraving, engraved = _timed("engrave", digest_of_bytes(musicxml), lambda: engrave(musicxml))
            preview, played = _timed("preview", digest_of_bytes(midi), lambda: render_preview(midi))
        except (NotationError, EngravingError, PreviewError) as error:
            raise GenerationError(f"{type(error).__name__}: {error}") from error
        return Product(
            files=(
                ProductFile(role="codes", name="codes.json", media_type="application/json", data=codes),
                ProductFile(role="musicxml", name="score.musicxml", media_type=MUSICXML_TYPE, data=musicxml),
                ProductFile(role="midi", name="score.mid", media_type="audio/midi", data=midi),
                *_page_files(engraving.pages),
                ProductFile(role="pdf", name="score.pdf", media_type="application/pdf", data=engraving.pdf),
                ProductFile(role="preview", name="preview.flac", media_type="audio/flac", data=preview.flac),
            ),
            duration_s=round(draft.duration_s, 3),
            stages=(
                drafted.item.read,
                self._compose_record(drafted, codes),
                replace(notated, output_digest=digest_of_bytes(musicxml), detail={"midi": digest_of_bytes(midi)}),
                replace(
                    engraved, output_digest=digest_of_bytes(engraving.pdf), detail={"pages": len(engraving.pages)}
                ),
                replace(played, output_digest=digest_of_bytes(preview.flac), detail={"sounds_s": preview.duration_s}),
            ),
            attributes={
                "title": controls.title,
                "controls": controls.as_dict(),
                "reading": drafted.item.reading.as_dict(),
                "key_heard": drafted.key_heard,
                "takes": drafted.take + 1,
            },
        )

    def _compose(self, key: str) -> bool:
        """Queue the next take of a piece; return whether there is one.

        Each take draws from a stage name of its own, so takes differ and repeat alike.
        """
        item, takes = self._pieces[key].item, self._pieces[key].takes
        if (number := takes.begin()) is None:
            return False
        controls = item.controls
        self._engine.submit(
            Request(
                key=_request_key(key, number),
                conditioning=Conditioning(prefix_PD=self._embed(item.prefix)),
                given_NK=np.full((self._max_positions - len(item.prefix), 1), FREE, dtype=np.int64),
                constraint=ScoreGrammar(metre=controls.metre, bars=controls.bars, staves=item.plans),
                seed=int(item.recipe["seed"]),
                stage=f"compose/{number}",
                temperature=float(self._sampling["temperature"]),
                top_p=float(self._sampling["top_p"]),
                expected_steps=TOKENS_A_BAR * controls.bars * len(item.plans),
            )
        )
        return True

    def _use_idle_slots(self) -> None:
        """Begin further takes where nothing else is to be composed, should the ones before not do."""
        for key, piece in self._pieces.items():
            while self._engine.busy < self.slots and len(piece.takes.running) < SIDE_BY_SIDE and self._compose(key):
                pass

    def _make_room(self) -> None:
        """Drop takes that were begun in an idle slot if there is none left for a new piece."""
        for key, piece in reversed(self._pieces.items()):
            while self._engine.busy >= self.slots and len(piece.takes.running) > 1:
                self._drop(key, max(piece.takes.running))

    def _drop(self, key: str, number: int) -> None:
        self._engine.cancel(_request_key(key, number))
        self._pieces[key].takes.drop(number)

    @torch.inference_mode()
    def _embed(self, prefix: tuple[int, ...]) -> Tensor:
        device = self._engine.backend.device
        tokens = torch.tensor(prefix, device=device)[:, None]
        return self._transformer.embed(tokens, torch.arange(len(prefix), device=device))

    def _listen(self, completion: Completion) -> Outcome | None:
        """Hear a take; return its piece's outcome if it decides which take is kept."""
        key, _, number = completion.key.rpartition("/")
        if (piece := self._pieces.get(key)) is None:
            return None  # decided by another take that ended in the same step
        item, takes = piece.item, piece.takes
        began = time.monotonic() - completion.wall_s
        piece.composing_since = min(began, piece.composing_since or began)
        take = self._heard(item, completion)
        whole = take.heard is not None
        takes.end(int(number), take, settled=not whole or take.heard == item.controls.key, whole=whole)
        if (kept := takes.kept()) is None:
            if not takes.running:
                self._compose(key)
            return None
        for other in sorted(takes.running):
            self._drop(key, other)
        del self._pieces[key]
        return Outcome(key, self._composed(piece, *kept))

    def _heard(self, item: _Item, completion: Completion) -> _Take:
        if completion.exhausted:
            return _Take(completion, None, None)
        staves, _ = decode(completion.tokens, len(item.plans), item.controls.bar_ticks)
        return _Take(completion, staves, heard_key(staves, item.controls))

    def _composed(self, piece: _Piece, number: int, take: _Take) -> Composed | GenerationError:
        controls = piece.item.controls
        if take.staves is None or take.heard is None:
            asked = f"{controls.bars} bars for {len(controls.instruments)} instruments"
            return GenerationError(
                f"{asked} need over {self._max_positions} tokens; ask for fewer seconds or instruments"
            )
        now = time.monotonic()
        wall_s = now - (piece.composing_since or now)
        return Composed(
            piece.item,
            take.completion,
            take.staves,
            take.heard.name,
            take=number,
            started_at=datetime.now(UTC) - timedelta(seconds=wall_s),
            wall_s=wall_s,
        )

    def _codes(self, drafted: Composed) -> bytes:
        codes: dict[str, Json] = {
            "schema": CODES_SCHEMA,
            "vocabulary": VOCABULARY.digest,
            "prefix": list(drafted.item.prefix),
            "tokens": list(drafted.completion.tokens),
        }
        return rfc8785.dumps(codes)

    def _compose_record(self, drafted: Composed, codes: bytes) -> StageRecord:
        item, completion = drafted.item, drafted.completion
        return StageRecord(
            name="compose",
            input_digest=digest_of_bytes(rfc8785.dumps(item.controls.as_dict())),
            output_digest=digest_of_bytes(codes),
            started_at=drafted.started_at,
            wall_s=drafted.wall_s,
            detail={
                "tokens": len(completion.tokens),
                "nats_a_token": round(-completion.log_likelihood / max(len(completion.tokens), 1), 6),
                "takes": drafted.take + 1,
                "model": self.version.digest,
            },
        )


def _request_key(key: str, take: int) -> str:
    return f"{key}/{take}"


def _read(recipe: Mapping[str, Json]) -> tuple[Reading, ScoreControls]:
    reading = read_prompt(recipe["prompt"])
    return reading, decide(reading, recipe["controls"], float(recipe["duration_s"]), int(recipe["seed"]))


def _page_files(pages: tuple[bytes, ...]) -> list[ProductFile]:
    roles = ["page", *(f"page-{number}" for number in range(2, len(pages) + 1))]
    return [
        ProductFile(role=role, name=f"{role}.svg", media_type="image/svg+xml", data=svg)
        for role, svg in zip(roles, pages, strict=True)
    ]


def _timed(name: str, input_digest: str, work: Callable[[], T]) -> tuple[T, StageRecord]:
    """Do the work; return its result and a record whose output digest is still to be given."""
    started_at, started = datetime.now(UTC), time.perf_counter()
    result = work()
    wall_s = time.perf_counter() - started
    return result, StageRecord(
        name=name, input_digest=input_digest, output_digest="", started_at=started_at, wall_s=wall_s
    )
