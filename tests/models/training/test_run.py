"""A run can be killed at any step and goes on with the figures it would have had."""

import dataclasses

import matplotlib.image
import numpy as np
import pytest
import tiny_musiclm
import tiny_singsong
import torch
from breaking import disk_with_room_for
from tiny_musiclm import CODEC, MULAN, W2V_BERT, clips, config

from models.mulan.training import MulanTrainee, MulanTrainingConfig
from models.musiclm.tokens import SemanticTokens
from models.musiclm.training import StageTrainee, StageTrainingConfig
from models.singsong.encoder import EncoderConfig
from models.singsong.harmony import HarmonyTrainee, HarmonyTrainingConfig
from models.singsong.notes import NoteTrainee, NoteTrainingConfig
from models.singsong.separator_training import SeparatorTrainee, SeparatorTrainingConfig
from models.soundstream.training import CodecTrainee, CodecTrainingConfig
from models.training.curves import plot_curves
from models.training.kept import keep
from models.training.run import RunError, Schedule, read_metrics, run
from models.w2v_bert.training import SemanticTrainee, SemanticTrainingConfig

SCHEDULE = Schedule(steps=6, learning_rate=1e-3, warmup=2, evaluate_every=3, checkpoint_every_s=0.0)


class KilledError(Exception):
    pass


def killed_at(step):
    def report(name, done, total, figures):
        if done == step:
            raise KilledError

    return report


def quietly(name, done, total, figures):
    pass


def codec(folder, **changes):
    recipe = CodecTrainingConfig(
        codec=CODEC, manifest="m", batch=2, segment=3200, dtype="float32", adversary_from=4, late_from=3,
        late_spectrum_weight=2.0, **changes,
    )  # fmt: skip
    return CodecTrainee(recipe, clips(folder)), recipe


def semantic(folder):
    recipe = SemanticTrainingConfig(model=W2V_BERT, manifest="m", batch=2, segment=16_000, dtype="float32")
    return SemanticTrainee(recipe, clips(folder)), recipe


def joint(folder):
    recipe = MulanTrainingConfig(model=MULAN, manifest="m", batch=4, segment=16_128, dtype="float32")
    vectors = torch.randn(12, 1, 384, generator=torch.Generator().manual_seed(0))
    return MulanTrainee(recipe, clips(folder), vectors), recipe


def stage(folder, dropout=0.0, **changes):
    size = config().coarse
    size = dataclasses.replace(size, trunk=dataclasses.replace(size.trunk, dropout=dropout))
    draw = torch.Generator().manual_seed(0)

    def tokens(high, *shape):
        return torch.randint(high, shape, generator=draw).short()

    known = SemanticTokens(semantic_NQ=tokens(12, 12, 250), audio_NP=tokens(8, 12, 3), text_NCP=tokens(8, 12, 1, 3))
    recipe = StageTrainingConfig(
        stage=size, kind="coarse", manifest="m", seed=1, batch=2, frames=40, dtype="float32",
        melody_told=0.5, forgetful=0.5, draws_back=1.0, **changes,
    )  # fmt: skip
    melodies = tokens(62, 12, 250).numpy().astype(np.uint8)
    codes = tokens(16, 12, 500, 4)
    return StageTrainee(recipe, known, codes, range(8), range(8, 12), melodies_NQ=melodies), recipe


def stage_with_dropout(folder):
    return stage(folder, dropout=0.1)


def separator(folder):
    recipe = SeparatorTrainingConfig(separator=tiny_singsong.SEPARATOR, manifest="m", batch=2, segment=16_000)
    return SeparatorTrainee(recipe, tiny_singsong.pairs(folder)), recipe


def notes(folder):
    recipe = NoteTrainingConfig(head=tiny_singsong.NOTES, manifest="m", batch=2)
    pairs = tiny_singsong.pairs(folder)
    separated = np.stack([np.round(pairs.voice(number) * 32767).astype(np.int16) for number in range(len(pairs))])
    return NoteTrainee(recipe, pairs, separated, tiny_musiclm.model().semantic_model), recipe


def harmony(folder):
    draw = torch.Generator().manual_seed(0)
    encoder = EncoderConfig(codebooks=1, entries=50, frame_rate_hz=25.0, width=16, heads=2, layers=1)
    recipe = HarmonyTrainingConfig(encoder=encoder, manifest="m", batch=4)
    vocals = [torch.randint(50, (12, 50, 1), generator=draw) for _ in range(2)]
    guides = torch.rand(12, 50, 13, generator=draw)
    return HarmonyTrainee(recipe, vocals, guides, range(8), range(8, 12)), recipe


def timeless(metrics):
    return [{name: value for name, value in row.items() if name != "elapsed_s"} for row in metrics]


