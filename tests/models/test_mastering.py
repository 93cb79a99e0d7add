"""What is delivered has its loudness, its peak and no clicks at its ends."""

from io import BytesIO

import numpy as np
import pytest
import soundfile

from models.mastering import LOUDNESS_LUFS, PEAK_DBFS, SilentError, loudness_lufs, master


def noise(level):
    return (np.random.default_rng(0).standard_normal(48_000) * level).astype(np.float32)


def test_loudness_is_what_it_should_be():
    made = master(noise(0.01), 16_000)
    heard, rate = soundfile.read(BytesIO(made.flac), dtype="float32")
    assert (rate, len(heard)) == (16_000, 48_000)
    assert loudness_lufs(heard, rate) == pytest.approx(LOUDNESS_LUFS, abs=0.8)  # the fades take a little


def test_a_peak_holds_the_gain_back():
    clicks = np.zeros(32_000, dtype=np.float32)
    clicks[::4000] = 0.5
    made = master(clicks + noise(1e-3)[:32_000], 16_000)
    heard, _ = soundfile.read(BytesIO(made.flac), dtype="float32")
    assert np.abs(heard).max() <= 10 ** (PEAK_DBFS / 20) + 1e-3
    assert made.loudness_lufs < LOUDNESS_LUFS


def test_it_begins_and_ends_in_silence():
    heard, _ = soundfile.read(BytesIO(master(noise(0.1), 16_000).flac), dtype="float32")
    assert heard[0] == heard[-1] == 0


def test_silence_is_refused():
    with pytest.raises(SilentError, match="LUFS"):
        master(np.zeros(16_000, dtype=np.float32), 16_000)
