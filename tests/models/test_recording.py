"""A file with vocals is read whatever it is kept as; what cannot be sung along with is refused in one line."""

import io

import numpy as np
import pytest
import soundfile
import tiny_singsong

from models.recording import RecordingError, read_recording


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)]
)
def test_sound_files_of_every_common_kind_are_read(kind, subtype):
    out = io.BytesIO()
    soundfile.write(out, tiny_singsong.sung(rate_hz=44_100, channels=2), 44_100, format=kind, subtype=subtype)
    vocals = read_recording(out.getvalue(), "a voice")
    assert (vocals.sample_rate_hz, vocals.samples_TA.shape[1]) == (44_100, 2)
    assert vocals.duration_s == pytest.approx(2.0, abs=0.1)
    assert vocals.warnings == ()


def _broken():
    whole = tiny_singsong.file(tiny_singsong.sung(), kind="FLAC")
    return whole[: len(whole) // 2]


def _one_not_a_number():
    samples = np.full((32_000, 1), 0.5)
    samples[7] = np.inf
    return tiny_singsong.file(samples, subtype="FLOAT")


def _written_to_a_pipe():
    whole = bytearray(tiny_singsong.file(tiny_singsong.sung(), kind="FLAC"))
    whole[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    whole[22:26] = bytes(4)
    return bytes(whole)


def _half_a_wav():
    whole = tiny_singsong.file(tiny_singsong.sung())
    return whole[: len(whole) // 2]


REFUSED = {
    "empty": (b"", "empty; needed"),
    "a video": (b"\x00\x00\x00\x20ftypisom" + bytes(200), "ffmpeg"),
    "words": (b"la la la", "cannot be read as sound"),
    "half a file": (_broken(), "damaged|cannot be read"),
    "half a WAV": (_half_a_wav(), "damaged: it ends after [0-9]+ of [0-9]+ bytes of sound"),
    "a FLAC of unknown length": (_written_to_a_pipe(), "its length is not in it"),
    "an odd rate": (tiny_singsong.file(np.full((88_202, 1), 0.5), 44_101), "44101 samples a second are no usual"),
    "no samples": (
        tiny_singsong.file(np.zeros((0, 1), dtype=np.float32)),
        "0.00 s long, too short; a voice has 1 to 900 s$",
    ),
    "silence": (tiny_singsong.file(np.zeros((32_000, 1), dtype=np.float32)), "silent"),
    "two hours": (
        tiny_singsong.file(np.zeros((7200 * 100, 1)), 100, "PCM_U8"),
        "7200.0 s long; a voice has 1 to 900 s",
    ),
    "not a number": (
        tiny_singsong.file(np.full((32_000, 1), np.nan), subtype="FLOAT"),
        "damaged: 32000 of 32000 samples are not",
    ),
    "a moment": (tiny_singsong.file(np.full((15_960, 1), 0.5)), "0.9[0-9]+ s long, too short"),
    "one sample that is no number": (_one_not_a_number(), "damaged: 1 of 32000 samples are not numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_sung_along_with_is_refused_in_one_line(name):
    data, problem = REFUSED[name]
    with pytest.raises(RecordingError, match=problem) as refused:
        read_recording(data, "a voice")
    assert "\n" not in str(refused.value)


def test_what_is_amiss_and_can_still_be_used_is_a_warning():
    coarse = read_recording(tiny_singsong.file(tiny_singsong.sung(rate_hz=8000), 8000, "PCM_U8"), "a voice")
    clipped = read_recording(tiny_singsong.file(np.clip(9 * tiny_singsong.sung(), -1, 1)), "a voice")
    assert [warning.split()[0] for warning in coarse.warnings] == ["kept", "a"]
    assert "clipped" in clipped.warnings[0]


def test_a_wav_that_was_written_to_a_pipe_and_promises_no_end_is_read_whole():
    whole = bytearray(tiny_singsong.file(tiny_singsong.sung()))
    assert whole[36:40] == b"data"
    whole[4:8] = whole[40:44] = b"\xff" * 4
    piped, kept = (
        read_recording(bytes(each), "a voice") for each in (whole, tiny_singsong.file(tiny_singsong.sung()))
    )
    assert np.array_equal(piped.samples_TA, kept.samples_TA)
