"""Audio previews, judged by what a listener would hear."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from models.key import Key
from models.score.controls import ScoreControls
from models.score.draft import Draft, Note, Part
from models.score.midi import write_midi
from models.score.preview import LOUDNESS_LUFS, PreviewError, render_preview

MakeDraft = Callable[..., Draft]


def samples(flac: bytes) -> NDArray[np.float64]:
    audio, rate = soundfile.read(BytesIO(flac), always_2d=True)
    assert (rate, audio.shape[1]) == (48_000, 2)
    return np.asarray(audio)


@pytest.mark.parametrize(
    "instruments",
    [("violin", "violin", "viola", "cello"), ("piano",), ("harp", "flute"), ("double bass",), ("choir",)],
)
def test_a_preview_is_as_loud_as_promised_and_never_clips(
    tonal_draft: MakeDraft, instruments: tuple[str, ...]
) -> None:
    draft = tonal_draft(instruments, bars=4)
    preview = render_preview(write_midi(draft))
    audio = samples(preview.flac)

    assert np.abs(audio).max() <= 10 ** (-1 / 20) + 1e-4
    assert preview.loudness_lufs == pytest.approx(LOUDNESS_LUFS, abs=0.1) or preview.peak_dbfs == pytest.approx(
        -1, abs=0.1
    )
    assert preview.duration_s == pytest.approx(len(audio) / 48_000)
    assert draft.duration_s - 1 < preview.duration_s < draft.duration_s + 3


def test_the_pitch_heard_is_the_pitch_written() -> None:
    controls = ScoreControls(
        instruments=("flute",), key=Key(9, "minor"), metre="4/4", tempo_bpm=60, bars=1,
        texture="melody", density="sparse", dynamics="mf",
    )  # fmt: skip
    preview = render_preview(write_midi(Draft(controls, (Part("flute", ((Note(0, 81, 48),),)),))))
    tone = samples(preview.flac)[24_000:120_000].mean(axis=1)
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))

    assert np.argmax(spectrum) * 48_000 / len(tone) == pytest.approx(880, rel=0.01)


def test_the_bytes_are_the_same_each_time(tonal_draft: MakeDraft) -> None:
    midi = write_midi(tonal_draft(("guitar",), bars=2))

    assert render_preview(midi) == render_preview(midi)


def test_silence_is_an_error(tonal_draft: MakeDraft) -> None:
    draft = tonal_draft(("flute",), bars=2)

    with pytest.raises(PreviewError, match="silent"):
        render_preview(write_midi(Draft(draft.controls, (Part("flute", ((),)),))))


def test_what_is_not_midi_is_an_error() -> None:
    with pytest.raises(PreviewError, match="not a MIDI file"):
        render_preview(b"not MIDI at all")
