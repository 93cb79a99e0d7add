"""The melodies of rendered clips: taken from the notes they were played from, not from their sound.

Shapes: N clips, F frames.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from models.material.clips import CLIP_S, SHARD, Split
from models.material.render import RenderConfig, drawn, load_material, material
from models.material.synth import DRUM_CHANNEL
from models.melody.contour import FRAME_RATE_HZ, UNTOLD, Classes, skyline
from models.whole_files import whole_file

FRAMES = round(CLIP_S * FRAME_RATE_HZ)


def read_melodies(
    config: RenderConfig, data: Path, clips: Path, path: Path, workers: int, progress: Callable[[int, int], None]
) -> Classes:
    """Return melodies_NF of all clips, in the order of their numbers; what was found is kept in `path`.

    Clips without pitched notes, scenes and drums, have no melody: all their frames are untold.

    Args:
        config: what the clips were rendered by.
        data: the folder with the scores.
        clips: the folder the clips were rendered into.
        path: a file for the melodies, .npy.
        workers: processes.
        progress: told (clips done, of how many).
    """
    if not path.is_file():
        jobs = [(config, shard) for shard in range(config.shards)]
        rows = []
        with ProcessPoolExecutor(workers, initializer=load_material, initargs=(data, clips)) as pool:
            for done, shard_NF in enumerate(pool.map(_melodies_of_shard, jobs), start=1):
                rows.append(shard_NF)
                progress(done * SHARD, config.shards * SHARD)
        with whole_file(path) as file:
            np.save(file, np.concatenate(rows))
    melodies_NF: Classes = np.load(path)
    return melodies_NF


def _melodies_of_shard(job: tuple[RenderConfig, int]) -> Classes:
    config, shard = job
    split: Split = config.split(shard)
    return np.stack([_melody(config.seed, shard * SHARD + row, split) for row in range(SHARD)])


def _melody(seed: int, number: int, split: Split) -> Classes:
    performance = drawn(seed, number, split, material()).performance
    notes = [] if performance is None else [n for n in performance.notes if n.channel != DRUM_CHANNEL]
    if performance is None or not notes:
        return np.full(FRAMES, UNTOLD, dtype=np.uint8)
    return skyline(((n.onset_s - performance.start_s, n.duration_s, n.pitch) for n in notes), FRAMES)
