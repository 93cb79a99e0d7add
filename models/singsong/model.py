"""All parts of a SingSong: its own, which are stored, and those of the MusicLM that it plays through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.musiclm.stage import Stage, StageConfig
from models.packing import pack, unpack
from models.singsong.base import Base, find_base, freeze
from models.singsong.encoder import EncoderConfig
from models.singsong.harmony import Harmony
from models.singsong.hearing import Hearing, HearingConfig, NoteHead, NoteHeadConfig
from models.singsong.separator import Separator, SeparatorConfig
from models.singsong.stage import SungStage, SungStageConfig, SungStageName
from models.transformer import TrunkConfig
from models.weights import CorruptModelError, ModelVersion, load_tensors

_SMALL = ("separator", "notes", "harmony")  # kept in half precision: they are small


@dataclass(frozen=True, slots=True, kw_only=True)
class SingSongConfig:
    """Sizes of its own parts, how it hears, and the digests of the parts that a MusicLM lends."""

    hearing: HearingConfig
    separator: SeparatorConfig
    notes: NoteHeadConfig
    harmony: EncoderConfig
    semantic: SungStageConfig
    coarse: SungStageConfig
    base: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON values."""
        return asdict(self)


def config_from(values: Mapping[str, Any]) -> SingSongConfig:
    """Return the sizes that `as_dict` gave.

    Raises:
        KeyError, TypeError: a part is missing or has a setting that this code does not know.
    """

    def stage(part: Mapping[str, Any]) -> SungStageConfig:
        decoder = part["decoder"]
        return SungStageConfig(
            encoder=EncoderConfig(**part["encoder"]),
            decoder=StageConfig(**{**decoder, "trunk": TrunkConfig(**decoder["trunk"])}),
            frame_rate_hz=part["frame_rate_hz"],
        )

    return SingSongConfig(
        hearing=HearingConfig(**values["hearing"]),
        separator=SeparatorConfig(**values["separator"]),
        notes=NoteHeadConfig(**values["notes"]),
        harmony=EncoderConfig(**values["harmony"]),
        semantic=stage(values["semantic"]),
        coarse=stage(values["coarse"]),
        base=dict(values["base"]),
    )


class SingSong(nn.Module):
    """Its own parts under their names; those of the MusicLM in `base`."""

    def __init__(self, config: SingSongConfig, base: Base) -> None:
        super().__init__()
        self.config, self.separator, self.notes = config, Separator(config.separator), NoteHead(config.notes)
        self.harmony = Harmony(config.harmony)
        self.semantic, self.coarse = SungStage(config.semantic), SungStage(config.coarse)
        self._base = [base]  # in a list, so that its parts are not this module's own

    @property
    def base(self) -> Base:
        """The MusicLM's parts."""
        return self._base[0]

    @property
    def hearing(self) -> Hearing:
        """How vocals become tokens."""
        return Hearing(self.config.hearing, self.base.semantic_model, self.base.codec, self.notes)

    def stage(self, name: SungStageName) -> SungStage:
        """Return a stage by its name."""
        return {"semantic": self.semantic, "coarse": self.coarse}[name]

    def decoder(self, name: str) -> Stage:
        """Return what the engine runs for a stage: semantic, coarse or fine."""
        return self.base.fine if name == "fine" else {"semantic": self.semantic, "coarse": self.coarse}[name].decoder

    def rate_hz(self, name: str) -> float:
        """Return how many frames a stage has in a second."""
        base = self.base
        return base.semantic_model.config.frame_rate_hz if name == "semantic" else base.codec.config.frame_rate_hz

    def packed(self) -> dict[str, Tensor]:
        """Return its own weights as a version keeps them."""
        tensors: dict[str, Tensor] = {}
        for name, part in self.named_children():
            state = part.state_dict()
            kept = pack(state, whole=state if name in _SMALL else ())
            tensors |= {f"{name}.{key}": value for key, value in kept.items()}
        return tensors


def load_model(version: ModelVersion, device: str, dtype: torch.dtype) -> SingSong:
    """Load a version and the MusicLM it plays through: stages in `dtype`, the rest in float32.

    Raises:
        CorruptModelError: configuration and weights do not fit each other or this code.
        UnusableModelError: no MusicLM has the parts that it was made for.
    """
    try:
        config = config_from(version.config["parts"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptModelError(f"{version.path / 'config.json'}: {type(error).__name__}: {error}") from error
    base = find_base(config.base, version)
    try:
        model = SingSong(config, base)
        model.load_state_dict(unpack(load_tensors(version, "cpu")), strict=True)
    except RuntimeError as error:
        raise CorruptModelError(f"{version.path} has weights that do not fit its config.json: {error}") from error
    model.to(device)
    for part in (base.codec, base.mulan, base.semantic_model, base.fine):
        part.to(device)
    for stage in (model.semantic, model.coarse, base.fine):
        stage.to(dtype)
    freeze(model)
    return model
