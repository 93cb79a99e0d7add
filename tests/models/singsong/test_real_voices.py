"""Recordings of real singing are accompanied and looked at; folders without any are refused by name."""

import pytest
import tiny_singsong

from models.recording import RecordingError
from models.registry import load_generator
from models.singsong.real_voices import evaluate_voices, read_voices


def test_each_recording_gets_an_accompaniment_that_sounds_and_its_figures(tmp_path):
    for name, before_s in (("a.wav", 0.0), ("b.wav", 0.5)):
        (tmp_path / name).write_bytes(tiny_singsong.file(tiny_singsong.sung(1.5, 22_050, 2, before_s), 22_050))
    voices = read_voices(tmp_path)
    assert [len(voice) for voice in voices.values()] == [24_000, 32_000]
    generator = load_generator(tiny_singsong.version(tmp_path / "models" / "version"), slots=2)
    told = []
    figures, examples = evaluate_voices(generator, voices, report=lambda *said: told.append(said[:3]))
    named = {figure.name.removeprefix("real voices: "): figure for figure in figures}
    assert named["sounding"].generated > 0.5
    assert named["clipped"].generated == 0.0
    assert 0.0 < named["vocals inside, as a waveform"].generated < 1.0
    assert [len(clip.waveform) for _, clip in examples] == [24_000, 32_000]
    assert told[-1] == ("real voices", 2, 2)


def test_a_folder_without_recordings_and_one_with_something_else_are_refused(tmp_path):
    with pytest.raises(RecordingError, match="has no recordings"):
        read_voices(tmp_path)
    (tmp_path / "words.txt").write_text("la la la")
    with pytest.raises(RecordingError, match=r"words\.txt: cannot be read as sound"):
        read_voices(tmp_path)
