"""The steps from free material to musiclm-small, each resumable, in the order they depend on each other.

    clips -> codec -> decoder -> texture
                   -> codes -> coarse-stage (with the tokens below) -> coarse-melody
                            -> fine-stage
          -> joint, semantic -> tokens -> semantic-stage -> semantic-melody -> semantic-following
          -> melodies (for both of these) -> melody                coarse-melody -> coarse-following
                                        semantic-following -> semantic-octaves, coarse-following -> coarse-octaves

Folders below the one given: clips/, and one for each trained part. Steps that do not depend on each other can run
side by side, in processes of their own. A pipeline may begin at a version: it then takes only the steps in
_FOLLOWING, and has the version's part wherever it has not trained one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from models.material.clips import ClipSet
from models.material.melodies import read_melodies
from models.material.render import RenderConfig, render
from models.melody.contour import Classes
from models.melody.model import MelodyNet
from models.melody.training import MelodyTrainee
from models.mulan.model import Mulan
from models.mulan.sentences import load_sentences
from models.mulan.training import MulanTrainee, caption_vectors
from models.musiclm import recipes
from models.musiclm.model import MusicLM, MusicLMConfig, load_model
from models.musiclm.release import release, runs
from models.musiclm.stage import Stage, small
from models.musiclm.tokens import SemanticTokens, codec_tokens, semantic_tokens
from models.musiclm.training import StageTrainee, StageTrainingConfig
from models.soundstream.codec import SoundStream
from models.soundstream.training import CodecTrainee, CodecTrainingConfig
from models.training.curves import plot_curves
from models.training.kept import keep
from models.training.parts import Part, PipelineError, TrainedParts
from models.training.run import Report, Schedule
from models.w2v_bert.model import W2vBert
from models.w2v_bert.training import SemanticTrainee
from models.weights import CARD, ModelVersion, read_version

Told = Literal["semantic", "coarse"]
PartOfStage = Literal["stage", "melody", "following", "octaves"]
_TOLD_MELODIES: tuple[Told, ...] = ("semantic", "coarse")
STEPS = (
    "clips",
    "codec",
    "joint",
    "semantic",
    "tokens",
    "semantic-stage",
    "codes",
    "decoder",
    "texture",
    "coarse-stage",
    "fine-stage",
    "melodies",
    "melody",
    "semantic-melody",
    "coarse-melody",
    "semantic-following",
    "coarse-following",
    "semantic-octaves",
    "coarse-octaves",
    "release",
)
_FOLLOWING = (
    "clips", "tokens", "codes", "melodies", "texture", "coarse-following", "semantic-octaves", "coarse-octaves",
    "release",
)  # fmt: skip
_PART_OF_VERSION = {  # where what a pipeline trains is in a version
    "codec": "codec", "decoder": "codec", "texture": "codec", "joint": "mulan", "semantic": "semantic_model",
    "melody": "melody", "fine-stage": "fine",
}  # fmt: skip
_PARTS_OF_STAGE: tuple[PartOfStage, ...] = ("stage", "melody", "following", "octaves")  # one after the other


def steps_from(start: ModelVersion | None) -> tuple[str, ...]:
    """Return the steps of a pipeline that begins at a version, or at nothing, in order."""
    return STEPS if start is None else _FOLLOWING


def _recipe(
    kind: Told, part: PartOfStage, manifest: str = "", start: str = ""
) -> tuple[StageTrainingConfig, Schedule]:
    """Return the recipe of a part of a stage's training."""
    match part:
        case "stage":
            return recipes.stage(kind, manifest)
        case "melody":
            return recipes.with_melody(kind, manifest)
        case "following":
            return recipes.following(kind, manifest, start)
        case "octaves":
            return recipes.octaves(kind, manifest, start)


