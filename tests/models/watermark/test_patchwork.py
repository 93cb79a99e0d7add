"""The mark on sounds: found in copies and nowhere else, below the music, and the same each time."""

import io

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from models.watermark.detection import best_match, detect
from models.watermark.embedding import MARK_BELOW_DB, WatermarkError, embed
from models.watermark.grid import pattern_of

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PAYLOAD = 0xA3F816B0FD12C3E1
RATE_HZ = 48_000
ISSUED = np.append(np.random.default_rng(5).integers(0, 2**64, 20_000, dtype=np.uint64), np.uint64(PAYLOAD))


def music(seconds=14.0, rate_hz=RATE_HZ, seed=0):
    """Chords of decaying partials, a note every third of a second, in stereo."""
    rng = np.random.default_rng(seed)
    out = np.zeros((round(seconds * rate_hz), 2))
    for onset in np.arange(0, seconds - 0.1, 1 / 3):
        start = round(onset * rate_hz)
        t = np.arange(min(round(1.5 * rate_hz), len(out) - start)) / rate_hz
        for note in rng.choice(np.arange(45, 80), 3, replace=False):
            frequency = 440 * 2 ** ((note - 69) / 12)
            tone = sum(np.sin(2 * np.pi * frequency * k * t) / k**1.5 for k in range(1, 9) if frequency * k < 12_000)
            out[start : start + len(t)] += (tone * np.exp(-3 * t))[:, None] * rng.uniform(0.3, 1, 2)
    return (0.4 * out / np.abs(out).max()).astype(np.float32)


def coded(wave, rate_hz, **how):
    file = io.BytesIO()
    soundfile.write(file, wave, rate_hz, **how)
    file.seek(0)
    return soundfile.read(file, dtype="float32", always_2d=True)


def resampled(wave, rate_hz):
    there = torchaudio.functional.resample(torch.from_numpy(wave.T.copy()), RATE_HZ, rate_hz)
    return there.numpy().T.copy(), rate_hz


COPIES = {
    "as it is": lambda wave: (wave, RATE_HZ),
    "16 bits, half as loud": lambda wave: (np.round(wave * 16384) / 32768, RATE_HZ),
    "MP3": lambda wave: coded(wave, RATE_HZ, format="MP3", compression_level=0.6, bitrate_mode="CONSTANT"),
    "Opus": lambda wave: coded(wave, RATE_HZ, format="OGG", subtype="OPUS", compression_level=0.8),
    "44.1 kHz": lambda wave: resampled(wave, 44_100),
    "22.05 kHz": lambda wave: resampled(wave, 22_050),
    "8 kHz": lambda wave: resampled(wave, 8_000),
    "ten seconds of it": lambda wave: (wave[123_456 : 123_456 + 10 * RATE_HZ], RATE_HZ),
    "one channel": lambda wave: (wave[:, :1], RATE_HZ),
    "under noise": lambda wave: (
        wave + np.random.default_rng(1).normal(0, wave.std() / 5, wave.shape).astype(np.float32),
        RATE_HZ,
    ),
}


@pytest.fixture(scope="module")
def marked():
    return embed(music(), RATE_HZ, KEY, PAYLOAD)


@pytest.mark.parametrize("copy", COPIES)
def test_the_mark_is_found_in_a_copy(marked, copy):
    wave, rate_hz = COPIES[copy](marked)
    found = best_match(detect(np.asarray(wave, dtype=np.float32), rate_hz, KEY), ISSUED)
    assert found.found and found.payload == PAYLOAD, found


