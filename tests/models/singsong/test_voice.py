"""The voice by rule sings the notes it is given, and pairs hold what their scores say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from breaking import disk_with_room_for

from models.material.scores import Piece
from models.material.synth import SAMPLE_RATE_HZ, Note
from models.singsong import pairs
from models.singsong.hearing import levelled, noisy, note_tokens, sounding_rms
from models.singsong.pairs import PAIR_SAMPLES, make_pair, material_of
from models.singsong.voice import Singer, sing

PLAIN = Singer(
    formant_scale=1.0, levels=(1.0, 0.5, 0.2, 0.1), vibrato_hz=5.5, vibrato_cents=30.0, vibrato_delay_s=0.2,
    glide_s=0.03, unsteadiness_cents=5.0, breath=0.01, consonants=0.1, attack_s=0.03,
)  # fmt: skip


def _pitch(waveform):
    """MIDI pitch by autocorrelation."""
    found = np.correlate(waveform, waveform, "full")[len(waveform) - 1 :]
    lags = np.arange(SAMPLE_RATE_HZ // 900, SAMPLE_RATE_HZ // 80)
    return 69 + 12 * np.log2(SAMPLE_RATE_HZ / lags[np.argmax(found[lags])] / 440)


def test_the_voice_sings_its_notes():
    notes = [Note(0.1, 0.8, 57, 90, 0), Note(1.0, 0.8, 61, 90, 0), Note(2.2, 0.7, 52, 90, 0)]
    sung = sing(notes, PLAIN, 3.0, np.random.default_rng(0))
    assert sung.shape == (3 * SAMPLE_RATE_HZ,)
    for note in notes:
        middle = round((note.onset_s + 0.35) * SAMPLE_RATE_HZ)
        assert _pitch(sung[middle : middle + 2400]) == pytest.approx(note.pitch, abs=0.5)


def test_rests_are_much_quieter_than_notes():
    sung = sing([Note(0.1, 0.5, 57, 90, 0), Note(2.0, 0.5, 57, 90, 0)], PLAIN, 3.0, np.random.default_rng(0))
    rest, note = sung[16_000:24_000], sung[3200:8000]
    assert np.sqrt(np.mean(rest**2)) < 0.05 * np.sqrt(np.mean(note**2))


def _song(composer="A"):
    beats = np.arange(64, dtype=np.float32)
    line = np.stack([beats, np.full(64, 0.9, np.float32), 60 + beats % 5], axis=1)
    chords = np.concatenate(
        [np.stack([beats, np.full(64, 0.9, np.float32), p + beats % 5], axis=1) for p in (48, 52)]
    )
    return Piece("song.mxl", composer, "openscore-lieder", "CC0-1.0", "sha256:0", (line,), chords.astype(np.float32))


def test_a_pair_is_decided_by_its_seed_and_number_and_its_mix_does_not_clip():
    material = material_of([_song()])
    pair, voice, accompaniment = make_pair(0, 3, "train", material)
    again = make_pair(0, 3, "train", material_of([_song()]))
    assert again[0] == pair and np.array_equal(again[1], voice) and np.array_equal(again[2], accompaniment)
    assert make_pair(0, 4, "train", material)[0].sung != pair.sung
    assert voice.shape == accompaniment.shape == (PAIR_SAMPLES,)
    assert np.abs(voice + accompaniment).max() <= 0.951
    assert min(np.sqrt(np.mean(x**2)) for x in (voice, accompaniment)) > 0.005


def test_tokens_of_notes_lie_where_the_notes_do():
    tokens = note_tokens([(0.0, 1.0, 60), (2.0, 0.5, 40)], 100, 25.0)
    assert set(tokens[2:24]) == {21} and set(tokens[26:50]) == {0} and set(tokens[51:62]) == {1}


def test_noise_lies_as_far_below_a_levelled_voice_as_asked():
    voice = np.concatenate([np.zeros(16_000), np.sin(np.arange(32_000) / 10)]).astype(np.float32)
    loud, quiet = levelled(voice), levelled(0.01 * voice)
    assert np.allclose(loud, quiet, atol=1e-4)
    noise = noisy(loud, -20.0, seed=1) - loud
    assert 20 * np.log10(np.sqrt(np.mean(noise**2)) / sounding_rms(loud)) == pytest.approx(-20, abs=0.2)
    assert np.array_equal(noisy(loud, -20.0, seed=1), noisy(loud, -20.0, seed=1))
    assert noisy(loud, None, seed=1) is loud


def test_a_shard_whose_index_broke_off_is_made_again(tmp_path, monkeypatch):
    pair = make_pair(0, 3, "train", material_of([_song()]))[0]
    silence = np.zeros(8, dtype=np.float32)
    monkeypatch.setattr(pairs, "SHARD", 2)
    monkeypatch.setattr(pairs, "PAIR_SAMPLES", 8)
    monkeypatch.setattr(pairs, "_material", material_of([_song()]))
    monkeypatch.setattr(pairs, "make_pair", lambda seed, number, *_: (replace(pair, number=number), silence, silence))
    for part in ("voice", "accompaniment"):
        (tmp_path / part).mkdir()
    job = (pairs.PairsConfig(), 0, tmp_path)
    with disk_with_room_for(300), pytest.raises(OSError, match="too large"):  # for the samples, not for the index
        pairs._render_shard(job)
    pairs._render_shard(job)
    lines = (tmp_path / "voice" / "00000.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1]
