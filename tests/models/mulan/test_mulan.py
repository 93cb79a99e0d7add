"""Words that nobody was trained with lie near what they mean; towers learn; tokens name vectors."""

import pytest
import tiny_musiclm
import torch
from torch.nn import functional as F

from models.mulan.model import Mulan, ResidualBlock, paper
from models.mulan.sentences import load_sentences
from models.mulan.training import MulanTrainee, MulanTrainingConfig, caption_vectors


@pytest.fixture(scope="module")
def sentences():
    return load_sentences()


def test_free_words_lie_near_what_they_mean(sentences):
    fiddle, violin, drums, downpour, rain = (
        sentences(text) for text in ("a fiddle", "a violin", "a drum kit", "a downpour", "heavy rain falling")
    )
    assert fiddle @ violin > fiddle @ drums + 0.1
    assert downpour @ rain > downpour @ violin + 0.2


def test_a_sentence_has_the_same_vector_alone_and_among_others(sentences):
    texts = ["a flute", "rain on leaves in the night", "drums"]
    together = sentences.many(texts)
    for text, row in zip(texts, together, strict=True):
        torch.testing.assert_close(sentences(text), row, atol=1e-6, rtol=0)


def test_the_loss_leaves_the_logarithm_of_the_batch(sentences, tmp_path):
    clips = tiny_musiclm.clips(tmp_path / "clips")
    config = MulanTrainingConfig(
        model=tiny_musiclm.MULAN, manifest="m", batch=2, segment=32_000, dtype="float32", noise=0.0
    )
    vectors = caption_vectors(clips, sentences, lambda done, total: None)
    trainee = MulanTrainee(config, clips, vectors)
    losses = [trainee.step(step, 5e-3)["loss"] for step in range(60)]
    mixed = [loss for step, loss in enumerate(losses[-20:]) if loss]
    assert min(mixed) < 0.3 < losses[0]  # ln 2 is .69: two unlike clips are told apart, two alike cannot be


def test_long_audio_is_the_mean_of_its_windows():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mulan = Mulan(tiny_musiclm.MULAN).eval()
    x = torch.randn(16_000 * 12, generator=torch.Generator().manual_seed(1))
    window = 16_000 * 10 - 16_000 * 10 % 256
    with torch.inference_mode():
        windows = torch.stack([mulan.audio(x[None, s : s + window])[0] for s in (0, 16_000, 32_000)])
    torch.testing.assert_close(mulan.embed_audio(x), F.normalize(windows.mean(dim=0), dim=0))


def test_the_papers_towers_have_its_depth_and_meet_in_its_space():
    config = paper()
    with torch.device("meta"):
        model = Mulan(config)
        audio_BE, text_BE = model.audio(torch.zeros(2, 160_000)), model.text(torch.zeros(2, 384))
    assert audio_BE.shape == text_BE.shape == (2, 128)
    assert sum(isinstance(module, ResidualBlock) for module in model.audio.modules()) == 3 + 4 + 6 + 3
    assert (config.codebooks, config.entries) == (12, 1024)
