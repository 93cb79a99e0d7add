"""One take of a piece, from its telling and its melody to its codes: what comes next, stage by stage, by windows.

Everything depends on the recipe and the number of the take alone.

Shapes: Q semantic frames, F codec frames, K codebooks, W frames of a window, N steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.engine.patterns import FREE, Delay, Parallel, to_decode
from models.engine.requests import Completion, Conditioning, Request
from models.melody.contour import UNTOLD
from models.musiclm.model import STAGES, MusicLM, StageName
from models.musiclm.stage import heard_by, unheard, with_melody
from models.musiclm.telling import Telling
from models.musiclm.windows import Window, Windowing
from models.sampling import uniform

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSampling:
    """How a stage draws, and in what windows it works (seconds).

    `forgetful` is the share of its steps whose codes it is not given back: it goes by what it is told then, which it
    learnt in training that forgot (`models.training.forgetting`), and not by what it happened to draw.
    With `guided_by_tokens` guidance leads away from what it would draw without the tokens of the stage before too.
    """

    temperature: float
    top_k: int
    guidance_scale: float
    window_s: float
    given_s: float
    forgetful: float = 0.0
    guided_by_tokens: bool = False

    def windowing(self, frame_rate_hz: float) -> Windowing:
        """Return the windows in frames."""
        return Windowing(round(self.window_s * frame_rate_hz), round(self.given_s * frame_rate_hz))

    def instead(self, seed: int, window: str, steps: int, hole: int) -> NDArray[np.int64] | None:
        """Return instead_N of a window (`Conditioning`): a hole where codes are not given back, if any are not."""
        if not self.forgetful:
            return None
        drawn_N = [uniform(seed, f"{window}/forgotten", step) < self.forgetful for step in range(steps)]
        return np.where(drawn_N, hole, FREE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a version draws."""

    semantic: StageSampling
    coarse: StageSampling
    fine: StageSampling

    def of(self, stage: StageName) -> StageSampling:
        """Return a stage's."""
        return {"semantic": self.semantic, "coarse": self.coarse, "fine": self.fine}[stage]


def sampling_from(values: Mapping[str, Mapping[str, Any]]) -> Sampling:
    """Read the sampling of a version's configuration."""
    return Sampling(**{name: StageSampling(**values[name]) for name in STAGES})


@dataclass(slots=True, eq=False)
class Take:
    """A take on its way."""

    key: str
    number: int
    seed: int
    telling: Telling
    model: MusicLM
    sampling: Sampling
    codec_frames: int
    melody_Q: Tensor  # a class for each semantic frame
    made: dict[StageName, Codes] = field(default_factory=dict)
    wall_s: dict[StageName, float] = field(default_factory=dict)
    nats: dict[StageName, float] = field(default_factory=dict)
    _steps: Iterator[tuple[StageName, Request]] = field(init=False)
    _current: tuple[StageName, Window, Request] | None = None

    def __post_init__(self) -> None:
        for name in STAGES:
            frames, codebooks = self._frames(name), self.model.stage(name).codebooks
            self.made[name] = np.zeros((frames, codebooks), dtype=np.int64)
            self.wall_s[name] = self.nats[name] = 0.0
        self._steps = self._requests()

    def next_request(self) -> tuple[StageName, Request] | None:
        """Return what is to be decoded next and by which stage; None when all is made."""
        return next(self._steps, None)

    def absorb(self, completion: Completion) -> None:
        """Take up what the last request came to."""
        assert self._current is not None
        name, window, _ = self._current
        codes_WK = self._pattern(name).gather(completion.codes_NK)
        self.made[name][window.start : window.end] = codes_WK
        self.wall_s[name] += completion.wall_s
        self.nats[name] -= completion.log_likelihood

    @property
    def codes_FK(self) -> Codes:
        """The codec's codes, coarse and fine."""
        return np.concatenate([self.made["coarse"], self.made["fine"]], axis=1)

    def _requests(self) -> Iterator[tuple[StageName, Request]]:
        for name in STAGES:
            windows = self.sampling.of(name).windowing(self._rate_hz(name)).over(self._frames(name))
            for number, window in enumerate(windows):
                request = self._request(name, number, window)
                self._current = (name, window, request)
                yield name, request

    @torch.inference_mode()
    def _request(self, name: StageName, number: int, window: Window) -> Request:
        stage, sampling, rate = self.model.stage(name), self.sampling.of(name), self._rate_hz(name)
        given_WK = self.made[name][window.start : window.start + window.given]
        given_NK = self._pattern(name).spread(to_decode(given_WK, window.length))
        added_ND = self._added(name, window, len(given_NK), self.melody_Q)
        told = None
        if stage.config.prefix_codebooks:
            told = self.telling.tokens_for((window.start + window.given) / rate, window.end / rate)
        guided = told is not None and sampling.guidance_scale != 1.0
        untold_ND = added_ND
        if guided and (self._melodic or sampling.guided_by_tokens):
            untold_Q = torch.full_like(self.melody_Q, UNTOLD)
            untold_ND = self._added(name, window, len(given_NK), untold_Q, told=not sampling.guided_by_tokens)
        label = f"{name}/{self.number}/{number}"
        instead_N = sampling.instead(self.seed, label, len(given_NK), stage.config.hole)
        return Request(
            key=f"{self.key}/{self.number}",
            conditioning=Conditioning(prefix_PD=stage.embed_prefix(told), added_ND=added_ND, instead_N=instead_N),
            unconditional=Conditioning(prefix_PD=stage.embed_prefix(None), added_ND=untold_ND, instead_N=instead_N)
            if guided
            else None,
            guidance_scale=sampling.guidance_scale,
            given_NK=given_NK,
            seed=self.seed,
            stage=label,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
        )

    @property
    def _melodic(self) -> bool:
        return bool((self.melody_Q != UNTOLD).any())

    def _added(self, name: StageName, window: Window, steps: int, melody_Q: Tensor, *, told: bool = True) -> Tensor:
        """Return what is added to a window's steps; the coarse stage may be told no semantic tokens."""
        stage = self.model.stage(name)
        device = stage.start_1D.device
        if name == "semantic":
            melody_Q = melody_Q[window.start : window.end].to(device)
            return stage.embed_added(with_melody(None, melody_Q, steps))
        if name == "coarse":
            heard = slice(window.start // 2, -(-window.end // 2))
            tokens_Q = torch.from_numpy(self.made["semantic"][heard, 0]).to(device)
            melody_Q = melody_Q[heard].to(device)
            tokens_NA = heard_by(tokens_Q, steps)
            return stage.embed_added(with_melody(tokens_NA if told else unheard(tokens_NA), melody_Q, steps))
        codes_WK = torch.from_numpy(self.made["coarse"][window.start : window.end]).to(device)
        frames = torch.arange(steps, device=device).clamp(max=len(codes_WK) - 1)
        return stage.embed_added(codes_WK[frames])

    def _pattern(self, name: StageName) -> Delay | Parallel:
        return Parallel() if name == "semantic" else Delay(self.model.stage(name).config.hole)

    def _rate_hz(self, name: StageName) -> float:
        config = self.model.config
        return config.semantic_model.frame_rate_hz if name == "semantic" else config.codec.frame_rate_hz

    def _frames(self, name: StageName) -> int:
        return -(-self.codec_frames // 2) if name == "semantic" else self.codec_frames
