"""The pictures of musiclm-small in README and its decision note: what it makes, and how it learnt.

docs/images/soundscapes.jpg is made anew from four prompts; docs/images/curves.png from a training's folder, if one is
given.
"""

from __future__ import annotations

from pathlib import Path

from bench.commands import ROOT
from bench.soundscapes import CLIP_S, PROMPTS
from bench.support import finish, parser
from models.evaluation.clip import Clip
from models.evaluation.spectrogram import write_spectrograms
from models.musiclm.evaluation import make
from models.musiclm.release import runs
from models.registry import find_version, load_generator
from models.training.curves import plot_curves

IMAGES = ROOT / "docs" / "images"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--training", type=Path, help="folder of the training of musiclm-small, for its curves")
    given = options.parse_args()
    generator = load_generator(find_version("musiclm-small", []), slots=4)
    recipes = [{"prompt": p, "seed": n, "duration_s": CLIP_S, "controls": {}} for n, p in enumerate(PROMPTS)]
    waves = make(generator, recipes, lambda _done, _total: None)
    clips = [Clip(wave, 16_000, prompt=prompt) for wave, prompt in zip(waves, PROMPTS, strict=True)]
    write_spectrograms(clips, IMAGES / "soundscapes.jpg")
    if given.training is not None:
        plot_curves(runs(given.training), IMAGES / "curves.png")
    files = {path.name: path.stat().st_size for path in (IMAGES / "soundscapes.jpg", IMAGES / "curves.png")}
    print("\n".join(f"{name}: {size} bytes" for name, size in files.items()))
    finish("pictures", files, as_json=given.json)


if __name__ == "__main__":
    main()
