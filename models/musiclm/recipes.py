"""How musiclm-small is trained: every part's configuration and schedule, for two processor cores."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from models.melody.training import MelodyTrainingConfig
from models.mulan import model as mulan
from models.mulan.training import MulanTrainingConfig
from models.musiclm import stage as stages
from models.musiclm.model import StageName
from models.musiclm.training import StageTrainingConfig
from models.soundstream import codec as soundstream
from models.soundstream.training import CodecTrainingConfig
from models.training.run import Schedule
from models.w2v_bert import model as w2v_bert
from models.w2v_bert.training import SemanticTrainingConfig


def codec(manifest: str) -> tuple[CodecTrainingConfig, Schedule]:
    """Return the recipe of the codec."""
    schedule = Schedule(steps=11_000, learning_rate=1e-3, warmup=300, last=0.03, evaluate_every=500)
    config = CodecTrainingConfig(
        codec=soundstream.small(), manifest=manifest, batch=12, late_spectrum_weight=4.0, late_from=3200
    )
    return config, schedule


def decoder(manifest: str) -> tuple[CodecTrainingConfig, Schedule]:
    """Return the recipe of the codec's decoder alone: what is coded stays as it is, and is decoded better."""
    schedule = Schedule(steps=9000, learning_rate=8e-4, warmup=200, last=0.02, evaluate_every=500)
    config = CodecTrainingConfig(
        codec=soundstream.small(), manifest=manifest, seed=6, batch=12, late_spectrum_weight=4.0, late_from=0,
        codes_fixed_from=0, averaging=0.998,
    )  # fmt: skip
    return config, schedule


def texture(manifest: str, start: str = "") -> tuple[CodecTrainingConfig, Schedule]:
    """Return the recipe of the decoder's last part: discriminators join, for noise that no distance can teach.

    `start` is the digest of the version that the codec is taken from, if it is not trained here.
    """
    schedule = Schedule(steps=3000, learning_rate=3e-4, warmup=100, last=0.05, evaluate_every=250)
    config, _ = decoder(manifest)
    config = replace(
        config, seed=7, batch=8, late_spectrum_weight=2.0, adversary_from=0, asked=1, hinge_weight=0.5,
        feature_weight=1.0, averaging=0.999, start=start,
    )  # fmt: skip
    return config, schedule


def semantic(manifest: str) -> tuple[SemanticTrainingConfig, Schedule]:
    """Return the recipe of w2v-BERT."""
    schedule = Schedule(steps=1800, learning_rate=1.2e-3, warmup=150, last=0.03, evaluate_every=300)
    return SemanticTrainingConfig(model=w2v_bert.small(), manifest=manifest), schedule


def joint(manifest: str) -> tuple[MulanTrainingConfig, Schedule]:
    """Return the recipe of MuLan."""
    schedule = Schedule(steps=1600, learning_rate=1.5e-3, warmup=100, last=0.03, evaluate_every=400)
    return MulanTrainingConfig(model=mulan.small(), manifest=manifest), schedule


def melody(manifest: str) -> tuple[MelodyTrainingConfig, Schedule]:
    """Return the recipe of the net that hears melodies."""
    schedule = Schedule(steps=1000, learning_rate=2e-3, warmup=50, last=0.02, evaluate_every=250)
    return MelodyTrainingConfig(manifest=manifest), schedule


def stage(kind: StageName, manifest: str) -> tuple[StageTrainingConfig, Schedule]:
    """Return the recipe of a stage, as yet without melodies."""
    sizes = stages.small()
    match kind:
        case "semantic":
            untold = stages.without_melody(sizes.semantic)
            config = StageTrainingConfig(stage=untold, kind=kind, manifest=manifest, seed=3, batch=16, frames=250)
            schedule = Schedule(steps=1800, learning_rate=1.5e-3, warmup=100, last=0.03, evaluate_every=200)
        case "coarse":
            config = StageTrainingConfig(
                stage=stages.without_melody(sizes.coarse), kind=kind, manifest=manifest, seed=4, batch=8, frames=400
            )
            schedule = Schedule(steps=4500, learning_rate=1.5e-3, warmup=100, last=0.03, evaluate_every=200)
        case "fine":
            config = StageTrainingConfig(stage=sizes.fine, kind=kind, manifest=manifest, seed=5, batch=16, frames=150)
            schedule = Schedule(steps=1600, learning_rate=2e-3, warmup=100, last=0.03, evaluate_every=200)
    return config, schedule


def with_melody(kind: Literal["semantic", "coarse"], manifest: str) -> tuple[StageTrainingConfig, Schedule]:
    """Return the recipe of a stage's second part: it goes on, and learns what melodies are."""
    config, schedule = stage(kind, manifest)
    config = replace(config, stage=getattr(stages.small(), kind), seed=config.seed + 10, melody_told=0.5)
    steps = {"semantic": 700, "coarse": 1000}[kind]
    return config, replace(schedule, steps=steps, learning_rate=6e-4, warmup=50)


def following(
    kind: Literal["semantic", "coarse"], manifest: str, start: str = ""
) -> tuple[StageTrainingConfig, Schedule]:
    """Return the recipe of a stage's third part: half of the items forget codes of their own, so it learns to follow.

    `start` is the digest of the version that the stage is taken from, if it is not trained here: only its trunk and
    what it is told frame by frame learn then, and the tables that stay are lent.
    """
    config, schedule = with_melody(kind, manifest)
    fixed = ("codes", "heads_KVD", "prefix", "start_1D", "untold_PD") if start else ()
    config = replace(
        config, seed=config.seed + 10, forgetful=0.5, draws_back=1.0, untold=0.2, tokens_untold=True,
        start=start, fixed=fixed,
    )  # fmt: skip
    steps = {"semantic": 900, "coarse": 2600}[kind]
    return config, replace(schedule, steps=steps, learning_rate=8e-4, warmup=50)


def octaves(
    kind: Literal["semantic", "coarse"], manifest: str, start: str = ""
) -> tuple[StageTrainingConfig, Schedule]:
    """Return the recipe of a stage's last part: it learns in which octave a melody is, and nothing else.

    Until then melodies were moved by octaves, so the stage knows their pitch classes and chooses the octave anew from
    note to note. All that learns is the table of what melodies say: pieces without one stay as they are.
    """
    config, schedule = following(kind, manifest, start)
    fixed = ("trunk", "codes", "heads_KVD", "start_1D", "prefix", "untold_PD", "added")
    config = replace(
        config, stage=stages.with_melody_table(config.stage), seed=config.seed + 10, melody_told=1.0,
        octaves=(0.0, 1.0, 0.0), draws_back=0.0, weight_decay=0.0, averaging=0.99, fixed=fixed,
    )  # fmt: skip
    return config, replace(schedule, steps=900, learning_rate=2e-2, warmup=20)
