"""All parts of a MusicLM: the tokenisers and the three stages, as one set of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.mel import MelConfig
from models.melody.model import MelodyNet, MelodyNetConfig
from models.mulan.model import Mulan, MulanConfig
from models.musiclm.lending import whole_tensors
from models.musiclm.stage import Stage, StageConfig
from models.packing import pack, unpack
from models.soundstream.codec import SoundStream, SoundStreamConfig
from models.transformer import TrunkConfig
from models.w2v_bert.model import W2vBert, W2vBertConfig
from models.weights import CorruptModelError, ModelVersion

StageName = Literal["semantic", "coarse", "fine"]
STAGES: tuple[StageName, ...] = ("semantic", "coarse", "fine")
_WHOLE = ("quantiser.codebooks_KVD", "centres_CD")
_WHOLE_PARTS = ("mulan", "melody")  # they are small


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicLMConfig:
    """Sizes of all parts."""

    codec: SoundStreamConfig
    mulan: MulanConfig
    semantic_model: W2vBertConfig
    melody: MelodyNetConfig
    semantic: StageConfig
    coarse: StageConfig
    fine: StageConfig

    def as_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON values."""
        return asdict(self)


def config_from(values: Mapping[str, Any]) -> MusicLMConfig:
    """Return the sizes that `as_dict` gave.

    Raises:
        KeyError, TypeError: a part is missing or has a setting that this code does not know.
    """

    def stage(part: Mapping[str, Any]) -> StageConfig:
        return StageConfig(**{**part, "trunk": TrunkConfig(**part["trunk"])})

    codec, mulan, semantic_model = (dict(values[name]) for name in ("codec", "mulan", "semantic_model"))
    return MusicLMConfig(
        codec=SoundStreamConfig(**codec | {"strides": tuple(codec["strides"])}),
        mulan=MulanConfig(
            **mulan
            | {
                "mel": MelConfig(**mulan["mel"]),
                "channels": tuple(mulan["channels"]),
                "blocks": tuple(mulan["blocks"]),
            }
        ),
        semantic_model=W2vBertConfig(**semantic_model | {"mel": MelConfig(**semantic_model["mel"])}),
        melody=MelodyNetConfig(**values["melody"]),
        semantic=stage(values["semantic"]),
        coarse=stage(values["coarse"]),
        fine=stage(values["fine"]),
    )


class MusicLM(nn.Module):
    """The parts under their names."""

    def __init__(self, config: MusicLMConfig) -> None:
        super().__init__()
        self.config = config
        self.codec, self.mulan = SoundStream(config.codec), Mulan(config.mulan)
        self.semantic_model, self.melody = W2vBert(config.semantic_model), MelodyNet(config.melody)
        self.semantic, self.coarse, self.fine = Stage(config.semantic), Stage(config.coarse), Stage(config.fine)

    def stage(self, name: StageName) -> Stage:
        """Return a stage by its name."""
        return {"semantic": self.semantic, "coarse": self.coarse, "fine": self.fine}[name]

    def rate_hz(self, name: StageName) -> float:
        """Return how many frames a stage has in a second."""
        config = self.config
        return config.semantic_model.frame_rate_hz if name == "semantic" else config.codec.frame_rate_hz

    def packed(self) -> dict[str, Tensor]:
        """Return the weights as a version keeps them."""
        tensors: dict[str, Tensor] = {}
        for name, part in self.named_children():
            state = part.state_dict()
            kept = pack(state, whole=state if name in _WHOLE_PARTS else _WHOLE)
            tensors |= {f"{name}.{key}": value for key, value in kept.items()}
        return tensors


def load_model(version: ModelVersion, device: str, dtype: torch.dtype) -> MusicLM:
    """Load a version: the stages in `dtype`, the tokenisers in float32.

    Raises:
        CorruptModelError: configuration and weights do not fit each other or this code.
        UnusableModelError: no MusicLM beside it has the parts that it lacks.
    """
    try:
        model = MusicLM(config_from(version.config["parts"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptModelError(f"{version.path / 'config.json'}: {type(error).__name__}: {error}") from error
    try:
        model.load_state_dict(unpack(whole_tensors(version)), strict=True)
    except RuntimeError as error:
        raise CorruptModelError(f"{version.path} has weights that do not fit its config.json: {error}") from error
    model.to(device)
    for stage in (model.semantic, model.coarse, model.fine):
        stage.to(dtype)
    return model.eval().requires_grad_(requires_grad=False)
