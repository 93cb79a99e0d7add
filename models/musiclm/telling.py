"""What a piece is told, and when: one prompt throughout, a story of prompts, or tokens that no words gave.

Story mode (MusicLM, section 5.4) changes the tokens that condition each window while what was made goes on. Here the
first window after a change is told the mean of both prompts, so that the change is gradual.

Shapes: E joint width, P MuLan tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.mulan.model import Mulan
from models.mulan.sentences import Sentences

_HEARD_S = 0.1  # what is shorter than that is no sound of its own


@dataclass(frozen=True, slots=True)
class Section:
    """A prompt from a time on."""

    at_s: float
    prompt: str


def sections_of(recipe: Mapping[str, Any]) -> tuple[Section, ...]:
    """Return the sections of a recipe: its story, or its prompt from the beginning."""
    story = recipe["controls"].get("story")
    if not story:
        return (Section(0.0, recipe["prompt"]),)
    return tuple(Section(float(each["at_s"]), each["prompt"]) for each in story)


class Telling:
    """The vectors and tokens of a piece's sections."""

    def __init__(
        self, sections: tuple[Section, ...], vectors_E: list[Tensor], tokens_P: list[Tensor], mulan: Mulan
    ) -> None:
        """Take the sections with a vector and tokens each."""
        self.sections, self.vectors_E, self.tokens_P, self._mulan = sections, vectors_E, tokens_P, mulan
        self._begun: dict[int, Tensor] = {}  # tokens of sections that have begun to be heard

    @classmethod
    def of_words(cls, sections: tuple[Section, ...], sentences: Sentences, mulan: Mulan) -> Telling:
        """Read every section's words."""
        vectors_E = [mulan.embed_text(sentences(each.prompt)) for each in sections]
        return cls(sections, vectors_E, [mulan.tokens(vector) for vector in vectors_E], mulan)

    @classmethod
    def of_tokens(cls, prompt: str, tokens: Sequence[int], mulan: Mulan) -> Telling:
        """Take tokens, such as of a listener's taste, for the whole of a piece; the prompt is only its name.

        Raises:
            ValueError: they are not tokens of this MuLan.
        """
        config = mulan.config
        if len(tokens) != config.codebooks or not all(0 <= token < config.entries for token in tokens):
            raise ValueError(f"taste tokens are {config.codebooks} numbers below {config.entries}")
        tokens_P = torch.tensor(tokens, dtype=torch.int64, device=mulan.log_scale.device)
        return cls((Section(0.0, prompt),), [mulan.vector(tokens_P)], [tokens_P], mulan)

    def tokens_for(self, begin_s: float, end_s: float) -> Tensor:
        """Return tokens_P for a window whose new part is [begin_s, end_s)."""
        before, now = self._section_at(begin_s - 1e-6), self._section_at((begin_s + end_s) / 2)
        if begin_s <= 0 or before == now:
            return self._begun.get(now, self.tokens_P[now])
        return self._mulan.tokens(F.normalize(self.vectors_E[before] + self.vectors_E[now], dim=0))

    def hold(self, section: int, vector_E: Tensor) -> None:
        """Tell the rest of a section how it began, beside its words: so it stays what it is."""
        self._begun[section] = self._mulan.tokens(F.normalize(self.vectors_E[section] + vector_E, dim=0))

    def likeness(self, spans: list[tuple[int, Tensor]]) -> float:
        """Return the mean cosine of audio vectors_E to the sections they belong to."""
        return float(torch.stack([vector @ self.vectors_E[section] for section, vector in spans]).mean())

    def spans(self, duration_s: float) -> list[tuple[int, float, float]]:
        """Return (section, begin, end) in seconds, for every section that begins in time to be heard."""
        ends = [each.at_s for each in self.sections[1:]] + [duration_s]
        return [
            (index, each.at_s, min(end, duration_s))
            for index, (each, end) in enumerate(zip(self.sections, ends, strict=True))
            if min(end, duration_s) - each.at_s >= _HEARD_S
        ]

    def _section_at(self, time_s: float) -> int:
        return max((i for i, each in enumerate(self.sections) if each.at_s <= max(time_s, 0.0)), default=0)
