"""A stage learns what goes with the vocals; it plays in the engine what it predicts in training."""

import numpy as np
import pytest
import tiny_musiclm
import tiny_singsong
import torch

from models.engine.engine import Engine
from models.engine.patterns import Delay, to_decode
from models.engine.requests import Conditioning, Request
from models.melody.contour import UNTOLD
from models.musiclm.stage import heard_by, with_melody
from models.singsong.base import read_base
from models.singsong.separator import Separator
from models.singsong.start import start_of
from models.singsong.training import SungTokens, SungTrainee, SungTrainingConfig
from models.training.distortion import si_sdr_db
from models.training.run import Schedule, read_metrics, run


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return read_base(tiny_musiclm.version(tmp_path_factory.mktemp("base") / "tiny-musiclm"))[1]


@pytest.fixture(scope="module")
def tokens():
    """Accompaniments whose codes are told by the vocals of their time."""
    rng = torch.Generator().manual_seed(0)
    vocals = torch.randint(8, (12, 50, 1), generator=rng)
    semantic = vocals[..., 0] % 12
    codes = torch.stack(
        [semantic.repeat_interleave(2, dim=1), (semantic + 1).repeat_interleave(2, dim=1) % 16], dim=-1
    )
    prefix = torch.randint(8, (12, 3), generator=rng)
    guide = torch.rand(12, 50, 13, generator=rng)
    return SungTokens(semantic, codes, prefix, prefix[:, None], vocals.repeat(1, 1, 2), guide, guide)


def _trainee(base, tokens, kind):
    sizes = tiny_singsong.config(base)
    stage = sizes.semantic if kind == "semantic" else sizes.coarse
    config = SungTrainingConfig(
        stage=stage, kind=kind, hearing=tiny_singsong.HEARING, manifest="m", start="s", seed=1, batch=8,
        seconds=1.0, averaging=0.9, dtype="float32",
    )  # fmt: skip
    start = start_of(getattr(tiny_musiclm.model(), kind))
    return config, SungTrainee(config, tokens, range(8), range(8, 12), start)


@pytest.mark.parametrize("kind", ["semantic", "coarse"])
def test_a_stage_learns_to_follow_the_vocals_and_a_run_goes_on_as_if_never_stopped(base, tokens, tmp_path, kind):
    def train(folder, *, stopping):
        config, trainee = _trainee(base, tokens, kind)
        every_s = 0 if stopping else 1e9
        schedule = Schedule(steps=50, learning_rate=0.03, warmup=5, evaluate_every=50, checkpoint_every_s=every_s)
        if stopping:

            def stop(_name, step, _steps, _figures):
                if step == 25:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                run(kind, trainee, schedule, config, folder, stop)
            config, trainee = _trainee(base, tokens, kind)
        run(kind, trainee, schedule, config, folder, lambda *_: None)
        return read_metrics(folder)

    whole, stopped = train(tmp_path / "a", stopping=False), train(tmp_path / "b", stopping=True)
    assert [row["nats"] for row in whole] == [row["nats"] for row in stopped]
    assert whole[-1]["validation_0"] < 0.7 * whole[-1]["other_vocals_0"]


def test_the_engine_plays_what_training_predicts(base):
    stage = tiny_singsong.model(base).coarse
    vocals = torch.randint(8, (1, 6, 2), generator=torch.Generator().manual_seed(0))
    guide = torch.rand(1, 6, 13, generator=torch.Generator().manual_seed(1))
    added = heard_by(torch.arange(6), 13)
    engine = Engine(stage.decoder, slots=2, cache_length=128)
    with torch.inference_mode():
        heard_ND = stage.hear(vocals, guide, 13)[0] + stage.decoder.embed_added(added)
        engine.submit(
            Request(
                key="a",
                conditioning=Conditioning(
                    prefix_PD=stage.decoder.embed_prefix(torch.tensor([1, 5, 7])), added_ND=heard_ND
                ),
                given_NK=Delay(16).spread(to_decode(np.zeros((0, 2), dtype=np.int64), 12)),
                seed=0,
                stage="coarse",
                temperature=0,
            )
        )
        done = []
        while not done:
            done = engine.step()
        codes = torch.from_numpy(done[0].codes_NK)
        yes = torch.tensor([True])
        logits = stage(codes[None], vocals, guide, yes, torch.tensor([[1, 5, 7]]), yes, added[None])[0]
    free = codes != 16
    assert torch.equal(logits.argmax(dim=-1)[free], codes[free])


def test_a_step_hears_what_will_be_sung_and_unheard_vocals_make_no_difference(base):
    stage = tiny_singsong.model(base).semantic
    vocals = torch.zeros(1, 10, 2, dtype=torch.long)
    later = vocals.clone()
    later[0, 9] = 5
    codes, prefix, yes, no = (
        torch.zeros(1, 10, 1, dtype=torch.long),
        torch.zeros(1, 3, dtype=torch.long),
        *torch.tensor([[True], [False]]),
    )
    guide = torch.zeros(1, 10, 13)
    with torch.inference_mode():
        first, second = (stage(codes, x, guide, yes, prefix, no, None)[0, 0] for x in (vocals, later))
        deaf = [stage(codes, x, guide, no, prefix, no, None) for x in (vocals, later)]
    assert not torch.allclose(first, second)
    assert torch.equal(*deaf)


@pytest.mark.parametrize("seconds", [1.3, 21.7])  # longer ones are heard in parts
def test_a_separator_keeps_length_and_adds_nothing(seconds):
    torch.manual_seed(0)
    separator = Separator(tiny_singsong.SEPARATOR)
    mix = torch.from_numpy(tiny_singsong.sung(seconds)[:, 0])[None]
    with torch.inference_mode():
        voice = separator.voice(mix)
    assert voice.shape == mix.shape
    assert voice.square().sum() < mix.square().sum()
    assert si_sdr_db(mix[0] * 0.1, mix[0]) > 60


@pytest.mark.parametrize("kind", ["semantic", "coarse"])
def test_a_decoder_begins_as_the_musiclm_stage_that_is_told_no_melody(base, kind):
    whole = getattr(tiny_musiclm.model(), kind)
    stage = getattr(tiny_singsong.model(base), kind)
    stage.begin(start_of(whole))
    codes = torch.full((1, 6, whole.codebooks), 3)
    semantic, prefix, yes, no = torch.arange(3)[None], torch.tensor([[1, 5, 7]]), *torch.tensor([[True], [False]])
    added = None if kind == "semantic" else heard_by(semantic, 6)
    untold = torch.full((1, 6), UNTOLD)
    with torch.inference_mode():
        expected = whole(codes, prefix, yes, with_melody(added, untold, 6))
        unheard = stage(codes, torch.zeros(1, 3, 2, dtype=torch.long), torch.zeros(1, 3, 13), no, prefix, yes, added)
    assert torch.allclose(expected, unheard, atol=1e-4)
