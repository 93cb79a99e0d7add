"""One take of an accompaniment, from what is heard to its codes: which request comes next, stage by stage.

Everything depends on the recipe, the vocals and the number of the take alone.

Shapes: Q semantic frames, F codec frames, K codebooks, W frames of a window, N steps, G frames of the vocals,
H values of the guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.engine.patterns import Delay, Parallel, to_decode
from models.engine.requests import Completion, Conditioning, Request
from models.musiclm.model import STAGES, StageName
from models.musiclm.stage import heard_by
from models.musiclm.take import Sampling
from models.musiclm.windows import Window
from models.singsong.model import SingSong

Codes = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class SungTake:
    """A take on its way.

    `vocals_GA` is what is heard, `guide_GH` what the harmony model makes of it, `prefix_P` MuLan's tokens of the
    words, if there are any.
    """

    key: str
    number: int
    seed: int
    vocals_GA: Tensor
    guide_GH: Tensor
    prefix_P: Tensor | None
    model: SingSong
    sampling: Sampling
    codec_frames: int
    made: dict[StageName, Codes] = field(default_factory=dict)
    wall_s: dict[StageName, float] = field(default_factory=dict)
    nats: dict[StageName, float] = field(default_factory=dict)
    _steps: Iterator[tuple[StageName, Request]] = field(init=False)
    _current: tuple[StageName, Window] | None = None

    def __post_init__(self) -> None:
        for name in STAGES:
            frames = -(-self.codec_frames // 2) if name == "semantic" else self.codec_frames
            self.made[name] = np.zeros((frames, self.model.decoder(name).codebooks), dtype=np.int64)
            self.wall_s[name] = self.nats[name] = 0.0
        self._steps = self._requests()

    def next_request(self) -> tuple[StageName, Request] | None:
        """Return what is to be decoded next and by which stage; None when all is made."""
        return next(self._steps, None)

    def absorb(self, completion: Completion) -> None:
        """Take up what the last request came to."""
        assert self._current is not None
        name, window = self._current
        self.made[name][window.start : window.end] = self._pattern(name).gather(completion.codes_NK)
        self.wall_s[name] += completion.wall_s
        self.nats[name] -= completion.log_likelihood

    @property
    def codes_FK(self) -> Codes:
        """The codec's codes, coarse and fine."""
        return np.concatenate([self.made["coarse"], self.made["fine"]], axis=1)

    def _requests(self) -> Iterator[tuple[StageName, Request]]:
        for name in STAGES:
            windows = self.sampling.of(name).windowing(self._rate_hz(name)).over(len(self.made[name]))
            for number, window in enumerate(windows):
                self._current = (name, window)
                yield name, self._request(name, number, window)

    @torch.inference_mode()
    def _request(self, name: StageName, number: int, window: Window) -> Request:
        sampling = self.sampling.of(name)
        given_WK = self.made[name][window.start : window.start + window.given]
        given_NK = self._pattern(name).spread(to_decode(given_WK, window.length))
        label, hole = f"{name}/{self.number}/{number}", self.model.decoder(name).config.hole
        instead_N = sampling.instead(self.seed, label, len(given_NK), hole)
        told, untold = self._conditioning(name, window, len(given_NK), instead_N)
        guided = untold is not None and sampling.guidance_scale != 1.0
        return Request(
            key=f"{self.key}/{self.number}",
            conditioning=told,
            unconditional=untold if guided else None,
            guidance_scale=sampling.guidance_scale if guided else 1.0,
            given_NK=given_NK,
            seed=self.seed,
            stage=label,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
        )

    def _conditioning(
        self, name: StageName, window: Window, steps: int, instead_N: Codes | None
    ) -> tuple[Conditioning, Conditioning | None]:
        """Return what a window is told, and what its twin is told that hears no vocals."""
        decoder = self.model.decoder(name)
        device = decoder.start_1D.device
        if name == "fine":
            codes_WK = torch.from_numpy(self.made["coarse"][window.start : window.end]).to(device)
            frames = torch.arange(steps, device=device).clamp(max=len(codes_WK) - 1)
            added_ND = decoder.embed_added(codes_WK[frames])
            return Conditioning(prefix_PD=decoder.embed_prefix(None), added_ND=added_ND, instead_N=instead_N), None
        stage = self.model.stage(name)
        vocals_GA, guide_GH = self._vocals(name, window)
        heard_ND = stage.hear(vocals_GA.to(device)[None], guide_GH.to(device)[None], steps)[0]
        unheard_ND = stage.unheard_D.expand(steps, -1)
        if name == "coarse":
            tokens_Q = torch.from_numpy(self.made["semantic"][window.start // 2 : -(-window.end // 2), 0]).to(device)
            added_ND = decoder.embed_added(heard_by(tokens_Q, steps))
            heard_ND, unheard_ND = heard_ND + added_ND, unheard_ND + added_ND
        return (
            Conditioning(prefix_PD=decoder.embed_prefix(self.prefix_P), added_ND=heard_ND, instead_N=instead_N),
            Conditioning(prefix_PD=decoder.embed_prefix(None), added_ND=unheard_ND, instead_N=instead_N),
        )

    def _vocals(self, name: StageName, window: Window) -> tuple[Tensor, Tensor]:
        """Return what is sung in a window, and its guide."""
        ratio = self.model.hearing.frame_rate_hz / self._rate_hz(name)
        begin = min(int(window.start * ratio), len(self.vocals_GA) - 1)
        sung = slice(begin, max(int(np.ceil(window.end * ratio)), begin + 1))
        return self.vocals_GA[sung], self.guide_GH[sung]

    def _pattern(self, name: StageName) -> Delay | Parallel:
        return Parallel() if name == "semantic" else Delay(self.model.decoder(name).config.hole)

    def _rate_hz(self, name: StageName) -> float:
        base = self.model.base
        return base.semantic_model.config.frame_rate_hz if name == "semantic" else base.codec.config.frame_rate_hz
