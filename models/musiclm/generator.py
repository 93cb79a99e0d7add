"""Soundscapes and music from prompts: read the words, make semantic, coarse and fine codes, choose a take, master it.

Of every piece a fixed number of takes is made; the one whose sound lies nearest to its words in the joint space, and
that follows its melody best if it has one, and holds best if it is long, is kept. Stages: (listen ->) condition ->
semantic -> coarse -> fine -> decode -> master. Everything up to the codes depends on the recipe and its melody alone.

Shapes: T samples, F codec frames, K codebooks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import rfc8785
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.digests import digest_of_bytes
from models.engine.backends import BackendChoice
from models.engine.engine import Engine
from models.generator import MELODY, NO_INPUTS, GenerationError, Json, Outcome, Product, ProductFile, StageRecord
from models.mastering import SilentError, master
from models.melody.agreement import agreement
from models.melody.contour import REST, UNTOLD, Classes
from models.melody.given import given_melody
from models.melody.hearing import hear_melody
from models.mulan.sentences import load_sentences
from models.musiclm.codes_file import MEDIA_TYPE, NAME, Codes, write_codes
from models.musiclm.model import STAGES, StageName, load_model
from models.musiclm.running import TakesOnTheirWay
from models.musiclm.steadiness import is_long, steadiness
from models.musiclm.take import Take, sampling_from
from models.musiclm.telling import Telling, sections_of
from models.personal import TASTE, opened_tokens, public
from models.weights import ModelVersion

_CACHE_BUCKET = 128
_TAKES_AT_ONCE = 2  # of each piece: more would need more memory and be little faster
_PREFIX_ROOM = 32  # rows before the codes, at most
_DECODED_AT_ONCE = 1500  # frames: long pieces are decoded in a stream
_MELODY_WEIGHT = 0.5  # of following the melody beside likeness: among takes both are spread alike then


@dataclass(slots=True, eq=False)
class _Item:
    """An admitted recipe and its takes."""

    recipe: Mapping[str, Json]
    telling: Telling
    melody_F: Classes | None
    read: tuple[StageRecord, ...]  # how melody and words were read
    started_at: datetime
    waiting: int  # takes that are not finished
    takes: list[Take] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Listened:
    """A melody heard, and the record of it."""

    classes_F: Classes
    record: StageRecord


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which take is kept, and what of all takes it was chosen by: what does not apply is empty."""

    best: int
    likenesses: list[float]
    following: list[float]
    holding: list[float]

    def as_detail(self) -> dict[str, Json]:
        """Return it as the record of the stage has it."""
        rows = {
            "likeness_of_takes": self.likenesses,
            "melody_of_takes": self.following,
            "steadiness_of_takes": self.holding,
        }
        return {name: [round(each, 6) for each in row] for name, row in rows.items() if row} | {"take": self.best}


