"""Accompaniments: hear the vocals, make semantic, coarse and fine codes of each take, choose a take, mix.

Stages: listen -> condition -> semantic -> coarse -> fine -> decode -> mix. Of the takes the one that goes best with
notes, pulse and key of the voice is kept. Everything up to the codes depends on the recipe and the vocals alone.

Shapes: T samples, A channels, F codec frames, G frames of the vocals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import numpy as np
import rfc8785
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.digests import digest_of_bytes
from models.engine.backends import BackendChoice
from models.generator import NO_INPUTS, NO_WORDS, GenerationError, Json, Outcome, Product, ProductFile, StageRecord
from models.mulan.sentences import load_sentences
from models.musiclm.codes_file import MEDIA_TYPE, NAME, Codes, write_codes
from models.musiclm.running import TakesOnTheirWay, engines_for
from models.musiclm.sampling import sampling_from
from models.musiclm.take import Leg, Take
from models.recording import Recording, RecordingError, read_recording
from models.resampling import at_rate
from models.singsong.conditioner import VocalsAndWords
from models.singsong.estimates import Estimates, estimate
from models.singsong.fitting import Fit, fit
from models.singsong.harmony import decided
from models.singsong.mixing import Mixed, mix
from models.singsong.model import load_model
from models.singsong.pulse import pulse
from models.weights import ModelVersion

VOCALS = "vocals"
_GUIDE_WINDOW_S = 10.0
_LEAST_VOICE = 0.3  # of an instrument's power the separator keeps less, of 98 in 100 voices more


@dataclass(frozen=True, slots=True, kw_only=True)
class Accompany:
    """What a recipe's control `accompany` says, beside the digest of the vocals.

    `separate`: the file is a song, take the voice out of it first. `balance_db`: how much louder than the vocals the
    accompaniment is.
    """

    vocals: str
    separate: bool = False
    balance_db: float = -3.0


@dataclass(slots=True, eq=False)
class _Item:
    """An admitted recipe, what was heard, and its takes."""

    recipe: Mapping[str, Json]
    asked: Accompany
    vocals: Recording
    tokens_GA: Tensor
    guide_GH: Tensor
    notes_G: NDArray[np.int64]
    estimates: Estimates
    warnings: tuple[str, ...]
    records: tuple[StageRecord, ...]
    started_at: datetime
    samples: int
    waiting: int
    takes: list[Take] = field(default_factory=list)


class SingSongGenerator:
    """Makes accompaniments with one version of a SingSong."""

    def __init__(self, version: ModelVersion, *, backend: BackendChoice, device: str, slots: int) -> None:
        """Load the weights, and the MusicLM that it plays through.

        Raises:
            CorruptModelError: they do not fit the configuration or this code.
            UnusableModelError: no MusicLM has the parts that it was made for.
            SentencesError: the sentence encoder's package is missing.
        """
        torch.set_num_threads(backend.threads)
        self.version, self.slots = version, slots
        self._model = load_model(version, device, backend.model_dtype)
        self._device = torch.device(device)
        self._sentences = load_sentences(device)
        self._sampling = sampling_from(version.config["sampling"])
        self._takes, self._sharpness = int(version.config["takes"]), float(version.config["sharpness"])
        self._rate = self._model.base.codec.config.sample_rate_hz
        engines = engines_for(
            self._model.decoder, self._model.rate_hz, self._sampling, slots=slots, takes=self._takes, backend=backend
        )
        self._items: dict[str, _Item] = {}
        self._running = TakesOnTheirWay(engines)
        self.profile = backend.profile(engines["semantic"].backend, device=device, slots=slots)

    def admit(self, key: str, recipe: Mapping[str, Json], inputs: Mapping[str, bytes] = NO_INPUTS) -> None:
        """Read and hear the vocals, and queue all takes.

        Raises:
            GenerationError: the vocals cannot be used, or the recipe asks for what this model does not make.
        """
        started_at, began = datetime.now(UTC), time.perf_counter()
        try:
            if unknown := sorted(set(recipe["controls"]) - {"accompany"}):
                raise GenerationError(f"{self.version.name} has no control {unknown[0]!r}; say it in the prompt")
            asked = Accompany(**recipe["controls"]["accompany"])
            samples = round(float(recipe["duration_s"]) * self._rate)
            seed, vocals = int(recipe["seed"]), read_recording(inputs[VOCALS], "a voice")
        except RecordingError as error:
            raise GenerationError(f"the vocals: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise GenerationError(f"the recipe makes no accompaniment: {type(error).__name__}: {error}") from error
        if vocals.digest != asked.vocals:
            raise GenerationError(f"the recipe names the vocals {asked.vocals}, given were {vocals.digest}")
        item = self._heard(recipe, asked, vocals, seed, samples, started_at, began)
        self._items[key] = item
        frames = math.ceil(samples / self._model.base.codec.config.hop_length)
        told = VocalsAndWords(item.tokens_GA, item.guide_GH, self._prefix(recipe["prompt"]), self._model)
        for number in range(self._takes):
            take = Take(key, number, seed, told, self._sampling, Leg(0, frames))
            item.takes.append(take)
            self._running.submit(take)

    def advance(self) -> Sequence[Outcome]:
        """Run some steps of every stage; return the pieces of which all takes are made."""
        return self._running.advance(self._finished)

    def finish(self, drafted: _Item) -> Product:
        """Decode all takes, keep the one that goes best with the voice, and mix it.

        Raises:
            GenerationError: nothing of it can be heard.
        """
        item, began, started_at = drafted, time.perf_counter(), datetime.now(UTC)
        rate_hz = self._model.hearing.frame_rate_hz
        waveforms = [self._decode(take.codes_FK)[: item.samples] for take in item.takes]
        pulse_G, key = item.guide_GH[:, -1].cpu().numpy(), item.estimates.key
        found = [fit(waveform, self._rate, item.notes_G, pulse_G, key, rate_hz) for waveform in waveforms]
        best = max(range(len(waveforms)), key=lambda n: found[n].total)
        take, played_T = item.takes[best], waveforms[best]
        codes = write_codes(Codes(take.made["semantic"][:, 0], take.codes_FK))
        decoded = StageRecord(
            name="decode",
            input_digest=digest_of_bytes(codes),
            output_digest=digest_of_bytes(played_T.astype("<f4").tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={"fit_of_takes": [asdict(each) for each in found], "take": best},
        )
        began, started_at = time.perf_counter(), datetime.now(UTC)
        try:
            mixed = mix(self._sung(item), item.vocals.sample_rate_hz, played_T, self._rate, item.asked.balance_db)
        except ValueError as error:
            raise GenerationError(f"cannot be mixed: {error}") from error
        mixing = StageRecord(
            name="mix",
            input_digest=decoded.output_digest,
            output_digest=digest_of_bytes(mixed.mix),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={"balance_db": item.asked.balance_db, "vocals_gain_db": mixed.vocals_gain_db,
                    "accompaniment_gain_db": mixed.accompaniment_gain_db, "loudness_lufs": mixed.loudness_lufs,
                    "peak_dbfs": mixed.peak_dbfs},
        )  # fmt: skip
        heard = digest_of_bytes(rfc8785.dumps([item.records[-1].output_digest, dict(item.recipe)]))
        stages = (*item.records, *take.records(heard, item.started_at, self.version.digest), decoded, mixing)
        return self._product(item, take, mixed, codes, stages, found[best])

    def _product(
        self,
        item: _Item,
        take: Take,
        mixed: Mixed,
        codes: bytes,
        stages: tuple[StageRecord, ...],
        found: Fit,
    ) -> Product:
        stems = (("waveform", "mix.flac", mixed.mix), ("accompaniment", "accompaniment.flac", mixed.accompaniment),
                 ("vocals", "vocals.flac", mixed.vocals))  # fmt: skip
        flacs = [ProductFile(role=role, name=name, media_type="audio/flac", data=data) for role, name, data in stems]
        words = item.recipe["prompt"]
        return Product(
            files=(*flacs, ProductFile(role="codes", name=NAME, media_type=MEDIA_TYPE, data=codes)),
            duration_s=item.samples / self._rate,
            stages=stages,
            attributes={
                "title": words,
                **asdict(found),
                "takes": len(item.takes),
                "take": take.number,
                "sample_rate_hz": mixed.sample_rate_hz,
                "loudness_lufs": mixed.loudness_lufs,
                "vocals_tempo_bpm": item.estimates.tempo_bpm,
                "vocals_key": item.estimates.told_key,
                "warnings": list(item.warnings),
            },
        )

    def _heard(
        self,
        recipe: Mapping[str, Json],
        asked: Accompany,
        vocals: Recording,
        seed: int,
        samples: int,
        started_at: datetime,
        began: float,
    ) -> _Item:
        """Return an item with what is heard in its vocals."""
        mono_T = self._at_own_rate(vocals)
        voice_T = self._voice_in(mono_T)
        share = float(np.sum(voice_T**2)) / max(float(np.sum(mono_T**2)), 1e-9)
        warnings = list(vocals.warnings)
        if share < _LEAST_VOICE and not asked.separate:
            warnings.append(
                f"sounds like an instrument or a whole song rather than a voice alone ({share:.2f} voice)"
            )
        heard_T = voice_T if asked.separate else mono_T
        tokens_GA = self._model.hearing.tokens(heard_T, seed)
        notes_G = self._model.hearing.notes(heard_T)
        notes_G = notes_G.repeat(round(len(tokens_GA) / len(notes_G)))[: len(tokens_GA)]
        guess_GH = self._guess(tokens_GA)
        guessed_GH = guess_GH.cpu().numpy()
        beating = pulse(heard_T, self._rate, notes_G, guessed_GH[:, -1], self._model.hearing.frame_rate_hz)
        pulse_G = torch.from_numpy(beating.strength_G).to(guess_GH)
        estimates = estimate(beating, notes_G, guessed_GH)
        if not estimates.notes_heard:
            warnings.append("no note is heard in it: the accompaniment has nothing to follow")
        hearing = self._model.config.hearing
        record = StageRecord(
            name="listen",
            input_digest=vocals.digest,
            output_digest=digest_of_bytes(tokens_GA.numpy().astype("<i2").tobytes()),
            started_at=started_at,
            wall_s=time.perf_counter() - began,
            detail={
                "role": VOCALS,
                "kept_as": vocals.kept_as,
                "sample_rate_hz": vocals.sample_rate_hz,
                "channels": vocals.samples_TA.shape[1],
                "duration_s": round(vocals.duration_s, 6),
                "separator": self.version.digest if asked.separate else None,
                "noise_db": hearing.noise_db,
                "tokens": hearing.tokens,
                "voice_share": round(share, 4),
                "estimates": estimates.as_dict(),
                "warnings": warnings,
            },
        )
        return _Item(
            recipe,
            asked,
            vocals,
            tokens_GA,
            decided(guess_GH, self._sharpness, pulse_G),
            notes_G,
            estimates,
            tuple(warnings),
            (record,),
            started_at,
            samples,
            self._takes,
        )

    def _at_own_rate(self, vocals: Recording) -> NDArray[np.float32]:
        return at_rate(vocals.mono_T, vocals.sample_rate_hz, self._rate)

    @torch.inference_mode()
    def _voice_in(self, mono_T: NDArray[np.float32]) -> NDArray[np.float32]:
        voice_1T = self._model.separator.voice(torch.from_numpy(mono_T)[None].to(self._device))
        return np.asarray(voice_1T[0].cpu().numpy(), dtype=np.float32)

    def _sung(self, item: _Item) -> NDArray[np.float32]:
        """Return what stands beside the accompaniment: the vocals as they came, or the voice taken out of a song."""
        if not item.asked.separate:
            return item.vocals.samples_TA
        voice_T = self._voice_in(self._at_own_rate(item.vocals))
        return at_rate(voice_T, self._rate, item.vocals.sample_rate_hz)[:, None]

    @torch.inference_mode()
    def _guess(self, tokens_GA: Tensor) -> Tensor:
        """Return guide_GH, guessed in windows as long as those it was trained on."""
        window = round(_GUIDE_WINDOW_S * self._model.hearing.frame_rate_hz)
        parts = torch.split(tokens_GA.to(self._device), window)
        return torch.cat([self._model.harmony(part[None])[0] for part in parts])

    def _prefix(self, words: str) -> Tensor | None:
        if words == NO_WORDS:
            return None
        mulan = self._model.base.mulan
        return mulan.tokens(mulan.embed_text(self._sentences(words)))

    def _finished(self, key: str) -> Outcome | None:
        item = self._items[key]
        item.waiting -= 1
        return None if item.waiting else Outcome(key, self._items.pop(key))

    def _decode(self, codes_FK: NDArray[np.int64]) -> NDArray[np.float32]:
        decoded_T = self._model.base.codec.decode_whole(torch.from_numpy(codes_FK).to(self._device))
        return np.asarray(decoded_T.numpy(), dtype=np.float32)
