"""What is trained before a SingSong's stages: a separator learns to keep the voice, a head to hear its notes."""

import numpy as np
import pytest
import tiny_musiclm
import tiny_singsong

from models.singsong.notes import NoteTrainee, NoteTrainingConfig
from models.singsong.separator_training import SeparatorTrainee, SeparatorTrainingConfig


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return tiny_singsong.pairs(tmp_path_factory.mktemp("pairs") / "pairs")


def test_a_separator_learns_to_take_the_voice_out_of_a_mix(pairs):
    config = SeparatorTrainingConfig(
        separator=tiny_singsong.SEPARATOR, manifest="m", batch=2, segment=16_000, averaging=0.9
    )
    trainee = SeparatorTrainee(config, pairs)
    for step in range(60):
        trainee.step(step, 0.02)
    figures = trainee.evaluate()
    assert figures["voice_si_sdr_db"] > figures["mix_si_sdr_db"] + 3


def test_a_head_learns_to_hear_notes_from_clean_and_from_separated_voices(pairs):
    separated = np.stack([np.round(pairs.voice(number) * 32767).astype(np.int16) for number in range(len(pairs))])
    config = NoteTrainingConfig(head=tiny_singsong.NOTES, manifest="m", batch=2)
    trainee = NoteTrainee(config, pairs, separated, tiny_musiclm.model().semantic_model)
    for step in range(80):
        trainee.step(step, 0.01)
    figures = trainee.evaluate()
    assert min(figures.values()) > 0.9  # notes and pitch classes, of clean voices and of separated ones
