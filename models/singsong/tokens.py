"""Every pair as tokens, computed once by the frozen tokenisers: what the stages learn from.

The accompaniment gives what is predicted; the voice, taken out of the mix by the separator, gives what is heard, with
and without noise.

Shapes: N pairs, T samples, F codec frames, Q semantic frames, K codebooks, P MuLan tokens, C captions,
S sentence width, G frames of the vocals, A tokens a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.material.synth import SAMPLE_RATE_HZ
from models.mulan.sentences import Sentences
from models.singsong.base import Base
from models.singsong.harmony import Harmony, true_guide
from models.singsong.hearing import Hearing, note_tokens
from models.singsong.pairs import PAIR_SAMPLES, PairSet
from models.singsong.separator import Separator
from models.training.kept import keep
from models.whole_files import whole_file

_AT_ONCE = 4
_CAPTIONS = 1  # of each pair: reading words takes longer than hearing ten seconds
Told = Callable[[int, int], None]


def accompaniment_tokens(
    pairs: PairSet, base: Base, sentences: Sentences, path: Path, told: Told
) -> dict[str, Tensor]:
    """Compute semantic_NQ, codes_NFK, audio_NP and text_NCP (int16), or read them from `path` if they are there."""
    if not path.is_file():
        semantic, codes, audio, text = [], [], [], []
        with torch.inference_mode():
            for start in range(0, len(pairs), _AT_ONCE):
                numbers = range(start, min(start + _AT_ONCE, len(pairs)))
                x_BT = torch.stack([torch.from_numpy(pairs.accompaniment(n)) for n in numbers])
                semantic.append(base.semantic_model.tokens(x_BT).short())
                codes.append(base.codec.encode(x_BT).short())
                audio += [base.mulan.tokens(base.mulan.embed_audio(x)).short() for x in x_BT]
                for number in numbers:
                    vectors_CS = torch.stack([sentences(words) for words in pairs.pairs[number].captions[:_CAPTIONS]])
                    text.append(base.mulan.quantiser.encode(base.mulan.text(vectors_CS)[None])[0].short())
                told(numbers.stop, len(pairs))
        found = {
            "semantic_NQ": torch.cat(semantic), "codes_NFK": torch.cat(codes), "audio_NP": torch.stack(audio),
            "text_NCP": torch.stack(text),
        }  # fmt: skip
        keep(found, path)
    return read(path)


def read(path: Path) -> dict[str, Tensor]:
    """Read what `keep` wrote."""
    tensors: dict[str, Tensor] = torch.load(path, weights_only=True)
    return tensors


def separate(pairs: PairSet, separator: Separator, path: Path, told: Told) -> NDArray[np.int16]:
    """Return the voice of every pair as the separator takes it out of the mix, int16 (N, T); kept in `path`."""
    if not path.is_file():
        found = np.zeros((len(pairs), PAIR_SAMPLES), dtype=np.int16)
        with torch.inference_mode():
            for start in range(0, len(pairs), _AT_ONCE):
                numbers = range(start, min(start + _AT_ONCE, len(pairs)))
                mix_BT = torch.stack([torch.from_numpy(pairs.voice(n) + pairs.accompaniment(n)) for n in numbers])
                voice_BT = separator.voice(mix_BT).clamp(-1, 1)
                found[start : numbers.stop] = (voice_BT * 32767).round().numpy().astype(np.int16)
                told(numbers.stop, len(pairs))
        with whole_file(path) as file:
            np.save(file, found)
    voices: NDArray[np.int16] = np.load(path, mmap_mode="r")
    return voices


def vocal_tokens(separated_NT: NDArray[np.int16], hearing: Hearing, path: Path, told: Told) -> Tensor:
    """Compute vocals_NGA (int16), what is heard of every separated voice, or read it from `path` if it is there."""
    if not path.is_file():
        rows = []
        for start in range(0, len(separated_NT), _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, len(separated_NT)))
            voices = [hearing.prepared(separated_NT[n].astype(np.float32) / 32768, seed=n) for n in numbers]
            rows.append(hearing.of_batch(torch.from_numpy(np.stack(voices))).short())
            told(numbers.stop, len(separated_NT))
        keep({"vocals_NGA": torch.cat(rows)}, path)
    return read(path)["vocals_NGA"]


def true_guides(pairs: PairSet, frame_rate_hz: float, path: Path, told: Told) -> Tensor:
    """Compute guides_NGH (half precision) of all accompaniments, or read them from `path` if they are there."""
    if not path.is_file():
        rows = []
        for number in range(len(pairs)):
            guide = true_guide(pairs.accompaniment(number), SAMPLE_RATE_HZ, frame_rate_hz)
            rows.append(torch.from_numpy(guide).half())
            told(number + 1, len(pairs))
        keep({"guides_NGH": torch.stack(rows)}, path)
    return read(path)["guides_NGH"]


def true_notes(pairs: PairSet, frames: int, frame_rate_hz: float) -> Tensor:
    """Return notes_NG1 of all pairs as they are sung, were they heard without error."""
    rows = [torch.from_numpy(note_tokens(pair.sung, frames, frame_rate_hz)) for pair in pairs.pairs]
    return torch.stack(rows).short()[..., None]


@torch.inference_mode()
def guessed_guides(harmony: Harmony, vocals_NGA: Tensor, path: Path) -> Tensor:
    """Guess guides_NGH (half precision) from all vocals, or read them from `path` if they are there."""
    if not path.is_file():
        keep({"guides_NGH": torch.cat([harmony(part.long()).half() for part in torch.split(vocals_NGA, 16)])}, path)
    return read(path)["guides_NGH"]
