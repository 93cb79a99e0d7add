"""How singsong-small is trained: every part's configuration and schedule, for two processor cores."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from models.musiclm.model import MusicLMConfig
from models.singsong.encoder import EncoderConfig
from models.singsong.harmony import HarmonyTrainingConfig
from models.singsong.hearing import NOTES, HearingConfig, NoteHeadConfig
from models.singsong.notes import NoteTrainingConfig
from models.singsong.separator import SeparatorConfig
from models.singsong.separator_training import SeparatorTrainingConfig
from models.singsong.stage import SungStageConfig, SungStageName
from models.singsong.start import decoder_size
from models.singsong.training import SungTrainingConfig
from models.training.run import Schedule

SHIPPED: Final = "noise"
VARIANTS: Final = {  # what the ablation compares, each with the remedies of the one before
    "acoustic": HearingConfig(tokens="acoustic"),
    "semantic": HearingConfig(),
    "noise": HearingConfig(noise_db=-20.0),
}


def separator(manifest: str) -> tuple[SeparatorTrainingConfig, Schedule]:
    """Return the recipe of the separator."""
    schedule = Schedule(steps=1200, learning_rate=2e-3, warmup=50, last=0.03, evaluate_every=200)
    return SeparatorTrainingConfig(separator=SeparatorConfig(), manifest=manifest), schedule


def notes(manifest: str, features: int) -> tuple[NoteTrainingConfig, Schedule]:
    """Return the recipe of the head that hears notes."""
    schedule = Schedule(steps=1300, learning_rate=3e-3, warmup=30, last=0.02, evaluate_every=260)
    return NoteTrainingConfig(head=NoteHeadConfig(features=features), manifest=manifest), schedule


def harmony(manifest: str, tokens: tuple[int, int, float]) -> tuple[HarmonyTrainingConfig, Schedule]:
    """Return the recipe of the harmony model: from notes, or from acoustic tokens where there are no notes."""
    codebooks, entries, frame_rate_hz = tokens
    with_notes = codebooks == 2
    encoder = EncoderConfig(
        codebooks=1 if with_notes else codebooks, entries=NOTES + 1 if with_notes else entries,
        frame_rate_hz=frame_rate_hz, width=64, layers=2,
    )  # fmt: skip
    schedule = Schedule(
        steps=800 if with_notes else 200, learning_rate=3e-3, warmup=30, last=0.02, evaluate_every=200
    )
    return HarmonyTrainingConfig(encoder=encoder, manifest=manifest, transposed=with_notes), schedule


def stage_size(kind: SungStageName, base: MusicLMConfig, tokens: tuple[int, int, float]) -> SungStageConfig:
    """Return a stage's size: the decoder of the MusicLM it begins as, and an encoder of (codebooks, entries, Hz)."""
    codebooks, entries, frame_rate_hz = tokens
    encoder = EncoderConfig(codebooks=codebooks, entries=entries, frame_rate_hz=frame_rate_hz)
    rate = base.semantic_model.frame_rate_hz if kind == "semantic" else base.codec.frame_rate_hz
    decoder = decoder_size(base.semantic if kind == "semantic" else base.coarse)
    return SungStageConfig(encoder=encoder, decoder=decoder, frame_rate_hz=rate)


def stage(
    kind: SungStageName, size: SungStageConfig, hearing: HearingConfig, manifest: str, start: str
) -> tuple[SungTrainingConfig, Schedule]:
    """Return the recipe of a stage that ships."""
    match kind:
        case "semantic":
            seed, batch, seconds = 13, 16, 10.0
            schedule = Schedule(steps=1200, learning_rate=1e-3, warmup=50, last=0.03, evaluate_every=150)
        case "coarse":
            seed, batch, seconds = 14, 8, 8.0
            schedule = Schedule(steps=3600, learning_rate=1e-3, warmup=100, last=0.03, evaluate_every=200)
    config = SungTrainingConfig(
        stage=size, kind=kind, hearing=hearing, manifest=manifest, start=start, seed=seed, batch=batch,
        seconds=seconds,
    )  # fmt: skip
    return config, schedule


def ablated(
    kind: SungStageName, size: SungStageConfig, hearing: HearingConfig, manifest: str, start: str
) -> tuple[SungTrainingConfig, Schedule]:
    """Return the recipe of a stage for the ablation: the same, in fewer steps, for every variant."""
    config, schedule = stage(kind, size, hearing, manifest, start)
    steps = 100 if kind == "semantic" else 200
    return config, replace(schedule, steps=steps, evaluate_every=steps // 2)
