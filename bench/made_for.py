"""Pieces made from a taste: do they lie nearer to their own listener's taste than to others'?

Every listener here likes one kind of sound, said by a few captions; the taste is their middle in the joint space.
Its tokens alone, no words, are told to the model. The area under the ROC curve is 1 if every piece lies nearer to
its own taste than any piece of others does, and .5 by chance. Minutes of processor time for each piece.
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
from models.generator import GenerationError
from models.making import make_all
from models.musiclm.joint_space import JointSpace
from models.personal import TASTE, Opening, with_personal
from models.registry import find_version, load_generator
from models.resampling import at_rate
from models.taste.space import directions

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


def main() -> None:
    """Make pieces and compare."""
    options = parser(__doc__)
    options.add_argument("--model", default="musiclm-small")
    options.add_argument("--models", type=Path, help="folder with other versions than those that ship")
    options.add_argument("--listeners", type=int, default=len(TASTES))
    options.add_argument("--each", type=int, default=2, help="pieces for each listener")
    options.add_argument("--seconds", type=float, default=10.0)
    given = options.parse_args()
    version = find_version(given.model, [given.models] if given.models else [])
    space, generator = JointSpace(version), load_generator(version)
    tastes = [np.mean([space.of_words(words) for words in kind], axis=0) for kind in TASTES[: given.listeners]]
    taste_LE = directions(np.stack(tastes).astype(np.float32))
    identity = ModelIdentity(version.name, version.digest, version.kind)
    recipes: dict[str, Mapping[str, Any]] = {}
    for number, taste_E in enumerate(taste_LE):
        opening = Opening("00" * 32, space.tokens(taste_E))
        for seed in range(given.each):
            body = recipe_body(
                identity,
                prompt="made for a listener",
                seed=seed,
                duration_s=given.seconds,
                controls={TASTE: opening.commitment()},
            )
            recipes[f"{number}/{seed}"] = with_personal(body, opening.as_json())
    pieces, listener, began = [], [], time.process_time()
    for key, product in make_all(generator, recipes):
        if isinstance(product, GenerationError):
            raise product
        file = next(file for file in product.files if file.role == "waveform")
        samples, rate_hz = soundfile.read(io.BytesIO(file.data), dtype="float32")
        pieces.append(space.of_sound(at_rate(samples, rate_hz, space.sample_rate_hz)))
        listener.append(int(key.partition("/")[0]))
    likeness = np.stack(pieces) @ taste_LE.T
    is_own = np.array(listener)[:, None] == np.arange(len(taste_LE))[None]
    row: dict[str, Any] = {
        "model": version.name,
        "listeners": len(taste_LE),
        "pieces": len(pieces),
        "own": float(likeness[is_own].mean()),
        "others": float(likeness[~is_own].mean()),
        "auc": area_under_curve(likeness[is_own], likeness[~is_own]),
        "cpu_s_a_piece": (time.process_time() - began) / len(pieces),
    }
    show([row])
    finish("made_for", row, as_json=given.json)


if __name__ == "__main__":
    main()
