"""YAMNet as it is read from its package."""

import numpy as np
import pytest

from models.judges.yamnet import SAMPLE_RATE_HZ, Yamnet, mel_matrix


@pytest.fixture(scope="module")
def yamnet() -> Yamnet:
    return Yamnet.load()


@pytest.mark.parametrize(
    ("sound", "name"),
    [
        (np.zeros(32_000), "Silence"),
        (0.5 * np.sin(2 * np.pi * 1000 * np.arange(32_000) / SAMPLE_RATE_HZ), "Sine wave"),
        (0.3 * np.random.default_rng(0).standard_normal(32_000), "White noise"),
    ],
)
def test_a_plain_sound_is_among_the_best_three(yamnet, sound, name):
    scores = yamnet.scores(sound.astype(np.float32), SAMPLE_RATE_HZ)
    assert name in [yamnet.names[place] for place in np.argsort(-scores)[:3]]


def test_it_knows_521_classes_and_hears_a_patch_each_half_second(yamnet):
    heard = yamnet.listen(np.zeros(SAMPLE_RATE_HZ * 10, dtype=np.float32), SAMPLE_RATE_HZ)
    assert heard.scores_PC.shape == (19, 521)
    assert heard.embeddings_PD.shape == (19, 1024)


def test_the_mel_filters_are_triangles_between_125_and_7500_hz():
    matrix = mel_matrix()
    centres_hz = (matrix.argmax(axis=0) * SAMPLE_RATE_HZ / 512)[[0, -1]]
    assert matrix.shape == (257, 64)
    assert matrix.max() <= 1
    assert 125 < centres_hz[0] < 190
    assert 7200 < centres_hz[1] < 7500
