"""Pieces made from a taste: do they lie nearer to their own listener's taste than to others'?

Every listener here likes one kind of sound, said by a few captions; the taste is their middle in the joint space.
Its tokens alone, no words, are told to the model. The area under the ROC curve is 1 if every piece lies nearer to
its own taste than any piece of others does, and .5 by chance.

That is measured where the model itself was told the taste, and where it kept the best of several takes. So judges
that no training used (musicnn, YAMNet) listen as well: are the tags they give a piece more like those of pieces made
from the words that its own listener likes than like those of others'? Likeness is the cosine of tags, less the mean
tags of all pieces, averaged over a listener's pieces. Half a second of processor time for each second of sound.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from bench.support import finish, parser, show
from flows.recipe import ModelIdentity, recipe_body
from models.evaluation.scores import area_under_curve
from models.generator import Generator
from models.judges.musicnn import Musicnn
from models.judges.yamnet import Yamnet
from models.making import make_all
from models.musiclm.joint_space import JointSpace
from models.personal import TASTE, Opening, with_personal
from models.registry import find_version, load_generator
from models.resampling import at_rate
from models.taste.space import Vectors, directions

TASTES: Final = (
    ("slow solo piano", "calm piano for reading", "a quiet piano piece"),
    ("rain on leaves", "heavy rain", "rain and distant thunder"),
    ("a string quartet", "warm strings", "slow strings, sad"),
    ("an up-tempo funk band with drums", "a drum groove", "fast drums and bass"),
    ("solo flute", "a calm flute melody", "flute and harp"),
    ("waves on a beach", "the sea", "waves and wind"),
    ("a church organ", "slow organ chords", "solemn organ"),
    ("acoustic guitar", "a gentle guitar", "fingerpicked guitar"),
)


def told(space: JointSpace, identity: ModelIdentity, tastes: Vectors, each: int, seconds: float) -> dict[str, Any]:
    """Return recipes of pieces that are told a taste and no words."""
    recipes: dict[str, Mapping[str, Any]] = {}
    for number, taste_E in enumerate(tastes):
        opening = Opening("00" * 32, space.tokens(taste_E))
        for seed in range(each):
            body = recipe_body(
                identity,
                prompt="made for a listener",
                seed=seed,
                duration_s=seconds,
                controls={TASTE: opening.commitment()},
            )
            recipes[f"told/{number}/{seed}"] = with_personal(body, opening.as_json())
    return recipes


def liked(identity: ModelIdentity, listeners: int, each: int, seconds: float) -> dict[str, Any]:
    """Return recipes of pieces made from the words that listeners like."""
    return {
        f"liked/{number}/{seed}": recipe_body(identity, prompt=words, seed=seed, duration_s=seconds, controls={})
        for number in range(listeners)
        for seed, words in enumerate(TASTES[number][:each])
    }


def made(generator: Generator, recipes: Mapping[str, Any]) -> dict[str, tuple[Vectors, int]]:
    """Return the waveform, mono, and the sample rate of each."""
    out: dict[str, tuple[Vectors, int]] = {}
    for key, product in make_all(generator, recipes):
        if isinstance(product, Exception):
            raise product
        file = next(file for file in product.files if file.role == "waveform")
        samples, rate_hz = soundfile.read(io.BytesIO(file.data), dtype="float32", always_2d=True)
        out[key] = samples.mean(axis=1), rate_hz
    return out


def by_tags(tags: Mapping[str, Vectors]) -> Vectors:
    """Return how alike the tags of each told piece (rows, by key) and of each listener's liked pieces are."""
    keys = sorted(tags)
    direction_NC = directions(np.stack([tags[key] for key in keys]) - np.mean(list(tags.values()), axis=0))
    own = dict(zip(keys, direction_NC, strict=True))
    listeners = sorted({int(key.split("/")[1]) for key in keys})
    rows = [own[key] for key in keys if key.startswith("told/")]
    middles = [np.mean([own[key] for key in keys if key.startswith(f"liked/{one}/")], axis=0) for one in listeners]
    alike_NL: Vectors = np.stack(rows) @ np.stack(middles).T
    return alike_NL


def main() -> None:
    """Make pieces and compare."""
    options = parser(__doc__)
    options.add_argument("--model", default="musiclm-small")
    options.add_argument("--models", type=Path, help="folder with other versions than those that ship")
    options.add_argument("--listeners", type=int, default=len(TASTES))
    options.add_argument("--each", type=int, default=2, help="pieces for each listener")
    options.add_argument(
        "--liked", type=int, default=3, help="pieces made from words that each likes, for the judges"
    )
    options.add_argument("--seconds", type=float, default=10.0)
    given = options.parse_args()
    version = find_version(given.model, [given.models] if given.models else [])
    space, generator = JointSpace(version), load_generator(version)
    tastes = [np.mean([space.of_words(words) for words in kind], axis=0) for kind in TASTES[: given.listeners]]
    taste_LE = directions(np.stack(tastes).astype(np.float32))
    identity = ModelIdentity(version.name, version.digest, version.kind)
    recipes = told(space, identity, taste_LE, given.each, given.seconds)
    recipes |= liked(identity, len(taste_LE), given.liked, given.seconds)
    began = time.process_time()
    pieces = made(generator, recipes)
    cpu_s = time.process_time() - began
    keys = sorted(key for key in pieces if key.startswith("told/"))
    is_own = np.array([int(key.split("/")[1]) for key in keys])[:, None] == np.arange(len(taste_LE))[None]
    placed = [space.of_sound(at_rate(*pieces[key], space.sample_rate_hz)) for key in keys]
    likeness = np.stack(placed) @ taste_LE.T
    row: dict[str, Any] = {
        "model": version.name,
        "listeners": len(taste_LE),
        "pieces": len(keys),
        "own": float(likeness[is_own].mean()),
        "others": float(likeness[~is_own].mean()),
        "auc": area_under_curve(likeness[is_own], likeness[~is_own]),
    }
    if given.liked:
        musicnn, yamnet = Musicnn.load(), Yamnet.load()
        for name, tags in (
            ("musicnn", {key: musicnn.listen(*piece)[0].mean(axis=0) for key, piece in pieces.items()}),
            ("yamnet", {key: yamnet.scores(*piece) for key, piece in pieces.items()}),
        ):
            alike = by_tags(tags)
            row[f"auc_{name}"] = area_under_curve(alike[is_own], alike[~is_own])
    row["cpu_s_a_piece"] = cpu_s / len(pieces)
    show([row])
    finish("made_for", row, as_json=given.json)


if __name__ == "__main__":
    main()
