"""Takes on their way through the engines of their stages: what both systems run their generation by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from models.engine.backends import BackendChoice
from models.engine.engine import Engine
from models.generator import Outcome
from models.musiclm.model import STAGES, StageName
from models.musiclm.sampling import Sampling
from models.musiclm.stage import Stage
from models.musiclm.take import Take

_STEPS_AN_ADVANCE = 16
_CACHE_BUCKET = 128
_TAKES_AT_ONCE = 2  # of each piece: more would need more memory and be little faster
_PREFIX_ROOM = 32  # rows before the codes, at most


def engines_for(
    stage: Callable[[StageName], Stage],
    rate_hz: Callable[[StageName], float],
    sampling: Sampling,
    *,
    slots: int,
    takes: int,
    backend: BackendChoice,
) -> dict[StageName, Engine]:
    """Return an engine for each stage, with room for the windows of as many pieces as there are slots.

    Args:
        stage: gives a stage's weights.
        rate_hz: gives a stage's frames in a second.
        sampling: how long the windows are, and which stages are guided, which takes two rows a take.
        slots: pieces at once.
        takes: of each piece.
        backend: what the engines run on.
    """
    engines: dict[StageName, Engine] = {}
    for name in STAGES:
        drawn = sampling.of(name)
        rows = 2 if drawn.guidance_scale != 1.0 and name != "fine" else 1
        frames = drawn.windowing(rate_hz(name)).length
        length = math.ceil((frames + _PREFIX_ROOM) / _CACHE_BUCKET) * _CACHE_BUCKET
        engines[name] = Engine(
            stage(name), slots=rows * slots * min(takes, _TAKES_AT_ONCE), cache_length=length, backend=backend
        )
    return engines


class TakesOnTheirWay:
    """The engine of each stage, and the takes that wait for a request of theirs."""

    def __init__(self, engines: Mapping[StageName, Engine]) -> None:
        self._engines = engines
        self._waiting: dict[str, Take] = {}

    def submit(self, take: Take) -> bool:
        """Queue a take's next request; return whether there was one."""
        following = take.next_request()
        if following is None:
            return False
        name, request = following
        self._waiting[request.key] = take
        self._engines[name].submit(request)
        return True

    def advance(self, finished: Callable[[str], Outcome | None]) -> list[Outcome]:
        """Run some steps of every stage; return what `finished` gives for items that a take was finished of.

        It ends early when there is an outcome.
        """
        outcomes: list[Outcome] = []
        for _ in range(_STEPS_AN_ADVANCE):
            for engine in self._engines.values():
                for completion in engine.step():
                    take = self._waiting.pop(completion.key)
                    take.absorb(completion)
                    if not self.submit(take) and (done := finished(take.key)):
                        outcomes.append(done)
            if outcomes or not self._waiting:
                break
        return outcomes