@dataclass(frozen=True, slots=True, eq=False)
class Drafted:
    """All takes of a piece, as codes."""

    item: _Item
    samples: int


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
        self._sampling = sampling_from(version.config["sampling"])
        self._takes = int(version.config["takes"])
        self._steadiness_weight = float(version.config.get("steadiness_weight", 0.0))
        rates = {"semantic": self._model.config.semantic_model.frame_rate_hz}
        engines: dict[StageName, Engine] = {}
        for name in STAGES:
            sampling, stage = self._sampling.of(name), self._model.stage(name)
            rows = 2 if sampling.guidance_scale != 1.0 and stage.config.prefix_codebooks else 1
            frames = sampling.windowing(rates.get(name, self._model.config.codec.frame_rate_hz)).length
            length = math.ceil((frames + _PREFIX_ROOM) / _CACHE_BUCKET) * _CACHE_BUCKET
            engines[name] = Engine(
                stage, slots=rows * slots * min(self._takes, _TAKES_AT_ONCE), cache_length=length, backend=backend
            )
        self._items: dict[str, _Item] = {}
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
        melody_F = None if listened is None else listened.classes_F
        item = _Item(recipe, telling, melody_F, records, started_at, self._takes)
        self._items[key] = item
        frames = math.ceil(samples / self._model.config.codec.hop_length)
        melody_Q = torch.full((-(-frames // 2),), UNTOLD)
        if listened is not None:
            heard_Q = torch.from_numpy(listened.classes_F[: len(melody_Q)]).long()
            melody_Q[: len(heard_Q)] = heard_Q
        for number in range(self._takes):
            take = Take(key, number, seed, telling, self._model, self._sampling, frames, melody_Q)
            item.takes.append(take)
            self._running.submit(take)

    def _listen(self, recipe: Mapping[str, Json], inputs: Mapping[str, bytes]) -> _Listened | None:
        """Hear the melody that a recipe names.

        Raises:
            GenerationError: it cannot be read, or is another.
        """
        started_at, began = datetime.now(UTC), time.perf_counter()
        recording = given_melody(recipe, inputs)
        if recording is None:
            return None
        classes_F = hear_melody(recording.mono_T, recording.sample_rate_hz, self._model.melody)
        record = StageRecord(
            name="listen",
            input_digest=recording.digest,
            output_digest=digest_of_bytes(classes_F.tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={
                "frames": len(classes_F),
                "pitched": round(float((classes_F > REST).mean()), 4),
                "file": recording.kept_as,
                "warnings": list(recording.warnings),
            },
        )
        return _Listened(classes_F, record)

    def advance(self) -> Sequence[Outcome]:
        """Run some steps of every stage; return the pieces of which all takes are made."""
        return self._running.advance(self._finished)

    def finish(self, drafted: Drafted) -> Product:
        """Decode all takes, keep the one nearest to what it was told, and master it.

        Raises:
            GenerationError: no take can be heard.
        """
        item, began, started_at = drafted.item, time.perf_counter(), datetime.now(UTC)
        waveforms = [self._decode(take.codes_FK)[: drafted.samples] for take in item.takes]
        choice = self._choose(item, waveforms)
        take, waveform_T = item.takes[choice.best], waveforms[choice.best]
        codes = write_codes(Codes(take.made["semantic"][:, 0], take.codes_FK))
        pcm = waveform_T.numpy()
        decoded = StageRecord(
            name="decode",
            input_digest=digest_of_bytes(codes),
            output_digest=digest_of_bytes(pcm.astype("<f4").tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail=choice.as_detail(),
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
            stages=(*item.read, *self._stage_records(item, take), decoded, mastering),
            attributes={
                "title": item.recipe["prompt"],
                "likeness": round(choice.likenesses[choice.best], 4),
                "takes": len(item.takes),
                "take": choice.best,
                "sample_rate_hz": rate,
                "loudness_lufs": mastered.loudness_lufs,
            }
            | ({} if item.melody_F is None else {"melody_followed": round(choice.following[choice.best], 4)}),
        )

    def _choose(self, item: _Item, waveforms: Sequence[Tensor]) -> _Choice:
        """Hear all takes, and choose one."""
        likenesses = [self._likeness(item.telling, waveform) for waveform in waveforms]
        rate, weight = self._model.config.codec.sample_rate_hz, self._steadiness_weight
        long = weight > 0 and len(item.telling.sections) == 1 and is_long(len(waveforms[0]), rate)
        following = [] if item.melody_F is None else [self._following(item.melody_F, each) for each in waveforms]
        holding = [steadiness(each, self._model.mulan) for each in waveforms] if long else []
        worths = np.array(likenesses)
        for values, beside in ((following, _MELODY_WEIGHT), (holding, weight)):
            worths = worths + beside * np.array(values) if values else worths
        return _Choice(int(worths.argmax()), likenesses, following, holding)

    def _telling(self, recipe: Mapping[str, Json]) -> Telling:
        tokens = opened_tokens(recipe)
        if tokens is not None:
            return Telling.of_tokens(recipe["prompt"], tokens, self._model.mulan)
        return Telling.of_words(sections_of(recipe), self._sentences, self._model.mulan)

    def _finished(self, key: str) -> Outcome | None:
        item = self._items[key]
        item.waiting -= 1
        if item.waiting:
            return None
        del self._items[key]
        samples = round(float(item.recipe["duration_s"]) * self._model.config.codec.sample_rate_hz)
        return Outcome(key, Drafted(item, samples))

    @torch.inference_mode()
    def _decode(self, codes_FK: NDArray[np.int64]) -> Tensor:
        codes = torch.from_numpy(codes_FK)[None].to(self._model.semantic.start_1D.device)
        return torch.cat(list(self._model.codec.decode_stream(torch.split(codes, _DECODED_AT_ONCE, dim=1))), dim=1)[
            0
        ].cpu()

    @torch.inference_mode()
    def _likeness(self, telling: Telling, waveform_T: Tensor) -> float:
        """Return how near a take lies to its words in the joint space: the mean cosine over its sections."""
        rate = self._model.config.codec.sample_rate_hz
        device = self._model.semantic.start_1D.device
        spans = [
            (section, self._model.mulan.embed_audio(waveform_T[round(begin * rate) : round(end * rate)].to(device)))
            for section, begin, end in telling.spans(len(waveform_T) / rate)
        ]
        return telling.likeness(spans)

    def _following(self, melody_F: Classes, waveform_T: Tensor) -> float:
        """Return how well a take follows its melody."""
        heard_F = hear_melody(waveform_T.numpy(), self._model.config.codec.sample_rate_hz, self._model.melody)
        return agreement(melody_F, heard_F)

    def _stage_records(self, item: _Item, take: Take) -> list[StageRecord]:
        records, before = [], item.read[-1].output_digest
        for name in STAGES:
            codes = take.made[name]
            after = digest_of_bytes(codes.astype("<i2").tobytes())
            detail = {
                "codes": codes.size,
                "nats_a_code": round(take.nats[name] / codes.size, 6),
                "model": self.version.digest,
            }
            records.append(
                StageRecord(
                    name=name, input_digest=before, output_digest=after, started_at=item.started_at,
                    wall_s=take.wall_s[name], detail=detail,
                )
            )  # fmt: skip
            before = after
        return records