class Pipeline:
    """Trains the parts in a folder."""

    def __init__(
        self,
        data: Path,
        out: Path,
        *,
        workers: int,
        device: str,
        report: Report,
        start: ModelVersion | None = None,
    ) -> None:
        """Take the folder with free material, the one to work in, who is told how far it is, and where to begin."""
        self._data, self._out, self._workers, self._device = data, out, workers, device
        self._parts, self._start = TrainedParts(out, report), start

    def step(self, name: str) -> None:
        """Make one step, or go on with it; one that is done already is not made again.

        Raises:
            PipelineError: what it depends on is not there.
            RunError: its folder holds a run of another configuration.
            CorpusError, AmbienceError, SynthError: material or what plays it is missing.
        """
        steps: dict[str, Callable[[], object]] = {
            "clips": self._render,
            "codec": self._train_codec,
            "joint": self._train_joint,
            "semantic": self._train_semantic,
            "tokens": lambda: self.tokens,
            "semantic-stage": lambda: self._train_stage(
                "semantic-stage", recipes.stage("semantic", self.clips.manifest_digest)
            ),
            "codes": lambda: self.codes_NFK,
            "decoder": lambda: self._train_decoder(
                "decoder", recipes.decoder(self.clips.manifest_digest), self.codec
            ),
            "texture": self._train_texture,
            "coarse-stage": lambda: self._train_stage(
                "coarse-stage", recipes.stage("coarse", self.clips.manifest_digest)
            ),
            "fine-stage": lambda: self._train_stage("fine-stage", recipes.stage("fine", self.clips.manifest_digest)),
            "melodies": lambda: self.melodies_NQ,
            "melody": self._train_melody_net,
            "semantic-melody": lambda: self._train_on("semantic", "melody"),
            "coarse-melody": lambda: self._train_on("coarse", "melody"),
            "semantic-following": lambda: self._train_on("semantic", "following"),
            "coarse-following": lambda: self._train_on("coarse", "following"),
            "semantic-octaves": lambda: self._train_on("semantic", "octaves"),
            "coarse-octaves": lambda: self._train_on("coarse", "octaves"),
            "release": self._release,
        }
        steps[name]()

    @cached_property
    def clips(self) -> ClipSet:
        """The rendered clips."""
        return ClipSet(self._out / "clips")

    @cached_property
    def captions_NCS(self) -> Tensor:
        """Sentence vectors of all captions."""
        path = self._out / "captions.pt"
        if not path.is_file():
            keep(caption_vectors(self.clips, load_sentences(), self._parts.told("captions")), path)
        vectors: Tensor = torch.load(path, weights_only=True)
        return vectors

    @cached_property
    def tokens(self) -> SemanticTokens:
        """Semantic and MuLan tokens of all clips."""
        return semantic_tokens(
            self.clips,
            self.semantic,
            self.joint,
            self.captions_NCS,
            self._out / "tokens.pt",
            self._parts.told("tokens"),
        )

    @cached_property
    def codes_NFK(self) -> Tensor:
        """Codec codes of all clips."""
        return codec_tokens(self.clips, self.codec, self._out / "codes.pt", self._parts.told("codes"))

    @cached_property
    def melodies_NQ(self) -> Classes:
        """Melodies of all clips, from the notes they were rendered from."""
        return read_melodies(
            RenderConfig(), self._data, self._out / "clips", self._out / "melodies.npy", self._workers,
            self._parts.told("melodies"),
        )  # fmt: skip

    @cached_property
    def codec(self) -> SoundStream:
        """The trained codec."""
        return self._trained("codec", SoundStream(recipes.codec("")[0].codec))

    @cached_property
    def joint(self) -> Mulan:
        """The trained joint model."""
        return self._trained("joint", Mulan(recipes.joint("")[0].model))

    @cached_property
    def semantic(self) -> W2vBert:
        """The trained semantic model."""
        return self._trained("semantic", W2vBert(recipes.semantic("")[0].model))

    @cached_property
    def melody(self) -> MelodyNet:
        """The trained net that hears melodies."""
        return self._trained("melody", MelodyNet(recipes.melody("")[0].model))

    @property
    def released(self) -> ModelVersion | None:
        """The version that the last step wrote, if it was made."""
        folder = self._out / "version"
        return read_version(folder) if (folder / CARD).is_file() else None

    def _release(self) -> None:
        if self.released is None:
            if not runs(self._out):
                raise PipelineError(f"nothing has been trained in {self._out}: train a step before 'release'")
            stages: dict[str, Stage] = {kind: self._stage(kind, "octaves") for kind in _TOLD_MELODIES}
            fine = self._trained("fine-stage", Stage(small().fine))
            config = MusicLMConfig(
                codec=self.codec.config, mulan=self.joint.config, semantic_model=self.semantic.config,
                melody=self.melody.config, semantic=stages["semantic"].config, coarse=stages["coarse"].config,
                fine=fine.config,
            )  # fmt: skip
            model = MusicLM(config)
            parts = {
                "codec": self._trained("texture", SoundStream(self.codec.config)),
                "mulan": self.joint,
                "semantic_model": self.semantic,
                "melody": self.melody,
                **stages,
                "fine": fine,
            }
            for name, part in parts.items():
                getattr(model, name).load_state_dict(part.state_dict())
            plot_curves(runs(self._out), self._out / "curves.png")
            release(model, self._out, self._out / "version", self._start)

    def _render(self) -> None:
        if not (self._out / "clips" / "manifest.json").is_file():
            config = RenderConfig()
            render(config, self._data, self._out / "clips", self._workers, self._parts.told_of)

    def _train_codec(self) -> None:
        config, schedule = recipes.codec(self.clips.manifest_digest)
        trainee = CodecTrainee(config, self.clips, self._device)
        self._parts.train("codec", trainee, schedule, config, lambda: trainee.average.module)

    def _train_texture(self) -> None:
        recipe = recipes.texture(self.clips.manifest_digest, self._started)
        self._train_decoder("texture", recipe, self._trained("decoder", SoundStream(recipe[0].codec)))

    def _train_decoder(self, name: str, recipe: tuple[CodecTrainingConfig, Schedule], start: SoundStream) -> None:
        config, schedule = recipe
        trainee = CodecTrainee(config, self.clips, self._device, start=start)
        self._parts.train(name, trainee, schedule, config, lambda: trainee.average.module)

    def _train_joint(self) -> None:
        config, schedule = recipes.joint(self.clips.manifest_digest)
        trainee = MulanTrainee(config, self.clips, self.captions_NCS, self._device)
        self._parts.train(
            "joint", trainee, schedule, config, lambda: trainee.quantise(self._parts.told("joint tokens"))
        )

    def _train_semantic(self) -> None:
        config, schedule = recipes.semantic(self.clips.manifest_digest)
        trainee = SemanticTrainee(config, self.clips, self._device)
        self._parts.train(
            "semantic", trainee, schedule, config, lambda: trainee.classify(self._parts.told("semantic classes"))
        )

    def _train_melody_net(self) -> None:
        config, schedule = recipes.melody(self.clips.manifest_digest)
        trainee = MelodyTrainee(config, self.clips, self.melodies_NQ, self._device)
        self._parts.train("melody", trainee, schedule, config, lambda: trainee.average.module)

    def _train_on(self, kind: Told, part: PartOfStage) -> None:
        """Train a part of a stage's training, from what the part before it left."""
        before = _PARTS_OF_STAGE[_PARTS_OF_STAGE.index(part) - 1]
        recipe = _recipe(kind, part, self.clips.manifest_digest, self._started)
        self._train_stage(f"{kind}-{part}", recipe, self._stage(kind, before))

    def _stage(self, kind: Told, part: PartOfStage) -> Stage:
        """Return a stage as a part of its training left it, or as the version has it if it was not trained here."""
        until = [f"{kind}-{each}" for each in _PARTS_OF_STAGE[: _PARTS_OF_STAGE.index(part) + 1]]
        if self._begun is not None and not any(self._parts.weights(each).is_file() for each in until):
            return self._begun.stage(kind)
        return self._parts.take(until[-1], Stage(_recipe(kind, part)[0].stage))

    def _train_stage(
        self, name: str, recipe: tuple[StageTrainingConfig, Schedule], start: Stage | None = None
    ) -> None:
        """Train a stage, from nothing or on from what it was."""
        config, schedule = recipe
        trainee = StageTrainee(
            config, self.tokens, None if config.kind == "semantic" else self.codes_NFK,
            self.clips.numbers("train"), self.clips.numbers("validation"), self._device,
            melodies_NQ=self.melodies_NQ if config.stage.melody else None, start=start,
        )  # fmt: skip
        self._parts.train(name, trainee, schedule, config, lambda: trainee.average.module)

    @property
    def _started(self) -> str:
        """The digest of the version that this begins at, if it begins at one."""
        return "" if self._start is None else self._start.digest

    @cached_property
    def _begun(self) -> MusicLM | None:
        """The version that this begins at."""
        return None if self._start is None else load_model(self._start, "cpu", torch.float32)

    def _trained(self, name: str, part: Part) -> Part:
        """Return a part as it was trained here, or as the version has it."""
        if self._begun is None or self._parts.weights(name).is_file():
            return self._parts.take(name, part)
        part.load_state_dict(getattr(self._begun, _PART_OF_VERSION[name]).state_dict())
        return part.eval().requires_grad_(requires_grad=False)
