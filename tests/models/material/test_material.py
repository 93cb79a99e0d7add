"""Clips are what their labels say, and drawn by counter."""

import ctypes.util
import json

import numpy as np
import pytest
from breaking import disk_with_room_for
from scipy.signal import find_peaks

from models.material import render as rendering
from models.material.ambience import Recording, scene_clip
from models.material.captions import caption
from models.material.clips import Clip
from models.material.grooves import STYLES, band, drum_beats
from models.material.instruments import SOUNDS
from models.material.labels import TEMPI, Labels, labels_from
from models.material.performance import perform
from models.material.scores import Piece
from models.material.synth import DRUM_CHANNEL, Note, Room, Synth, unheard_soundfont

synth_only = pytest.mark.skipif(
    ctypes.util.find_library("fluidsynth") is None, reason="needs libfluidsynth, as rendering does"
)
DRY = Room(decay_s=0.5, dullness=0.5, level=0.0, seed=0)


def rng(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


def piece(lines=4, keyboard=False):
    """Scales in quarters and eighths, a line an octave below the other."""
    onsets = np.arange(0, 200, 0.5)
    rows = [
        np.stack([onsets, np.full_like(onsets, 0.5), 76 - 12 * line + np.tile([0, 2, 4, 5, 7, 5, 4, 2], 50)], axis=1)
        for line in range(lines)
    ]
    notes = [row.astype(np.float32) for row in rows]
    return Piece("scale.mxl", "Anon", "test", "CC0-1.0", "sha256:0", tuple(notes), notes[-1] if keyboard else None)


@pytest.mark.parametrize("kind", ["solo", "ensemble", "band", "drums"])
def test_notes_suit_their_labels(kind):
    for seed in range(12):
        made = perform(kind, [piece(), piece(1, keyboard=True)], 10.0, rng(seed))
        labels = made.labels
        low, high = TEMPI[labels.tempo]
        assert low <= labels.tempo_bpm <= high
        assert labels.drums == any(note.channel == DRUM_CHANNEL for note in made.notes)
        programs = dict(made.programs)
        for channel, name in zip([c for c in programs if c != DRUM_CHANNEL], labels.instruments, strict=True):
            assert programs[channel] in SOUNDS[name].programs
        if kind in ("solo", "ensemble"):
            pitches = {(n.channel, n.pitch) for n in made.notes}
            by_channel = dict(zip(programs, labels.instruments, strict=True))
            assert all(SOUNDS[by_channel[c]].low <= p <= SOUNDS[by_channel[c]].high for c, p in pitches)


def test_the_same_draw_gives_the_same_notes():
    assert perform("band", [], 10.0, rng(3)) == perform("band", [], 10.0, rng(3))
    assert perform("band", [], 10.0, rng(3)) != perform("band", [], 10.0, rng(4))


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_every_style_has_a_beat_in_every_bar(style):
    for seed in range(4):
        beats = drum_beats(style, 8, rng(seed))
        assert {int(onset // style.quarters) for onset, *_ in beats} >= set(range(8))
        parts = band(style, 2, "minor", 8, rng(seed)).parts
        assert len(parts) >= 3
        assert all(0 < pitch < 120 for name, part in parts.items() for _, _, pitch, _ in part)


def test_captions_name_what_is_there_and_nothing_else():
    labels = Labels(kind="solo", instruments=("cello",), tempo="slow", tempo_bpm=50.0, key="D minor", mode="minor")
    texts = {caption(labels, rng(seed)) for seed in range(60)}
    assert len(texts) > 20
    assert all("cello" in text for text in texts)
    assert any("slow" in text for text in texts)
    assert not any(word in text for text in texts for word in ("fast", "major", "violin", "rain"))


def test_captions_of_scenes_and_music_name_both():
    labels = Labels(kind="scene and music", instruments=("flute",), scenes=("rain",), tempo="fast", tempo_bpm=140.0)
    texts = [caption(labels, rng(seed)) for seed in range(30)]
    assert all("flute" in text and "rain" in text for text in texts)


def test_labels_survive_being_written():
    labels = Labels(kind="band", instruments=("piano", "bass"), drums=True, style="jazz")
    assert labels_from(labels.as_dict()) == labels


def test_scenes_of_validation_come_from_the_end_of_a_recording():
    wave = np.concatenate([np.full(16_000 * 17, 0.1), np.full(16_000 * 3, -0.1)]).astype(np.float32)
    recording = Recording("x.ogg", "rain", "a", "CC0-1.0", "s", "sha256:0", wave)
    for seed in range(8):
        inside = slice(1000, -1000)
        assert (scene_clip(recording, 10.0, rng(seed), held_out=False)[inside] > 0).all()
        assert (scene_clip(recording, 2.0, rng(seed), held_out=True)[inside] < 0).all()
        assert len(scene_clip(recording, 10.0, rng(seed), held_out=True)) == 160_000  # looped


@synth_only
def test_a_note_sounds_at_its_pitch_and_time():
    synth = Synth(unheard_soundfont())
    heard = synth.render([Note(1.0, 1.0, 69, 100, 0)], [(0, 73)], DRY, start_s=0.5, duration_s=2.0)
    assert len(heard) == 32_000
    assert np.abs(heard[:7000]).max() < 0.01 < np.abs(heard[9000:20_000]).max()
    spectrum = np.abs(np.fft.rfft(heard[9000:25_000] * np.hanning(16_000)))
    assert find_peaks(spectrum, height=spectrum.max() * 0.3)[0][0] == pytest.approx(440, abs=4)


@synth_only
def test_a_shard_made_twice_is_the_same():
    recording = Recording(
        "x.ogg", "rain", "a", "CC0-1.0", "s", "sha256:0", rng().standard_normal(400_000).astype("f4")
    )
    pieces = [piece(), piece(1, keyboard=True)]

    def clips():
        material = rendering.Material(pieces, pieces, [recording], {})
        material.synths |= {name: Synth(unheard_soundfont()) for name in ("FluidR3_GM", "MuseScore_General_Lite")}
        return [rendering.make_clip(0, number, "train", material) for number in range(6)]

    for (a, heard_a), (b, heard_b) in zip(clips(), clips(), strict=True):
        assert a == b
        assert np.array_equal(heard_a, heard_b)
        assert 0.01 < np.abs(heard_a).max() < 1


def test_a_shard_whose_index_broke_off_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "SHARD", 2)
    monkeypatch.setattr(rendering, "CLIP_SAMPLES", 8)
    monkeypatch.setattr(rendering, "_material", rendering.Material([], [], [], {}))

    def short_clip(seed, number, split, material):
        words = ("slow solo piano " * 20,)
        return Clip(number, split, Labels(kind="solo"), words, ("x.mxl",)), np.zeros(8, dtype=np.float32)

    monkeypatch.setattr(rendering, "make_clip", short_clip)
    (tmp_path / "audio").mkdir()
    job = (rendering.RenderConfig(), 0, tmp_path, tmp_path)
    with disk_with_room_for(300), pytest.raises(OSError, match="too large"):  # for the samples, not for the index
        rendering._render_shard(job)
    rendering._render_shard(job)
    lines = (tmp_path / "audio" / "00000.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1]
