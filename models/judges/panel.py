"""All judges of a clip together: each clip is heard once, and every figure is taken from that hearing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.judges.drums import drums_score
from models.judges.instruments import INSTRUMENTS, instrument_scores
from models.judges.musicnn import TAGS, Musicnn
from models.judges.rhythm import speed_score, tempo_bpm
from models.judges.scenes import SCENES, scene_scores
from models.judges.sound import Waveform
from models.judges.tonality import key_of
from models.judges.yamnet import Yamnet
from models.key import Key


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the judges heard in one clip. Shapes: P patches, D width of an embedding, C classes of YAMNet."""

    instruments: dict[str, float]  # a score for each of INSTRUMENTS, comparable among themselves
    scenes: dict[str, float]  # a score for each of SCENES
    drums: float  # higher for drums, comparable between clips
    speed: float  # higher for faster, comparable between clips
    tempo_bpm: float
    key: Key
    sounds_C: NDArray[np.float32]  # YAMNet's scores
    music_embeddings_PD: NDArray[np.float32]  # musicnn's
    sound_embeddings_PD: NDArray[np.float32]  # YAMNet's

    @property
    def instrument(self) -> str:
        """The instrument heard best."""
        return max(INSTRUMENTS, key=self.instruments.__getitem__)

    @property
    def scene(self) -> str:
        """The scene heard best."""
        return max(SCENES, key=self.scenes.__getitem__)


class Panel:
    """The judges, loaded once."""

    def __init__(self, yamnet: Yamnet, musicnn: Musicnn) -> None:
        self.yamnet = yamnet
        self.musicnn = musicnn

    @classmethod
    def load(cls) -> Panel:
        """Load all judges from their packages."""
        return cls(Yamnet.load(), Musicnn.load())

    def hear(self, waveform: Waveform, sample_rate_hz: int) -> Hearing:
        """Hear one clip with every judge.

        Raises:
            ValueError: it is not one channel of finite samples.
        """
        sounds = self.yamnet.listen(waveform, sample_rate_hz)
        tags_PT, music_PD = self.musicnn.listen(waveform, sample_rate_hz)
        tags = dict(zip(TAGS, tags_PT.mean(axis=0).tolist(), strict=True))
        sounds_C = sounds.scores_PC.mean(axis=0)
        named = dict(zip(self.yamnet.names, sounds_C.tolist(), strict=True))
        return Hearing(
            instrument_scores(named),
            scene_scores(named),
            drums_score(named, tags),
            speed_score(waveform, sample_rate_hz, tags),
            tempo_bpm(waveform, sample_rate_hz),
            key_of(waveform, sample_rate_hz),
            sounds_C,
            music_PD,
            sounds.embeddings_PD,
        )
