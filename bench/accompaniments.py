"""How fast singsong-small accompanies voices of ten seconds: one alone after a first one, and a batch of 8.

The model alone, in this process, on as many threads as PyTorch has cores. The voices are sung by rule.
"""

from __future__ import annotations

import io
import time

import numpy as np
import soundfile

from bench.support import finish, parser, show
from models.digests import digest_of_bytes
from models.generator import NO_WORDS, Generator
from models.making import make_all
from models.material.synth import Note
from models.registry import find_version, load_generator
from models.singsong.generator import VOCALS
from models.singsong.voice import draw_singer, sing

VOICE_S, RATE_HZ, BATCH = 10.0, 16_000, 8
STEPS = (0, 2, 4, 5, 7, 5, 4, 2, 4, 0)  # a second each, above the first note


def voice(number: int) -> bytes:
    """Return a voice that sings up and down, each from another note."""
    rng = np.random.Generator(np.random.Philox(key=number))
    notes = [Note(float(n), 0.95, 57 + number + step, 90, 0) for n, step in enumerate(STEPS)]
    file = io.BytesIO()
    soundfile.write(file, sing(notes, draw_singer(rng), VOICE_S, rng) * np.float32(0.3), RATE_HZ, format="WAV")
    return file.getvalue()


def seconds(generator: Generator, numbers: range) -> tuple[float, float]:
    """Accompany voices; return (wall, processor) seconds.

    Raises:
        GenerationError: one could not be accompanied.
    """
    files = {str(n): voice(n) for n in numbers}
    recipes = {
        key: {"prompt": NO_WORDS, "seed": 0, "duration_s": VOICE_S,
              "controls": {"accompany": {"vocals": digest_of_bytes(data)}}}
        for key, data in files.items()
    }  # fmt: skip
    wall, processor = time.perf_counter(), time.process_time()
    for _, made in make_all(generator, recipes, lambda key: {VOCALS: files[key]}):
        if isinstance(made, Exception):
            raise made
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    given = parser(__doc__).parse_args()
    generator = load_generator(find_version("singsong-small", []), slots=BATCH)
    seconds(generator, range(1))
    rows = [
        {"what": what, "wall_s": took[0], "processor_s": took[1], "audio_s": VOICE_S * count}
        for what, count, took in (
            ("one accompaniment, warm", 1, seconds(generator, range(1, 2))),
            (f"batch of {BATCH}", BATCH, seconds(generator, range(2, 2 + BATCH))),
        )
    ]
    show(rows)
    finish("accompaniments", {"rows": rows}, as_json=given.json)


if __name__ == "__main__":
    main()
