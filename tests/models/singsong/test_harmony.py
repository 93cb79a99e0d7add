"""The harmony model learns which pitch classes go with notes, in every key; a guide tells what sounds and when."""

import numpy as np
import pytest
import torch

from models.singsong.encoder import EncoderConfig
from models.singsong.harmony import HarmonyTrainee, HarmonyTrainingConfig, decided, true_guide

ENCODER = EncoderConfig(codebooks=1, entries=50, frame_rate_hz=25.0, width=16, heads=2, layers=1)


def test_a_true_guide_tells_what_sounds_and_when_it_begins():
    times = np.arange(16_000) / 16_000
    silence = np.zeros(16_000, dtype=np.float32)
    chord = sum(np.sin(2 * np.pi * hz * times) for hz in (261.63, 329.63, 392.0)).astype(np.float32)
    guide = true_guide(np.concatenate([silence, 0.1 * chord, silence]), 16_000, 25.0)
    assert guide.shape == (75, 13)
    assert set(np.argsort(guide[37, :12])[-3:]) == {0, 4, 7}
    assert 23 <= guide[:, 12].argmax() <= 27
    assert np.allclose(guide[:, :12].sum(axis=1), 1, atol=1e-3)


def test_what_goes_with_a_note_is_learnt_in_every_key_from_few():
    rng = torch.Generator().manual_seed(0)
    notes = torch.randint(20, 23, (16, 20, 1), generator=rng)  # three neighbouring notes only
    guides = torch.zeros(16, 20, 13)
    guides.scatter_(2, (notes + 3) % 12, 1.0)
    config = HarmonyTrainingConfig(encoder=ENCODER, manifest="m", batch=8, averaging=0.9)
    trainee = HarmonyTrainee(config, [notes], guides, range(12), range(12, 16))
    for step in range(60):
        trainee.step(step, 0.02)
    assert trainee.evaluate()["chroma_divergence"] < 0.3
    unheard = torch.full((1, 20, 1), 26)  # nobody sang it
    with torch.inference_mode():
        guide = trainee.average.module(unheard)[0, 10]
    assert int(guide[:12].argmax()) == (26 + 3) % 12
    assert float(guide[:12].sum()) == pytest.approx(1.0, abs=1e-4)


def test_a_guess_that_is_decided_has_the_same_in_front_but_further_and_the_pulse_for_its_onsets():
    guess = torch.rand(50, 13, generator=torch.Generator().manual_seed(0))
    guess[..., :12] /= guess[..., :12].sum(dim=-1, keepdim=True)
    pulse_G = torch.linspace(0, 1, 50)
    guide = decided(guess, 2.0, pulse_G)
    assert torch.allclose(guide[..., :12].sum(dim=-1), torch.ones(50))
    assert torch.equal(guide[..., :12].argmax(dim=-1), guess[..., :12].argmax(dim=-1))
    assert (guide[..., :12].amax(dim=-1) > guess[..., :12].amax(dim=-1)).all()
    assert torch.equal(guide[..., 12], pulse_G)
