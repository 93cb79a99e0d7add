"""How fast musiclm-small makes clips of ten seconds, and how much memory the whole of Tutti takes meanwhile.

The model alone: one clip after a first one, and a batch of 16, in this process on one thread. The whole: an order of
16 by two workers in a new home, all processes counted (those shared with nobody in full, shared pages in parts).
With --beside FOLDER only the model alone, and by turns with the version in that folder: ratios of processor seconds.
"""

from __future__ import annotations

import statistics
import time
from contextlib import suppress
from pathlib import Path

import psutil

from bench.commands import tutti
from bench.support import finish, parser, peak_of_memory, postgres_of, show, temporary_home
from models.generator import Generator
from models.musiclm.evaluation import make
from models.registry import find_version, load_generator
from models.weights import read_version

CLIP_S, BATCH = 10.0, 16
PROMPTS = ("slow solo flute", "rain on leaves", "an up-tempo funk band with drums", "calm piano and a string quartet")


def seconds(generator: Generator, count: int, first_seed: int) -> tuple[float, float]:
    """Make clips; return (wall, processor) seconds."""
    recipes = [
        {"prompt": PROMPTS[n % len(PROMPTS)], "seed": first_seed + n, "duration_s": CLIP_S, "controls": {}}
        for n in range(count)
    ]
    wall, processor = time.perf_counter(), time.process_time()
    make(generator, recipes, lambda _done, _total: None)
    return time.perf_counter() - wall, time.process_time() - processor


def processes_of(home: Path) -> list[psutil.Process]:
    """Return all processes of a home."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TUTTI_HOME") == str(home):
                found[process.pid] = process
    with suppress(psutil.Error, TypeError):  # it has no environment of ours
        found |= {process.pid: process for process in postgres_of(home)}
    return list(found.values())


def beside(folder: Path, rounds: int) -> list[dict[str, object]]:
    """Make the same clips by turns with musiclm-small and another version."""
    versions = {"musiclm-small": find_version("musiclm-small", []), "beside": read_version(folder)}
    generators = {name: load_generator(version, slots=8) for name, version in versions.items()}
    for generator in generators.values():
        seconds(generator, 1, 0)
    rows: list[dict[str, object]] = []
    for what, count in (("one clip, warm", 1), (f"batch of {BATCH}", BATCH)):
        found = [{name: seconds(each, count, n)[1] for name, each in generators.items()} for n in range(rounds)]
        ratios = [pair["musiclm-small"] / pair["beside"] for pair in found]
        medians = {f"{name}_s": statistics.median(pair[name] for pair in found) for name in generators}
        rows.append(
            {"what": what, **medians, "ratio": statistics.median(ratios), "from": min(ratios), "to": max(ratios)}
        )
    return rows


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--beside", type=Path, metavar="FOLDER", help="another version, to be compared with")
    flags.add_argument("--rounds", type=int, default=5, help="of the comparison")
    given = flags.parse_args()
    if given.beside:
        rows = beside(given.beside, given.rounds)
        show(rows)
        finish("soundscapes_beside", {"rows": rows}, as_json=given.json)
        return
    generator = load_generator(find_version("musiclm-small", []), slots=8)
    seconds(generator, 1, 0)
    alone, batch = seconds(generator, 1, 1), seconds(generator, BATCH, 2)
    del generator
    with temporary_home() as home:
        order = home / "order.yaml"
        tracks = ", ".join(f"{{prompt: {prompt}, count: {BATCH // len(PROMPTS)}}}" for prompt in PROMPTS)
        order.write_text(f"catalogue: soundscapes\nkind: soundscape\nduration_s: {CLIP_S}\ntracks: [{tracks}]\n")
        try:
            with peak_of_memory(lambda: processes_of(home)) as peak:
                began = time.perf_counter()
                made = tutti(home, "generate", str(order), "--workers", "2")["made"]
                whole_s = time.perf_counter() - began
        finally:
            tutti(home, "down")
    rows = [
        {"what": "one clip, warm", "wall_s": alone[0], "processor_s": alone[1], "audio_s": CLIP_S},
        {"what": f"batch of {BATCH}", "wall_s": batch[0], "processor_s": batch[1], "audio_s": CLIP_S * BATCH},
        {"what": "tutti generate", "wall_s": whole_s, "processor_s": "", "audio_s": CLIP_S * made},
    ]
    show(rows)
    print(f"all processes at their peak: {peak[0]:.0f} MB")
    finish("soundscapes", {"rows": rows, "peak_mb": round(peak[0])}, as_json=given.json)


if __name__ == "__main__":
    main()