@pytest.mark.parametrize("make", [codec, semantic, joint, stage, stage_with_dropout, separator, notes, harmony])
def test_a_killed_training_goes_on_with_identical_losses(make, tmp_path):
    trainee, recipe = make(tmp_path / "a")
    run("part", trainee, SCHEDULE, recipe, tmp_path / "whole", quietly)
    trainee, recipe = make(tmp_path / "b")
    with pytest.raises(KilledError):
        run("part", trainee, SCHEDULE, recipe, tmp_path / "broken", killed_at(3))
    trainee, recipe = make(tmp_path / "c")
    run("part", trainee, SCHEDULE, recipe, tmp_path / "broken", quietly)
    assert timeless(read_metrics(tmp_path / "broken")) == timeless(read_metrics(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("make", "changes", "changed"),
    [(codec, {"codes_fixed_from": 0}, {"decoder"}), (stage, {"fixed": ("codes", "heads_KVD")}, {"trunk", "added"})],
)
def test_what_a_recipe_keeps_stays_bit_for_bit(make, changes, changed, tmp_path):
    trainee, recipe = make(tmp_path / "clips", **changes)
    module = trainee.average.module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    run("part", trainee, SCHEDULE, recipe, tmp_path / "run", quietly)
    others = {name.partition(".")[0] for name, x in module.state_dict().items() if not torch.equal(x, before[name])}
    assert changed <= others
    assert not others & {"encoder", "quantiser", "codes", "heads_KVD"}


def test_a_folder_with_another_recipe_is_refused_by_name(tmp_path):
    trainee, recipe = stage(tmp_path / "clips")
    run("part", trainee, dataclasses.replace(SCHEDULE, steps=1), recipe, tmp_path / "run", quietly)
    with pytest.raises(RunError, match=r"another configuration \(config.seed, schedule.steps\)"):
        run("part", trainee, SCHEDULE, dataclasses.replace(recipe, seed=9), tmp_path / "run", quietly)


def test_half_a_line_that_a_kill_left_is_cut_and_the_training_goes_on(tmp_path):
    trainee, recipe = stage(tmp_path / "a")
    run("part", trainee, SCHEDULE, recipe, tmp_path / "whole", quietly)
    trainee, recipe = stage(tmp_path / "b")
    with pytest.raises(KilledError):
        run("part", trainee, SCHEDULE, recipe, tmp_path / "broken", killed_at(4))
    with (tmp_path / "broken" / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 5, "elap')
    assert [row["step"] for row in read_metrics(tmp_path / "broken")] == [1, 2, 3, 4]
    trainee, recipe = stage(tmp_path / "c")
    run("part", trainee, SCHEDULE, recipe, tmp_path / "broken", quietly)
    assert timeless(read_metrics(tmp_path / "broken")) == timeless(read_metrics(tmp_path / "whole"))


def test_a_training_that_broke_off_over_its_configuration_can_be_started_again(tmp_path):
    trainee, recipe = stage(tmp_path / "clips")
    with disk_with_room_for(50), pytest.raises(OSError, match="too large"):
        run("part", trainee, SCHEDULE, recipe, tmp_path / "run", quietly)
    run("part", trainee, SCHEDULE, recipe, tmp_path / "run", quietly)
    assert len(read_metrics(tmp_path / "run")) == SCHEDULE.steps


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    trainee, recipe = stage(tmp_path / "clips")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"schedule": {"st')
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        run("part", trainee, SCHEDULE, recipe, tmp_path / "run", quietly)


def test_tensors_that_did_not_fit_are_not_kept(tmp_path):
    path = tmp_path / "part" / "captions.pt"
    with disk_with_room_for(1000), pytest.raises((OSError, RuntimeError)):
        keep(torch.zeros(10_000), path)
    assert not path.exists()
    keep(torch.ones(10_000), path)
    assert torch.load(path, weights_only=True).sum() == 10_000


def test_the_rate_rises_and_then_falls_to_its_last_share():
    schedule = Schedule(steps=100, learning_rate=1.0, warmup=10, last=0.1)
    rates = [schedule.rate(step) for step in range(101)]
    assert rates[9] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


def test_curves_of_a_training_can_be_seen(tmp_path):
    trainee, recipe = stage(tmp_path / "clips")
    run("part", trainee, SCHEDULE, recipe, tmp_path / "run", quietly)
    plot_curves([tmp_path / "run"], tmp_path / "curves.png")
    picture = matplotlib.image.imread(tmp_path / "curves.png")
    assert picture.shape[1] > 1000
    assert np.unique(picture.reshape(-1, picture.shape[-1]), axis=0).shape[0] > 20  # something is drawn
