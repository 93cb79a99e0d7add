"""A take on its way from what it is told to its codes: which request comes next, stage by stage, window by window.

Both systems make their takes so; what its windows are told is a conditioner's business. Everything depends on the
recipe and the number of the take alone.

Shapes: F codec frames, K codebooks, W frames of a window, N steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.digests import digest_of_bytes
from models.engine.patterns import Delay, Parallel, to_decode
from models.engine.requests import Completion, Conditioning, Request
from models.generator import StageRecord
from models.musiclm.model import STAGES, StageName
from models.musiclm.sampling import Sampling
from models.musiclm.stage import Stage, held_for
from models.musiclm.windows import Window

Codes = NDArray[np.int64]
Made = Mapping[StageName, Codes]


class Conditioner(Protocol):
    """What the windows of a take go by, beside the codes before them."""

    def stage(self, name: StageName) -> Stage:
        """Return what the engine runs for a stage."""

    def rate_hz(self, name: StageName) -> float:
        """Return how many frames a stage has in a second."""

    def conditioning(
        self, name: StageName, window: Window, steps: int, made: Made
    ) -> tuple[Conditioning, Conditioning]:
        """Return what a window of the semantic or coarse stage is told, and what its twin is told for guidance."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What a take makes before it is compared with others: codec frames [begin, end), by some of the stages.

    `section` is the one of a story that it is in, if it is in one alone.
    """

    begin: int
    end: int
    stages: tuple[StageName, ...] = STAGES
    section: int | None = None


@dataclass(slots=True, eq=False)
class Take:
    """A take of a leg of a piece; `before` is what the legs before it have made."""

    key: str
    number: int
    seed: int
    conditioner: Conditioner
    sampling: Sampling
    leg: Leg
    before: InitVar[Take | None] = None
    made: dict[StageName, Codes] = field(init=False)
    wall_s: dict[StageName, float] = field(init=False)
    nats: dict[StageName, float] = field(init=False)
    _steps: Iterator[tuple[StageName, Request]] = field(init=False)
    _current: tuple[StageName, Window] | None = None

    def __post_init__(self, before: Take | None) -> None:
        self.made = {name: self._grown(name, before) for name in STAGES}
        self.wall_s = dict.fromkeys(STAGES, 0.0) if before is None else dict(before.wall_s)
        self.nats = dict.fromkeys(STAGES, 0.0) if before is None else dict(before.nats)
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
        """The codec's codes, coarse and fine; only the coarse ones as long as there are no others."""
        coarse_FK = self.made["coarse"]
        return np.concatenate([coarse_FK, self.made["fine"]], axis=1) if "fine" in self.leg.stages else coarse_FK

    def records(self, input_digest: str, started_at: datetime, model: str) -> list[StageRecord]:
        """Return the records of the stages of a finished piece, made by the version with the digest `model`."""
        found = []
        for name in STAGES:
            codes = self.made[name]
            output_digest = digest_of_bytes(codes.astype("<i2").tobytes())
            detail = {
                "codes": codes.size,
                "nats_a_code": round(self.nats[name] / codes.size, 6),
                "model": model,
            }
            found.append(
                StageRecord(
                    name=name, input_digest=input_digest, output_digest=output_digest, started_at=started_at,
                    wall_s=self.wall_s[name], detail=detail,
                )
            )  # fmt: skip
            input_digest = output_digest
        return found

    def _requests(self) -> Iterator[tuple[StageName, Request]]:
        for name in self.leg.stages:
            begin, end = self._frames(name, self.leg.begin), self._frames(name, self.leg.end)
            windows = self.sampling.of(name).windowing(self.conditioner.rate_hz(name)).over(begin, end)
            for number, window in enumerate(windows):
                self._current = (name, window)
                label = f"{name}/{self.number}/{number}" + (f"/{begin}" if begin else "")
                yield name, self._request(name, window, label)

    @torch.inference_mode()
    def _request(self, name: StageName, window: Window, label: str) -> Request:
        sampling, stage = self.sampling.of(name), self.conditioner.stage(name)
        given_WK = self.made[name][window.start : window.start + window.given]
        given_NK = self._pattern(name).spread(to_decode(given_WK, window.length))
        steps = len(given_NK)
        told, untold = (
            self._by_coarse(window, steps)
            if name == "fine"
            else self.conditioner.conditioning(name, window, steps, self.made)
        )
        instead_N = sampling.instead(self.seed, label, steps, stage.config.hole)
        guided = sampling.guidance_scale != 1.0
        return Request(
            key=f"{self.key}/{self.number}",
            conditioning=replace(told, instead_N=instead_N),
            unconditional=replace(untold, instead_N=instead_N) if guided and untold is not None else None,
            guidance_scale=sampling.guidance_scale,
            given_NK=given_NK,
            seed=self.seed,
            stage=label,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
        )

    def _by_coarse(self, window: Window, steps: int) -> tuple[Conditioning, None]:
        """Return what a window of the fine stage is told: the coarse codes; there is nothing to guide away from."""
        stage = self.conditioner.stage("fine")
        codes_1WK = torch.from_numpy(self.made["coarse"][None, window.start : window.end]).to(stage.start_1D.device)
        added_ND = stage.embed_added(held_for(codes_1WK, steps)[0])
        return Conditioning(prefix_PD=stage.embed_prefix(None), added_ND=added_ND), None

    def _pattern(self, name: StageName) -> Delay | Parallel:
        return Parallel() if name == "semantic" else Delay(self.conditioner.stage(name).config.hole)

    def _grown(self, name: StageName, before: Take | None) -> Codes:
        made = np.zeros((self._frames(name, self.leg.end), self.conditioner.stage(name).codebooks), dtype=np.int64)
        if before is not None:
            made[: len(before.made[name])] = before.made[name]
        return made

    @staticmethod
    def _frames(name: StageName, codec_frames: int) -> int:
        return -(-codec_frames // 2) if name == "semantic" else codec_frames