@pytest.mark.parametrize("copy", ["as it is", "MP3", "Opus", "8 kHz"])
def test_ten_seconds_in_one_channel_at_16_khz_are_enough(copy):
    """The pieces of musiclm-small, which have half the band's cells left at 8 kHz and no second channel."""
    piece = embed(music(10.0, 16_000)[:, :1], 16_000, KEY, PAYLOAD)
    if copy == "8 kHz":
        wave, rate_hz = (
            torchaudio.functional.resample(torch.from_numpy(piece.T.copy()), 16_000, 8_000).numpy().T,
            8_000,
        )
    elif copy == "as it is":
        wave, rate_hz = piece, 16_000
    else:
        how = {"format": "MP3", "bitrate_mode": "CONSTANT"} if copy == "MP3" else {"format": "OGG", "subtype": "OPUS"}
        wave, rate_hz = coded(piece, 16_000, compression_level=0.77, **how)
    found = best_match(detect(np.ascontiguousarray(wave, dtype=np.float32), rate_hz, KEY), ISSUED)
    assert found.found and found.payload == PAYLOAD, found


def test_all_64_bits_can_be_read_without_knowing_what_was_issued(marked):
    found = detect(marked, RATE_HZ, KEY)
    assert found.found and found.payload == PAYLOAD


def test_nothing_is_found_where_there_is_no_mark_or_another_keys(marked):
    clips = [music(5.0, seed=seed) for seed in range(2)]
    clips += [np.random.default_rng(2).normal(0, 0.1, (RATE_HZ * 8, 1)).astype(np.float32)]
    clips += [np.zeros((RATE_HZ * 8, 2), np.float32), np.zeros((100, 1), np.float32)]
    for clip in clips:
        found = detect(clip, RATE_HZ, KEY)
        match = best_match(found, ISSUED)
        assert not found.found and not (match and match.found)
    assert not best_match(detect(marked, RATE_HZ, OTHER_KEY), ISSUED).found


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 96_000])
def test_the_mark_lies_below_the_music_by_what_is_promised_at_every_rate(rate_hz):
    wave = music(3.0, rate_hz)
    change = embed(wave, rate_hz, KEY, 7) - wave
    below_db = 10 * np.log10(np.square(wave).sum() / np.square(change).sum())
    assert below_db >= MARK_BELOW_DB - 0.05
    assert np.abs(change).max() > 0


def test_the_same_waveform_key_and_payload_give_the_same_samples_on_any_threads():
    wave = music(4.0)
    before = torch.get_num_threads()
    try:
        first = embed(wave, RATE_HZ, KEY, PAYLOAD)
        torch.set_num_threads(1)
        assert np.array_equal(embed(wave, RATE_HZ, KEY, PAYLOAD), first)
    finally:
        torch.set_num_threads(before)
    assert not np.array_equal(embed(wave, RATE_HZ, KEY, PAYLOAD + 1), first)


def test_the_pattern_of_a_key_never_changes():
    """Marks that are out there are read with it: another pattern would make them unreadable."""
    pattern = pattern_of(KEY)
    assert [sorted(row) for row in pattern.bits.tolist()] == [sorted([*range(64), *[-1] * 24])] * 96
    assert pattern.signs[0, :16].astype(int).tolist() == FIRST_SIGNS
    assert pattern.bits[0, :16].tolist() == FIRST_BITS


FIRST_SIGNS = [-1, -1, -1, 1, -1, -1, 1, 1, -1, 1, 1, -1, 1, 1, 1, -1]
FIRST_BITS = [-1, -1, 53, 33, 21, -1, 10, 2, -1, 52, -1, -1, 13, 62, 1, 51]


@pytest.mark.parametrize(
    ("wave", "rate_hz", "payload"),
    [
        (np.zeros(9, np.float32), 48_000, 1),
        (np.zeros((9, 1), np.float32), 4_000, 1),
        (np.zeros((9, 1)), 48_000, 2**64),
    ],
)
def test_what_cannot_be_marked_is_refused(wave, rate_hz, payload):
    with pytest.raises(WatermarkError):
        embed(wave, rate_hz, KEY, payload)


def test_silence_stays_silence():
    silence = np.zeros((RATE_HZ, 2), np.float32)
    assert not embed(silence, RATE_HZ, KEY, PAYLOAD).any()
