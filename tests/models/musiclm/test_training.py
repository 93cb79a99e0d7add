"""What a stage in training is told, and what it is not."""

import numpy as np
import pytest
import torch
from tiny_musiclm import config

from models.musiclm.tokens import SemanticTokens
from models.musiclm.training import StageTrainee, StageTrainingConfig


def first_loss(semantic_seed, **changes):
    """Return the loss of a coarse stage's first step, whose semantic tokens are drawn by a seed."""

    def drawn(high, *shape, seed=0):
        return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed)).short()

    tokens = SemanticTokens(
        semantic_NQ=drawn(12, 12, 250, seed=semantic_seed), audio_NP=drawn(8, 12, 3), text_NCP=drawn(8, 12, 1, 3)
    )
    recipe = StageTrainingConfig(
        stage=config().coarse, kind="coarse", manifest="m", seed=1, batch=2, frames=40, dtype="float32", **changes
    )
    melodies = np.full((12, 250), 25, dtype=np.uint8)
    trainee = StageTrainee(recipe, tokens, drawn(16, 12, 500, 4), range(8), range(8, 12), melodies_NQ=melodies)
    return trainee.step(0, 1e-3)["nats"]


def test_a_melody_is_told_in_the_octaves_of_the_recipe():
    as_it_is, higher, lower = (first_loss(1, melody_told=1.0, octaves=each) for each in np.eye(3)[[1, 2, 0]])
    assert len({as_it_is, higher, lower}) == 3
    assert first_loss(1, melody_told=1.0, octaves=(0.0, 1.0, 0.0)) == as_it_is


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"untold": 1.0, "tokens_untold": True}, True),
        ({"untold": 1.0}, False),
        ({"untold": 0.0, "tokens_untold": True}, False),
    ],
)
def test_items_told_nothing_are_not_told_the_semantic_tokens_either(changes, same):
    assert (first_loss(1, **changes) == first_loss(2, **changes)) == same
