"""Soundscapes and music from prompts: read the words, make semantic, coarse and fine codes, choose a take, master it.

Of every piece a fixed number of takes is made, leg by leg (`models.musiclm.legs`); the one whose sound lies nearest
to its words in the joint space, and that follows its melody best if it has one, and holds best if it is long, is
kept. Takes of a melody may be told it in other octaves by turns. Stages: (listen ->) condition -> semantic -> coarse
-> fine -> decode -> master. Everything up to the codes depends on the recipe and its melody alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import rfc8785
import torch

from models.digests import digest_of_bytes
from models.engine.backends import BackendChoice
from models.generator import MELODY, NO_INPUTS, GenerationError, Json, Outcome, Product, ProductFile, StageRecord
from models.mastering import SilentError, master
from models.melody.contour import REST, UNTOLD, Classes
from models.melody.given import given_melody
from models.melody.hearing import hear_melody
from models.mulan.sentences import load_sentences
from models.musiclm.choosing import Listener
from models.musiclm.codes_file import MEDIA_TYPE, NAME, Codes, write_codes
from models.musiclm.conditioner import WordsAndMelody
from models.musiclm.legs import legs_of
from models.musiclm.model import load_model
from models.musiclm.piece import Piece
from models.musiclm.running import TakesOnTheirWay, engines_for
from models.musiclm.sampling import sampling_from
from models.musiclm.take import Leg
from models.musiclm.telling import Telling, sections_of
from models.personal import TASTE, opened_tokens, public
from models.weights import ModelVersion


@dataclass(frozen=True, slots=True, eq=False)
class _Listened:
    """A melody heard, and the record of it."""

    classes_Q: Classes
    record: StageRecord


class MusicLMGenerator:
    """Makes pieces with one version of a MusicLM."""

    def __init__(self, version: ModelVersion, *, backend: BackendChoice, device: str, slots: int) -> None:
        """Load the weights.

        Raises:
            CorruptModelError: they do not fit the configuration or this code.
            SentencesError: the sentence encoder's package is missing.
        """
        torch.set_num_threads(backend.threads)
        self.version, self.slots = version, slots
        self._model = load_model(version, device, backend.model_dtype)
        self._sentences = load_sentences(device)
        config = version.config
        self._sampling, self._takes = sampling_from(config["sampling"]), int(config["takes"])
        self._sampling_with_melody = sampling_from(config.get("sampling_with_melody", config["sampling"]))
        self._takes_with_melody = int(config.get("takes_with_melody", self._takes))
        self._octaves = int(config.get("octaves", 1))
        self._leg_s = float(config["leg_s"]) if "leg_s" in config else None
        self._listener = Listener(self._model, float(config.get("steadiness_weight", 0.0)))
        engines = engines_for(
            self._model.stage, self._model.rate_hz, self._sampling, slots=slots, takes=self._takes, backend=backend
        )
        self._pieces: dict[str, Piece] = {}
        self._running = TakesOnTheirWay(engines)
        self.profile = backend.profile(engines["semantic"].backend, device=device, slots=slots)

    def admit(self, key: str, recipe: Mapping[str, Json], inputs: Mapping[str, bytes] = NO_INPUTS) -> None:
        """Read the words, hear the melody, and queue all takes.

        Raises:
            GenerationError: the recipe asks for what this model does not make.
        """
        started_at, began = datetime.now(UTC), time.perf_counter()
        try:
            if unknown := sorted(set(recipe["controls"]) - {"story", MELODY, TASTE}):
                raise GenerationError(f"{self.version.name} has no control {unknown[0]!r}; say it in the prompt")
            telling = self._telling(recipe)
            samples = round(float(recipe["duration_s"]) * self._model.config.codec.sample_rate_hz)
            seed = int(recipe["seed"])
            listened = self._listen(recipe, inputs)
        except (KeyError, TypeError, ValueError) as error:
            raise GenerationError(f"the recipe makes no music: {type(error).__name__}: {error}") from error
        recipe = public(recipe)
        tokens = [tokens_P.tolist() for tokens_P in telling.tokens_P]
        taste = recipe["controls"].get(TASTE)  # of tokens that are somebody's, only the commitment is told on
        condition = StageRecord(
            name="condition",
            input_digest=digest_of_bytes(rfc8785.dumps(recipe)),
            output_digest=taste or digest_of_bytes(rfc8785.dumps(tokens)),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={"personal": True} if taste else {"mulan_tokens": tokens},
        )
        records = (condition,) if listened is None else (listened.record, condition)
        frames = math.ceil(samples / self._model.config.codec.hop_length)
        melody_Q = torch.full((-(-frames // 2),), UNTOLD)
        if listened is not None:
            heard_Q = torch.from_numpy(listened.classes_Q[: len(melody_Q)]).long()
            melody_Q[: len(heard_Q)] = heard_Q
        sampling = self._sampling if listened is None else self._sampling_with_melody
        told = WordsAndMelody(telling, melody_Q, self._model, sampling)
        piece = Piece(
            key=key, recipe=recipe, seed=seed, samples=samples,
            tellings=[told] if listened is None else told.in_octaves(self._octaves),
            melody_Q=None if listened is None else listened.classes_Q,
            read=records, started_at=started_at, legs=self._legs(telling, frames),
        )  # fmt: skip
        self._pieces[key] = piece
        self._begin_leg(piece)

    def _legs(self, telling: Telling, frames: int) -> list[Leg]:
        """Return the legs of a piece; a version that knows of none makes it whole, by all stages, in every take."""
        if self._leg_s is None:
            return [Leg(0, frames)]
        rate_hz = self._model.config.codec.frame_rate_hz
        legs = legs_of(telling.spans(frames / rate_hz), frames, rate_hz, self._leg_s)
        return [*legs, Leg(0, frames, ("fine",))]

    def _takes_of(self, piece: Piece) -> int:
        return self._takes if piece.melody_Q is None else self._takes_with_melody

    def _begin_leg(self, piece: Piece) -> bool:
        """Queue the takes of a piece's next leg; return whether there is one."""
        takes = piece.begin_leg(self._takes_of(piece))
        for take in takes:
            self._running.submit(take)
        return bool(takes)

    def _listen(self, recipe: Mapping[str, Json], inputs: Mapping[str, bytes]) -> _Listened | None:
        """Hear the melody that a recipe names.

        Raises:
            GenerationError: it cannot be read, or is another.
        """
        started_at, began = datetime.now(UTC), time.perf_counter()
        recording = given_melody(recipe, inputs)
        if recording is None:
            return None
        classes_Q = hear_melody(recording.mono_T, recording.sample_rate_hz, self._model.melody)
        record = StageRecord(
            name="listen",
            input_digest=recording.digest,
            output_digest=digest_of_bytes(classes_Q.tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={
                "frames": len(classes_Q),
                "pitched": round(float((classes_Q > REST).mean()), 4),
                "file": recording.kept_as,
                "warnings": list(recording.warnings),
            },
        )
        return _Listened(classes_Q, record)

    def advance(self) -> Sequence[Outcome]:
        """Run some steps of every stage; return the pieces of which all takes are made."""
        return self._running.advance(self._finished)

    def finish(self, drafted: Piece) -> Product:
        """Decode the take that was kept, and master it.

        Raises:
            GenerationError: it cannot be heard.
        """
        piece, began, started_at = drafted, time.perf_counter(), datetime.now(UTC)
        take, telling = piece.kept, piece.told.telling
        codes_FK = torch.from_numpy(take.codes_FK).to(self._model.semantic.start_1D.device)
        waveform_T = self._model.codec.decode_whole(codes_FK)[: piece.samples]
        likeness = self._listener.likeness(waveform_T, telling)
        followed = None if piece.melody_Q is None else self._listener.following(waveform_T, piece.melody_Q)
        codes = write_codes(Codes(take.made["semantic"][:, 0], take.codes_FK))
        pcm = waveform_T.numpy()
        decoded = StageRecord(
            name="decode",
            input_digest=digest_of_bytes(codes),
            output_digest=digest_of_bytes(pcm.astype("<f4").tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began + piece.listened_s,
            detail={"legs": piece.choices_as_detail()},
        )
        began, started_at = time.perf_counter(), datetime.now(UTC)
        rate = self._model.config.codec.sample_rate_hz
        try:
            mastered = master(pcm.copy(), rate)
        except SilentError as error:
            raise GenerationError(f"the piece cannot be heard: {error}") from error
        mastering = StageRecord(
            name="master",
            input_digest=decoded.output_digest,
            output_digest=digest_of_bytes(mastered.flac),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={"loudness_lufs": mastered.loudness_lufs, "peak_dbfs": mastered.peak_dbfs},
        )
        return Product(
            files=(
                ProductFile(role="waveform", name="audio.flac", media_type="audio/flac", data=mastered.flac),
                ProductFile(role="codes", name=NAME, media_type=MEDIA_TYPE, data=codes),
            ),
            duration_s=mastered.duration_s,
            stages=(
                *piece.read,
                *take.records(piece.read[-1].output_digest, piece.started_at, self.version.digest),
                decoded,
                mastering,
            ),
            attributes={
                "title": piece.recipe["prompt"],
                "likeness": round(likeness, 4),
                "takes": self._takes_of(piece),
                "sample_rate_hz": rate,
                "loudness_lufs": mastered.loudness_lufs,
            }
            | ({} if followed is None else {"melody_followed": round(followed, 4)}),
        )

    def _telling(self, recipe: Mapping[str, Json]) -> Telling:
        tokens = opened_tokens(recipe)
        if tokens is not None:
            return Telling.of_tokens(recipe["prompt"], tokens, self._model.mulan)
        return Telling.of_words(sections_of(recipe), self._sentences, self._model.mulan)

    def _finished(self, key: str) -> Outcome | None:
        piece = self._pieces[key]
        if not piece.end_take(self._listener) or self._begin_leg(piece):
            return None
        return Outcome(key, self._pieces.pop(key))
