"""The joint space of words and sound of a MusicLM version, without the rest of its weights.

Shapes: T samples, E joint width, P MuLan tokens.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from models.mulan.model import Mulan
from models.mulan.sentences import Sentences, load_sentences
from models.musiclm.lending import part_state, whole_tensors
from models.musiclm.model import config_from
from models.weights import CorruptModelError, ModelVersion

_LISTENED_S = 30.0  # from the middle of a piece: as much as tells it from others


class JointSpace:
    """Puts sound and words into one space, and turns points of it into tokens."""

    def __init__(self, version: ModelVersion) -> None:
        """Load MuLan of a version, in float32 on the processor.

        Raises:
            CorruptModelError: the files do not fit their configuration, or are not those of the digest.
            UnusableModelError: no MusicLM beside it has the MuLan that it lacks.
        """
        self.version = version
        try:
            self._mulan = Mulan(config_from(version.config["parts"]).mulan)
            self._mulan.load_state_dict(part_state(whole_tensors(version), "mulan"), strict=True)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CorruptModelError(f"{version.path} has no MuLan of this code: {error}") from error
        self._mulan.eval().requires_grad_(requires_grad=False)

    @cached_property
    def _sentences(self) -> Sentences:
        return load_sentences()

    @property
    def sample_rate_hz(self) -> int:
        """The rate at which `of_sound` listens."""
        return self._mulan.config.mel.sample_rate_hz

    def of_sound(self, waveform_T: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vector_E, of length 1, of the middle of a mono waveform at `sample_rate_hz`."""
        most = round(_LISTENED_S * self.sample_rate_hz)
        begin = max(0, (len(waveform_T) - most) // 2)
        heard = torch.from_numpy(np.ascontiguousarray(waveform_T[begin : begin + most]))
        return self._mulan.embed_audio(heard).numpy()

    def of_words(self, words: str) -> NDArray[np.float32]:
        """Return vector_E, of length 1, of a sentence.

        Raises:
            SentencesError: the package of the sentence encoder is missing.
        """
        return self._mulan.embed_text(self._sentences(words)).numpy()

    def tokens(self, vector_E: NDArray[np.float32]) -> list[int]:
        """Return the tokens_P that stand for a point."""
        return self._mulan.tokens(torch.from_numpy(np.ascontiguousarray(vector_E))).tolist()
