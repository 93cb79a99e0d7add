"""What comes of recordings of real singing, which training never has: told apart from held-out songs.

Nothing is known of such a recording but its sound, so only sanity is measured: that something sounds throughout, that
nothing is clipped, and that the voice is not inside.

Shapes: T samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.evaluation.clip import Clip
from models.evaluation.figure import Figure
from models.generator import Generator
from models.recording import RecordingError, read_recording
from models.resampling import at_rate
from models.singsong.evaluation import RATE_HZ, Told, Waveform, accompany, coherence, together

_SPAN_S, _SILENT_DBFS, _FULL = 0.5, -50.0, 0.999
_WHAT = "recordings of real singing, out of domain"


def read_voices(folder: Path) -> dict[str, Waveform]:
    """Return the recordings of a folder by name, mono at 16 kHz.

    Raises:
        RecordingError: one cannot be used, or there is none.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    if not paths:
        raise RecordingError(f"{folder} has no recordings")
    found = {}
    for path in paths:
        try:
            recording = read_recording(path.read_bytes(), "a voice")
        except RecordingError as error:
            raise RecordingError(f"{path}: {error}") from error
        found[path.name] = at_rate(recording.mono_T, recording.sample_rate_hz, RATE_HZ)
    return found


def evaluate_voices(
    generator: Generator, voices: Mapping[str, Waveform], *, report: Told
) -> tuple[list[Figure], list[tuple[str, Clip]]]:
    """Accompany every recording; return figures and clips to listen to.

    Raises:
        GenerationError: an accompaniment could not be made.
    """
    sung = list(voices.values())
    made = accompany(generator, sung, lambda done, total: report("real voices", done, total, {}))
    inside = [coherence(x, voice) for x, voice in zip(made, sung, strict=True)]
    others = [coherence(made[n], sung[(n + 1) % len(sung)]) for n in range(len(made))]
    count = len(sung)
    figures = [
        Figure(
            name="real voices: sounding", meaning=f"share of half seconds over {_SILENT_DBFS:g} dBFS; {_WHAT}",
            generated=float(np.mean([_sounding(x) for x in made])), goal=0.9, clips=count,
        ),
        Figure(
            name="real voices: clipped", meaning=f"share of samples at full scale; {_WHAT}",
            generated=float(np.mean([np.mean(np.abs(x) >= _FULL) for x in made])), goal=0.0, better="lower",
            clips=count,
        ),
        Figure(
            name="real voices: vocals inside, as a waveform",
            meaning=f"largest correlation within 50 ms; 'shuffled' is with another recording; {_WHAT}",
            generated=float(np.mean(inside)), shuffled=float(np.mean(others)) if count > 1 else None,
            better="lower", clips=count,
        ),
    ]  # fmt: skip
    examples = [
        (f"real voice, {name}, and what was made", Clip(together(voice, x), RATE_HZ))
        for (name, voice), x in zip(voices.items(), made, strict=True)
    ]
    return figures, examples


def _sounding(waveform_T: Waveform) -> float:
    span = round(_SPAN_S * RATE_HZ)
    spans = waveform_T[: len(waveform_T) // span * span].reshape(-1, span)
    return float(np.mean(np.sqrt(np.mean(spans**2, axis=1)) > 10 ** (_SILENT_DBFS / 20)))
