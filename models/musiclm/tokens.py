"""Every clip of a set as tokens, computed once by the frozen tokenisers: what the stages learn from.

Shapes: N clips, F codec frames, Q semantic frames, K codebooks, P MuLan tokens, C captions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.material.clips import ClipSet
from models.mulan.model import Mulan
from models.soundstream.codec import SoundStream
from models.training.kept import keep
from models.w2v_bert.model import W2vBert

_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticTokens:
    """Semantic and MuLan tokens of all clips, by number."""

    semantic_NQ: Tensor  # int16
    audio_NP: Tensor  # int16, of the audio
    text_NCP: Tensor  # int16, of each caption


def semantic_tokens(
    clips: ClipSet,
    semantic: W2vBert,
    mulan: Mulan,
    captions_NCS: Tensor,
    path: Path,
    progress: Callable[[int, int], None],
) -> SemanticTokens:
    """Compute the tokens of the first stage, or read them from `path` if they are there."""
    if not path.is_file():
        semantic_rows, audio_rows, text_rows = [], [], []
        with torch.inference_mode():
            for start in range(0, len(clips), _AT_ONCE):
                numbers = range(start, min(start + _AT_ONCE, len(clips)))
                x_BT = torch.stack([torch.from_numpy(clips.waveform(n)) for n in numbers])
                semantic_rows.append(semantic.tokens(x_BT).short())
                audio_rows += [mulan.tokens(mulan.embed_audio(x)).short() for x in x_BT]
                texts_BCE = mulan.text(captions_NCS[numbers.start : numbers.stop])
                text_rows.append(mulan.quantiser.encode(texts_BCE).short())
                progress(numbers.stop, len(clips))
        found = {
            "semantic_NQ": torch.cat(semantic_rows),
            "audio_NP": torch.stack(audio_rows),
            "text_NCP": torch.cat(text_rows),
        }
        keep(found, path)
    return SemanticTokens(**torch.load(path, weights_only=True))


def codec_tokens(clips: ClipSet, codec: SoundStream, path: Path, progress: Callable[[int, int], None]) -> Tensor:
    """Compute codes_NFK (int16) of all clips, or read them from `path` if they are there."""
    if not path.is_file():
        rows = []
        with torch.inference_mode():
            for start in range(0, len(clips), _AT_ONCE):
                numbers = range(start, min(start + _AT_ONCE, len(clips)))
                x_BT = torch.stack([torch.from_numpy(clips.waveform(n)) for n in numbers])
                rows.append(codec.encode(x_BT).short())
                progress(numbers.stop, len(clips))
        keep({"codes_NFK": torch.cat(rows)}, path)
    codes_NFK: Tensor = torch.load(path, weights_only=True)["codes_NFK"]
    return codes_NFK
