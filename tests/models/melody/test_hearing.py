"""The net learns to hear melodies, and hears a long recording as it hears a short one."""

import io

import numpy as np
import pytest
import soundfile
import tiny_musiclm
import torch

from models.melody.contour import FIRST, REST, UNTOLD, class_of
from models.melody.hearing import hear_melody
from models.melody.model import MelodyNet, MelodyNetConfig
from models.melody.training import MelodyTrainee, MelodyTrainingConfig
from models.recording import RecordingError, read_recording

TINY = MelodyNetConfig(channels=4, context=16)


def net(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MelodyNet(TINY).eval()


def test_a_long_recording_is_heard_as_in_one_piece():
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal(16_000 * 23 + 77) * np.linspace(0.1, 1, 16_000 * 23 + 77)).astype(np.float32)
    heard = hear_melody(sound, 16_000, net())
    assert len(heard) == -(-len(sound) // 640)
    assert set(np.unique(heard)) - {REST}
    assert np.array_equal(heard, hear_melody(sound, 16_000, net()))


def test_the_rate_does_not_matter_much():
    times = np.arange(48_000 * 4) / 48_000
    tone = np.sin(2 * np.pi * 440 * times).astype(np.float32)
    wide, narrow = hear_melody(tone, 48_000, net()), hear_melody(tone[::3], 16_000, net())
    assert len(wide) == len(narrow) == 100
    assert np.mean(wide == narrow) > 0.9


def test_training_learns_the_pitch_of_tones_and_goes_on_where_it_stopped(tmp_path):
    clips = tiny_musiclm.clips(tmp_path / "clips")
    melodies = np.full((len(clips), 250), UNTOLD, dtype=np.uint8)
    for number in range(0, len(clips), 2):
        melodies[number] = class_of(round(69 + 12 * np.log2(220 * (1 + number / 3) / 440)))
    config = MelodyTrainingConfig(manifest="", model=TINY, batch=4, frames=25, averaging=0.9)
    trainee = MelodyTrainee(config, clips, melodies)
    first = [trainee.step(step, 1e-2)["nats"] for step in range(40)]
    assert np.mean(first[-5:]) < 0.6 * first[0]
    other = MelodyTrainee(config, clips, melodies)
    other.load_state_dict(trainee.state_dict())
    assert other.step(40, 1e-2) == trainee.step(40, 1e-2)
    assert set(trainee.evaluate()) == {"validation_right", "validation_chroma"}


def test_what_is_no_recording_is_refused():
    with pytest.raises(RecordingError, match="a recording of a melody"):
        read_recording(b"", "a melody")
    with pytest.raises(RecordingError, match="cannot be read as sound"):
        read_recording(b"nothing", "a melody")
    file = io.BytesIO()
    soundfile.write(file, np.zeros(32_000), 16_000, format="WAV")
    with pytest.raises(RecordingError, match="silent"):
        read_recording(file.getvalue(), "a melody")


def test_classes_are_rests_and_pitches():
    heard = net().classes(torch.randn(2, 6400, generator=torch.Generator().manual_seed(1)))
    assert heard.shape == (2, 10)
    assert ((heard == REST) | (heard >= FIRST)).all()
