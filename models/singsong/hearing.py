"""What a SingSong hears of a singing voice: its level made equal, noise over it, and tokens.

SingSong (section 3.3) found that vocals which a separator took out of a mix betray the accompaniment, and hides it:
noise is added to the vocals, and of them only semantic tokens are used. At the size of musiclm-small a semantic token
says hardly anything of pitch (a table from token to pitch class is right for 13 % of the frames, 8 % are chance). So
beside it stands the note that a small head hears in the features the semantic model begins from: two tokens a frame,
still far too little to carry what a separator leaves.

Shapes: B batch, T samples, G frames of the vocals, S width of a feature, A tokens a frame, V notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.soundstream.codec import SoundStream
from models.w2v_bert.model import W2vBert

LOWEST_NOTE, NOTES = 40, 49  # MIDI pitches that are told apart; token 0 is none
LEVEL_DBFS = -23.0
ACOUSTIC_CODEBOOKS = 4
_SOUNDING_DB = 30.0  # below the loudest frame
_LEVEL_FRAME = 640  # samples
_CHUNK_S, _MARGIN_S = 10.0, 1.0
Representation = Literal["semantic", "acoustic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingConfig:
    """How vocals are told: semantic tokens with notes, or the codec's coarse codes; noise below the voice, if any."""

    tokens: Representation = "semantic"
    noise_db: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteHeadConfig:
    """Size of the head that hears notes."""

    features: int
    width: int = 192
    kernel: int = 5


class NoteHead(nn.Module):
    """Features of the semantic model to the note that is sung, frame by frame."""

    def __init__(self, config: NoteHeadConfig) -> None:
        super().__init__()
        self.config, pad = config, config.kernel // 2
        self.first = nn.Conv1d(config.features, config.width, config.kernel, padding=pad)
        self.second = nn.Conv1d(config.width, config.width, config.kernel, padding=pad)
        self.out = nn.Linear(config.width, NOTES + 1)

    def forward(self, features_BGS: Tensor) -> Tensor:
        """Return logits_BGV."""
        hidden = F.gelu(self.second(F.gelu(self.first(features_BGS.transpose(1, 2)))))
        return cast(Tensor, self.out(hidden.transpose(1, 2)))


def note_tokens(sung: Sequence[tuple[float, float, int]], frames: int, frame_rate_hz: float) -> NDArray[np.int64]:
    """Return tokens_G of notes (onset s, duration s, pitch): 0 where none sounds in a frame's middle."""
    found = np.zeros(frames, dtype=np.int64)
    for onset_s, duration_s, pitch in sung:
        begin = max(round((onset_s + 0.02) * frame_rate_hz), 0)
        end = max(round((onset_s + duration_s) * frame_rate_hz), 0)
        found[begin:end] = 1 + min(max(pitch - LOWEST_NOTE, 0), NOTES - 1)
    return found


def levelled(waveform_T: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a waveform whose sounding parts have LEVEL_DBFS, so that it is heard alike however loud it was."""
    return waveform_T * np.float32(10 ** (LEVEL_DBFS / 20) / max(sounding_rms(waveform_T), 1e-6))


def sounding_rms(waveform_T: NDArray[np.float32]) -> float:
    """Return the root of the mean power of the frames that are not much quieter than the loudest."""
    frames = waveform_T[: len(waveform_T) // _LEVEL_FRAME * _LEVEL_FRAME].reshape(-1, _LEVEL_FRAME)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    if not power.size or power.max() <= 0:
        return 0.0
    return float(np.sqrt(power[power > power.max() * 10 ** (-_SOUNDING_DB / 10)].mean()))


def noisy(waveform_T: NDArray[np.float32], noise_db: float | None, seed: int) -> NDArray[np.float32]:
    """Return a levelled waveform with white noise over it, so many dB against its sounding parts."""
    if noise_db is None:
        return waveform_T
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 2, 0]))
    noise = rng.standard_normal(len(waveform_T), dtype=np.float32)
    return waveform_T + noise * np.float32(10 ** ((LEVEL_DBFS + noise_db) / 20))


class Hearing:
    """Vocals to tokens, by frozen parts."""

    def __init__(
        self, config: HearingConfig, semantic_model: W2vBert, codec: SoundStream, notes: NoteHead | None
    ) -> None:
        self.config, self._semantic, self._codec, self._notes = config, semantic_model, codec, notes

    @property
    def _device(self) -> torch.device:
        return self._semantic.centres_CD.device

    @property
    def frame_rate_hz(self) -> float:
        """Frames of tokens a second."""
        if self.config.tokens == "acoustic":
            return self._codec.config.frame_rate_hz
        return self._semantic.config.frame_rate_hz

    def prepared(self, waveform_T: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
        """Return what is listened to: levelled, with its noise."""
        return noisy(levelled(waveform_T), self.config.noise_db, seed)

    def tokens(self, waveform_T: NDArray[np.float32], seed: int) -> Tensor:
        """Return tokens_GA, int64, of vocals of any length; those of a frame depend on the seconds around it only."""
        rate = self._codec.config.sample_rate_hz
        chunk, margin = round(_CHUNK_S * rate), round(_MARGIN_S * rate)
        stride = chunk - 2 * margin
        prepared_T = torch.from_numpy(self.prepared(waveform_T, seed))
        per_frame = round(rate / self.frame_rate_hz)
        frames = -(-len(prepared_T) // per_frame)
        if len(prepared_T) <= chunk:
            return self.of_batch(F.pad(prepared_T, (0, frames * per_frame - len(prepared_T)))[None])[0]
        rows, begin = [], 0
        while begin < len(prepared_T):
            left = min(margin, begin)
            span = prepared_T[begin - left : begin + stride + margin]
            found_GA = self.of_batch(F.pad(span, (0, -len(span) % per_frame))[None])[0]
            rows.append(found_GA[left // per_frame : (left + stride) // per_frame])
            begin += stride
        return torch.cat(rows)[:frames]

    @torch.inference_mode()
    def notes(self, waveform_T: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return tokens_G of the notes that are heard in vocals without noise: what estimates are made of."""
        assert self._notes is not None
        per_frame = round(self._semantic.config.mel.sample_rate_hz / self._semantic.config.frame_rate_hz)
        levelled_T = torch.from_numpy(levelled(waveform_T))
        padded_1T = F.pad(levelled_T, (0, -len(levelled_T) % per_frame))[None].to(self._device)
        features_1GS = self._semantic.features(padded_1T)
        return np.asarray(self._notes(features_1GS).argmax(dim=-1)[0].cpu().numpy())

    @torch.inference_mode()
    def of_batch(self, prepared_BT: Tensor) -> Tensor:
        """Return tokens_BGA, on the CPU, of waveforms that are levelled and have their noise."""
        prepared_BT = prepared_BT.to(self._device)
        if self.config.tokens == "acoustic":
            return self._codec.encode(prepared_BT)[..., :ACOUSTIC_CODEBOOKS].cpu()
        assert self._notes is not None
        semantic_BG = self._semantic.tokens(prepared_BT)
        notes_BG = self._notes(self._semantic.features(prepared_BT)).argmax(dim=-1)
        return torch.stack([semantic_BG, notes_BG], dim=-1).cpu()


def shape_of_tokens(config: HearingConfig, semantic_model: W2vBert, codec: SoundStream) -> tuple[int, int]:
    """Return how many tokens a frame has, and how many entries each."""
    if config.tokens == "acoustic":
        return ACOUSTIC_CODEBOOKS, codec.config.entries
    return 2, max(semantic_model.config.classes, NOTES + 1)
