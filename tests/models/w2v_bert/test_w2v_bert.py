"""Semantic tokens: their rate, their classes, and a model that learns to predict what is hidden."""

import tiny_musiclm
import torch

from models.training.draws import torch_generator
from models.w2v_bert.kmeans import assign, kmeans
from models.w2v_bert.model import W2vBert, paper, small
from models.w2v_bert.training import SemanticTrainee, SemanticTrainingConfig


def test_there_are_25_tokens_a_second():
    assert small().frame_rate_hz == paper().frame_rate_hz == 25
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = W2vBert(tiny_musiclm.W2V_BERT).eval()
        model.centres_CD.normal_()
    tokens = model.tokens(torch.randn(2, 32_000, generator=torch.Generator().manual_seed(1)))
    assert tokens.shape == (2, 50)
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 12


def test_hidden_frames_are_learnt_and_classes_tell_clips_apart(tmp_path):
    clips = tiny_musiclm.clips(tmp_path / "clips")
    config = SemanticTrainingConfig(
        model=tiny_musiclm.W2V_BERT, manifest="m", batch=4, segment=16_000, dtype="float32", kmeans_clips=8
    )
    trainee = SemanticTrainee(config, clips)
    figures = [trainee.step(step, 5e-3) for step in range(80)]

    def mean(name, part):
        return sum(row[name] for row in part) / len(part)

    assert mean("masked", figures[-10:]) < 0.8 * mean("masked", figures[:10])
    model = trainee.classify(lambda done, total: None)
    tone, noise = (model.tokens(torch.from_numpy(clips.waveform(n))[None])[0] for n in (8, 9))
    assert not set(tone.tolist()) & set(noise.tolist())


def test_classes_found_twice_are_the_same(tmp_path):
    clips = tiny_musiclm.clips(tmp_path / "clips")
    config = SemanticTrainingConfig(model=tiny_musiclm.W2V_BERT, manifest="m", dtype="float32", kmeans_clips=4)
    trainee = SemanticTrainee(config, clips)
    once = trainee.classify(lambda done, total: None).centres_CD.clone()
    assert torch.equal(trainee.classify(lambda done, total: None).centres_CD, once)


def test_kmeans_finds_heaps_that_lie_apart():
    heaps = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = heaps.repeat_interleave(50, dim=0) + torch.randn(150, 2, generator=torch_generator(0, 0, 0)) * 0.3
    centres = kmeans(points, 3, iterations=20, random=torch_generator(3, 0, 0))
    names = assign(points, centres).view(3, 50)
    assert len({int(row[0]) for row in names}) == 3
    assert all((row == row[0]).all() for row in names)
