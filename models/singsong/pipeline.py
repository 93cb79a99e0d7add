"""The steps from free scores to singsong-small, each resumable, in the order they depend on each other.

    pairs -> separator -> voices -> notes -> vocals (tokens) -> semantic-stage, coarse-stage -> release
          -> accompaniment (tokens)                          -> ablation: every variant's stages, in fewer steps

The frozen parts come from a MusicLM, and the decoders begin as its stages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.mulan.sentences import load_sentences
from models.musiclm.model import MusicLM
from models.singsong import recipes
from models.singsong.base import Base, freeze, read_base
from models.singsong.harmony import Harmony, HarmonyTrainee
from models.singsong.hearing import Hearing, HearingConfig, NoteHead, shape_of_tokens
from models.singsong.model import SingSong, SingSongConfig
from models.singsong.notes import NoteTrainee
from models.singsong.pairs import PairsConfig, PairSet, render_pairs
from models.singsong.release import release, settings_of
from models.singsong.separator import Separator, SeparatorConfig
from models.singsong.separator_training import SeparatorTrainee
from models.singsong.stage import SUNG_STAGES, SungStage, SungStageConfig, SungStageName
from models.singsong.start import start_of
from models.singsong.tokens import (
    accompaniment_tokens,
    guessed_guides,
    separate,
    true_guides,
    true_notes,
    vocal_tokens,
)
from models.singsong.training import SungTokens, SungTrainee, SungTrainingConfig
from models.training.parts import TrainedParts
from models.training.run import Report
from models.weights import CARD, ModelVersion, card_text, read_version, write_version

STEPS = (
    "pairs", "separator", "voices", "notes", "accompaniment", "vocals", "harmony", "semantic-stage", "coarse-stage",
    "release", "ablation",
)  # fmt: skip


class Pipeline:
    """Trains the parts in a folder."""

    def __init__(
        self, data: Path, out: Path, base: ModelVersion, *, workers: int, device: str, report: Report
    ) -> None:
        """Take the folder with free material, the one to work in, the MusicLM to begin from, and who is told."""
        self._data, self._out, self._base_version = data, out, base
        self._workers, self._device, self._parts = workers, device, TrainedParts(out, report)

    def step(self, name: str) -> None:
        """Make one step, or go on with it; one that is done already is not made again.

        Raises:
            PipelineError: what it depends on is not there.
            PairsError: there are no rendered pairs.
            RunError: its folder holds a run of another configuration.
            CorpusError, SynthError: material or what plays it is missing.
        """
        steps: dict[str, Callable[[], object]] = {
            "pairs": self._render,
            "separator": self._train_separator,
            "voices": lambda: self.voices_NT,
            "notes": self._train_notes,
            "accompaniment": lambda: self._accompaniment,
            "vocals": lambda: self._vocals(recipes.SHIPPED),
            "harmony": lambda: self._train_harmony(recipes.SHIPPED),
            "semantic-stage": lambda: self._train_stage("semantic"),
            "coarse-stage": lambda: self._train_stage("coarse"),
            "release": self._release,
            "ablation": self._ablate,
        }
        steps[name]()

    @cached_property
    def pairs(self) -> PairSet:
        """The rendered pairs."""
        return PairSet(self._out / "pairs")

    @cached_property
    def _loaded(self) -> tuple[MusicLM, Base]:
        return read_base(self._base_version)

    @property
    def base(self) -> Base:
        """The frozen parts."""
        return self._loaded[1]

    @cached_property
    def separator(self) -> Separator:
        """The trained separator."""
        return self._parts.take("separator", Separator(SeparatorConfig()))

    @cached_property
    def notes(self) -> NoteHead:
        """The trained head that hears notes."""
        return self._parts.take("notes", NoteHead(recipes.notes("", self._features)[0].head))

    @cached_property
    def voices_NT(self) -> NDArray[np.int16]:
        """The voice of every pair as the separator takes it out of the mix."""
        return separate(self.pairs, self.separator, self._out / "voices.npy", self._parts.told("voices"))

    def hearing(self, config: HearingConfig) -> Hearing:
        """Return how vocals are heard."""
        notes = self.notes if config.tokens == "semantic" else None
        return Hearing(config, self.base.semantic_model, self.base.codec, notes)

    def tokens(self, variant: str) -> SungTokens:
        """Return the tokens of all pairs, the vocals as a variant hears them."""
        hearing = self.hearing(recipes.VARIANTS[variant])
        vocals, harmony = self._vocals(variant), self.harmony(variant)
        per_frame = round(hearing.frame_rate_hz / self.base.semantic_model.config.frame_rate_hz)
        return SungTokens(
            **self._accompaniment,
            vocals_NGA=vocals,
            true_NGH=self._guides_NGH.repeat_interleave(per_frame, dim=1),
            guessed_NGH=guessed_guides(harmony, vocals, self._out / f"guessed-{variant}.pt"),
        )

    def harmony(self, variant: str) -> Harmony:
        """Return the trained harmony model of a variant."""
        config = recipes.harmony("", self._shape(recipes.VARIANTS[variant]))[0]
        return self._parts.take(f"harmony-{variant}", Harmony(config.encoder))

    @cached_property
    def _guides_NGH(self) -> torch.Tensor:
        rate = self.base.semantic_model.config.frame_rate_hz
        return true_guides(self.pairs, rate, self._out / "guides.pt", self._parts.told("guides"))

    def _vocals(self, variant: str) -> torch.Tensor:
        hearing = self.hearing(recipes.VARIANTS[variant])
        return vocal_tokens(self.voices_NT, hearing, self._out / f"vocals-{variant}.pt", self._parts.told("vocals"))

    def _shape(self, hearing: HearingConfig) -> tuple[int, int, float]:
        shape = shape_of_tokens(hearing, self.base.semantic_model, self.base.codec)
        return (*shape, self.hearing(hearing).frame_rate_hz)

    def _train_harmony(self, variant: str) -> None:
        hearing = recipes.VARIANTS[variant]
        config, schedule = recipes.harmony(self.pairs.manifest_digest, self._shape(hearing))
        vocals, guides = [self._vocals(variant)], self._guides_NGH
        if hearing.tokens == "semantic":
            vocals.append(true_notes(self.pairs, guides.shape[1], self.hearing(hearing).frame_rate_hz))
        per_frame = vocals[0].shape[1] // guides.shape[1]
        trainee = HarmonyTrainee(
            config, vocals, guides.repeat_interleave(per_frame, dim=1), self.pairs.numbers("train"),
            self.pairs.numbers("validation"),
        )  # fmt: skip
        self._parts.train(f"harmony-{variant}", trainee, schedule, config, lambda: trainee.average.module)

    @property
    def released(self) -> ModelVersion | None:
        """The version that the step 'release' wrote, if it was made."""
        folder = self._out / "version"
        return read_version(folder) if (folder / CARD).is_file() else None

    def ablated_versions(self) -> list[ModelVersion]:
        """Return a version of every variant of the ablation, in its order, one take each.

        Raises:
            PipelineError: they were not trained.
        """
        found = []
        for variant in recipes.VARIANTS:
            stages: dict[SungStageName, str] = {kind: f"ablation/{variant}-{kind}" for kind in SUNG_STAGES}
            model = self._assembled(variant, stages)
            settings = settings_of(model, self._base_version.name, takes=1) | {"name": variant}
            folder = self._out / "ablation" / f"{variant}-version"
            found.append(write_version(folder, model.packed(), settings, card_text({"name": variant}, "")))
        return found

    @cached_property
    def _accompaniment(self) -> dict[str, torch.Tensor]:
        path = self._out / "accompaniment.pt"
        return accompaniment_tokens(self.pairs, self.base, load_sentences(), path, self._parts.told("accompaniment"))

    @property
    def _features(self) -> int:
        config = self.base.semantic_model.config
        return config.stacking * config.mel.bands

    def _size(self, kind: SungStageName, hearing: HearingConfig) -> SungStageConfig:
        return recipes.stage_size(kind, self._loaded[0].config, self._shape(hearing))

    def _render(self) -> None:
        if not (self._out / "pairs" / "pairs.jsonl").is_file():
            render_pairs(PairsConfig(), self._data, self._out / "pairs", self._workers, self._parts.told_of)

    def _train_separator(self) -> None:
        config, schedule = recipes.separator(self.pairs.manifest_digest)
        trainee = SeparatorTrainee(config, self.pairs, self._device)
        self._parts.train("separator", trainee, schedule, config, lambda: trainee.average.module)

    def _train_notes(self) -> None:
        config, schedule = recipes.notes(self.pairs.manifest_digest, self._features)
        trainee = NoteTrainee(config, self.pairs, self.voices_NT, self.base.semantic_model)
        self._parts.train("notes", trainee, schedule, config, lambda: trainee.head)

    def _train_stage(self, kind: SungStageName) -> None:
        hearing = recipes.VARIANTS[recipes.SHIPPED]
        config, schedule = recipes.stage(
            kind, self._size(kind, hearing), hearing, self.pairs.manifest_digest, self._base_version.digest
        )
        trainee = self._trainee(config, recipes.SHIPPED)
        self._parts.train(f"{kind}-stage", trainee, schedule, config, lambda: trainee.average.module)

    def _ablate(self) -> None:
        for variant, hearing in recipes.VARIANTS.items():
            self._train_harmony(variant)
            for kind in SUNG_STAGES:
                config, schedule = recipes.ablated(
                    kind, self._size(kind, hearing), hearing, self.pairs.manifest_digest, self._base_version.digest
                )
                trainee = self._trainee(config, variant)
                name = f"ablation/{variant}-{kind}"
                self._parts.train(name, trainee, schedule, config, lambda trainee=trainee: trainee.average.module)  # type: ignore[misc]

    def _trainee(self, config: SungTrainingConfig, variant: str) -> SungTrainee:
        return SungTrainee(
            config, self.tokens(variant), self.pairs.numbers("train"), self.pairs.numbers("validation"),
            start_of(self._loaded[0].stage(config.kind)), self._device,
        )  # fmt: skip

    def _assembled(self, variant: str, folders: dict[SungStageName, str]) -> SingSong:
        hearing, harmony = recipes.VARIANTS[variant], self.harmony(variant)
        sizes = {kind: self._size(kind, hearing) for kind in SUNG_STAGES}
        model = SingSong(
            SingSongConfig(
                hearing=hearing,
                separator=SeparatorConfig(),
                notes=self.notes.config,
                harmony=harmony.config,
                semantic=sizes["semantic"],
                coarse=sizes["coarse"],
                base=self.base.digests,
            ),
            self.base,
        )
        model.separator.load_state_dict(self.separator.state_dict())
        model.notes.load_state_dict(self.notes.state_dict())
        model.harmony.load_state_dict(harmony.state_dict())
        for kind, folder in folders.items():
            stage = self._parts.take(folder, SungStage(sizes[kind]))
            model.stage(kind).load_state_dict(stage.state_dict())
        freeze(model)
        return model

    def _release(self) -> None:
        if self.released is None:
            stages = {kind: f"{kind}-stage" for kind in SUNG_STAGES}
            model = self._assembled(recipes.SHIPPED, stages)
            release(model, self._base_version, self._out, self._out / "version")
