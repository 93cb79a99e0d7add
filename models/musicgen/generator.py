"""Music from prompts with a MusicGen: encode the words, make codes window by window, decode and master them.

Stages: condition -> codes -> decode -> master. Everything up to the codes depends on the recipe alone.

Shapes: T codec frames, K codebooks, A channels, N samples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import rfc8785
import torch
from numpy.typing import NDArray

from models.digests import digest_of_bytes
from models.engine.backend import CacheSize
from models.engine.backends import BackendChoice
from models.engine.engine import Engine
from models.engine.memory import SHARE, free_bytes, slots_within
from models.engine.patterns import to_decode
from models.engine.requests import Completion, EngineError, Request
from models.generator import MELODY, NO_INPUTS, GenerationError, Json, Outcome, Product, ProductFile, StageRecord
from models.mastering import SilentError, master
from models.melody.given import given_melody
from models.musicgen.model import Told, load_model
from models.musiclm.codes_file import MEDIA_TYPE, NAME, Codes, write_codes
from models.musiclm.windows import Window, Windowing
from models.weights import ModelVersion

STEPS_AN_ADVANCE = 16  # engine steps between looks at the queue
WINDOW_S, GIVEN_S = 30.0, 12.0  # it was trained on 30 s; a longer piece goes on from its last 12 s
MEMORY_LENGTH = 256  # words of a prompt, at most
_CACHE_BUCKET = 128


@dataclass(slots=True, eq=False)
class _Item:
    """An admitted recipe on its way."""

    recipe: Mapping[str, Json]
    told: Told
    condition: StageRecord
    started_at: datetime
    codes_TK: NDArray[np.int64]
    windows: Iterator[tuple[int, Window]]
    window: Window | None = None
    wall_s: float = 0.0
    log_likelihood: float = 0.0


class MusicGenGenerator:
    """Makes pieces with one version of a MusicGen."""

    def __init__(self, version: ModelVersion, *, backend: BackendChoice, device: str, slots: int) -> None:
        """Load the weights.

        Raises:
            CorruptModelError: they do not fit the configuration or this code.
            EngineError: there is not memory enough for one piece.
        """
        torch.set_num_threads(backend.threads)
        self.version, self.slots = version, slots
        self._model = load_model(version, device, backend.model_dtype)
        self._sampling = version.config["sampling"]
        self._guided = float(self._sampling["guidance_scale"]) != 1.0
        rate = self._model.sample_rate_hz / self._model.hop_length
        self._windowing = Windowing(round(WINDOW_S * rate), round(GIVEN_S * rate))
        prefix = self._model.config.chroma_length + MEMORY_LENGTH if self._model.melodic else 0
        inputs = prefix + self._windowing.length + self._model.decoder.codebooks + 1
        rows, length = 2 if self._guided else 1, math.ceil(inputs / _CACHE_BUCKET) * _CACHE_BUCKET
        heard = 0 if self._model.melodic else MEMORY_LENGTH
        size = CacheSize(slots=rows * slots, length=length, positions=length, memory=heard)
        config, itemsize = self._model.decoder.trunk.config, backend.cache_itemsize
        fitting = slots_within(SHARE * free_bytes(device), size, config, itemsize, rows=rows)
        self._engine = Engine(
            self._model.decoder,
            slots=fitting,
            cache_length=length,
            memory_length=heard,
            backend=backend,
        )
        self._items: dict[str, _Item] = {}
        self.profile = backend.profile(self._engine.backend, device=device, slots=fitting // rows)

    def admit(self, key: str, recipe: Mapping[str, Json], inputs: Mapping[str, bytes] = NO_INPUTS) -> None:
        """Encode the words and the melody, and queue the first window.

        Raises:
            GenerationError: the recipe asks for what this model does not make.
        """
        started_at, began = datetime.now(UTC), time.perf_counter()
        try:
            if unknown := set(recipe["controls"]) - ({MELODY} if self._model.melodic else set()):
                raise GenerationError(f"{self.version.name} has no control {min(unknown)!r}; say it in words")
            melody = given_melody(recipe, inputs)
            told = self._model.condition(recipe["prompt"], None if melody is None else self._model.chroma(melody))
            samples = round(float(recipe["duration_s"]) * self._model.sample_rate_hz)
        except (KeyError, TypeError, ValueError) as error:
            raise GenerationError(f"the recipe makes no music: {type(error).__name__}: {error}") from error
        heard = (
            told.conditioning.memory_MD if told.conditioning.memory_MD is not None else told.conditioning.prefix_PD
        )
        condition = StageRecord(
            name="condition",
            input_digest=digest_of_bytes(rfc8785.dumps(recipe)),
            output_digest=digest_of_bytes(heard.float().cpu().numpy().astype("<f4").tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={"rows": len(heard)} | ({} if melody is None else {"melody": melody.digest}),
        )
        frames = math.ceil(samples / self._model.hop_length)
        codes_TK = np.zeros((frames, self._model.decoder.codebooks), dtype=np.int64)
        windows = enumerate(self._windowing.over(0, frames))
        self._items[key] = _Item(recipe, told, condition, started_at, codes_TK, windows)
        try:
            self._submit(key)
        except EngineError as error:
            del self._items[key]
            raise GenerationError(f"the prompt is too long: {error}") from error

    def advance(self) -> Sequence[Outcome]:
        """Run some engine steps; return the pieces whose codes are complete."""
        outcomes: list[Outcome] = []
        for _ in range(STEPS_AN_ADVANCE):
            for completion in self._engine.step():
                self._absorb(completion)
                if not self._submit(completion.key):
                    outcomes.append(Outcome(completion.key, self._items.pop(completion.key)))
            if outcomes or not self._engine.busy:
                break
        return outcomes

    def finish(self, drafted: _Item) -> Product:
        """Decode the codes and master the waveform.

        Raises:
            GenerationError: nothing can be heard.
        """
        began, started_at = time.perf_counter(), datetime.now(UTC)
        codes = write_codes(Codes(np.zeros(0, dtype=np.int64), drafted.codes_TK))
        rate = self._model.sample_rate_hz
        samples = round(float(drafted.recipe["duration_s"]) * rate)
        waveform_NA = self._model.decode(torch.from_numpy(drafted.codes_TK))[:, :samples].T.contiguous().numpy()
        decoded = StageRecord(
            name="decode",
            input_digest=digest_of_bytes(codes),
            output_digest=digest_of_bytes(waveform_NA.astype("<f4").tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
        )
        began, started_at = time.perf_counter(), datetime.now(UTC)
        try:
            mastered = master(waveform_NA.copy(), rate)
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
        made = StageRecord(
            name="codes",
            input_digest=drafted.condition.output_digest,
            output_digest=digest_of_bytes(codes),
            started_at=drafted.started_at,
            wall_s=drafted.wall_s,
            detail={
                "codes": drafted.codes_TK.size,
                "nats_a_code": round(-drafted.log_likelihood / drafted.codes_TK.size, 6),
                "model": self.version.digest,
            },
        )
        return Product(
            files=(
                ProductFile(role="waveform", name="audio.flac", media_type="audio/flac", data=mastered.flac),
                ProductFile(role="codes", name=NAME, media_type=MEDIA_TYPE, data=codes),
            ),
            duration_s=mastered.duration_s,
            stages=(drafted.condition, made, decoded, mastering),
            attributes={
                "title": drafted.recipe["prompt"],
                "sample_rate_hz": rate,
                "loudness_lufs": mastered.loudness_lufs,
            },
        )

    def _submit(self, key: str) -> bool:
        """Queue a piece's next window; return whether there was one."""
        item = self._items[key]
        following = next(item.windows, None)
        if following is None:
            return False
        number, window = following
        item.window = window
        given_TK = item.codes_TK[window.start : window.start + window.given]
        self._engine.submit(
            Request(
                key=key,
                conditioning=item.told.conditioning,
                unconditional=item.told.unconditional if self._guided else None,
                guidance_scale=float(self._sampling["guidance_scale"]),
                given_NK=self._model.pattern.spread(to_decode(given_TK, window.length)),
                seed=int(item.recipe["seed"]),
                stage=f"codes/{number}",
                temperature=float(self._sampling["temperature"]),
                top_k=int(self._sampling["top_k"]),
            )
        )
        return True

    def _absorb(self, completion: Completion) -> None:
        item = self._items[completion.key]
        assert item.window is not None
        item.codes_TK[item.window.start : item.window.end] = self._model.pattern.gather(completion.codes_NK)
        item.wall_s += completion.wall_s
        item.log_likelihood += completion.log_likelihood
