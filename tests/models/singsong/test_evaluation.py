"""Figures of accompaniments tell what fits from what does not, on sounds whose answer is known."""

import json

import numpy as np
import tiny_musiclm
import tiny_singsong

from models.key import Key, parse_key
from models.material.labels import Labels
from models.registry import load_generator
from models.singsong.base import read_base
from models.singsong.evaluation import beat_alignment, chroma_agreement, coherence, true_key
from models.singsong.features import chroma, onset_strength
from models.singsong.fitting import Fit, fit, fits, in_time
from models.singsong.hearing import note_tokens
from models.singsong.pairs import Pair
from models.singsong.release import pin_base
from models.weights import write_version

RATE = 16_000
SUNG = tuple((0.5 * n, 0.45, 60 + (0, 4, 7, 4)[n % 4]) for n in range(20))


def _pair(sung=SUNG, beat_s=0.5, first_beat_s=0.0):
    labels = Labels(kind="solo", key="C major", mode="major")
    return Pair(0, "validation", "song.mxl", "A", "rule", labels, (), sung, beat_s, first_beat_s)


def _chords(pitches, beat_s=0.5, late_s=0.0):
    times = np.arange(10 * RATE) / RATE
    since = (times - late_s) % beat_s
    tones = sum(np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * times) for p in pitches)
    return (0.1 * tones * np.exp(-6 * since)).astype(np.float32)


def test_a_chord_of_the_notes_sung_agrees_and_a_foreign_one_does_not():
    own, foreign = _chords((48, 52, 55)), _chords((49, 54, 56))
    assert chroma_agreement(own, _pair()) > 0.05 > -0.02 > chroma_agreement(foreign, _pair())
    notes = note_tokens(SUNG, 250, 25.0)
    moving = np.concatenate([own[: 5 * RATE], foreign[5 * RATE :]])
    half = tuple(row if row[0] < 5 else (row[0], row[1], row[2] + 1) for row in SUNG)
    played = chroma(moving, RATE, 25.0)
    assert fits(played, note_tokens(half, 250, 25.0), 25.0) > fits(played, notes, 25.0)


def test_strokes_on_the_beat_align_and_those_between_do_not():
    on, between = _chords((48, 52), late_s=0.0), _chords((48, 52), late_s=0.25)
    assert beat_alignment(on, _pair()) > 1.0 > 0.0 > beat_alignment(between, _pair())


def test_strokes_where_they_are_expected_are_in_time_and_go_before_those_that_are_not():
    expected = onset_strength(_chords((60, 64), beat_s=0.48), RATE, 250)
    on, between = (_chords((48, 52), beat_s=0.48, late_s=late) for late in (0.0, 0.24))
    timed = [in_time(x, RATE, expected, 25.0) for x in (on, between)]
    assert timed[0] > 0.5 > 0.0 > timed[1]
    assert in_time(on, RATE, np.full(250, 0.5), 25.0) == 0.0
    assert Fit(0.02, timed[0], 0.0).total > Fit(0.05, timed[1], 0.0).total
    # more in tune than real ones is no better
    assert Fit(0.3, 0.1, 0.0).total == Fit(0.2, 0.1, 0.0).total > Fit(0.01, 0.1, 0.0).total


def test_of_two_accompaniments_that_differ_in_their_key_the_one_in_the_voices_own_fits_better():
    notes, pulse_G = note_tokens(SUNG, 250, 25.0), onset_strength(_chords((60, 64)), RATE, 250)
    own, foreign = (
        fit(_chords(chord), RATE, notes, pulse_G, Key(0, "major"), 25.0) for chord in ((48, 52, 55), (49, 53, 56))
    )
    assert own.in_key > 0 > foreign.in_key
    assert own.total > foreign.total


def test_the_key_of_a_song_is_that_of_its_label_or_of_what_is_sung():
    assert true_key(_pair()) == parse_key("C major")


def test_a_leaked_voice_is_found_even_late_and_quiet():
    rng = np.random.default_rng(0)
    voice, band = (rng.standard_normal(RATE).astype(np.float32) for _ in range(2))
    leaking = band + 0.3 * np.roll(voice, 300)
    assert coherence(leaking, voice) > 0.2 > coherence(band, voice)


def test_a_version_can_be_pinned_to_parts_that_were_mended(tmp_path):
    version = tiny_singsong.version(tmp_path / "version")
    mended = tiny_musiclm.model(seed=3)
    settings = json.loads((tmp_path / "tiny-musiclm" / "config.json").read_text())
    base = write_version(tmp_path / "tiny-musiclm", mended.packed(), settings, "---\nname: musiclm-tiny\n---\n")
    pinned = pin_base(tmp_path / "version", base)
    assert pinned.digest != version.digest
    assert pinned.config["parts"]["base"] == dict(read_base(base)[1].digests)
    assert load_generator(pinned, slots=1).version.digest == pinned.digest
