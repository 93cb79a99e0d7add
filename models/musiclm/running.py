"""Takes on their way through the engines of their stages: what both systems run their generation by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from models.engine.engine import Engine
from models.engine.requests import Completion, Request
from models.generator import Outcome
from models.musiclm.model import StageName

_STEPS_AN_ADVANCE = 16


class Running(Protocol):
    """A take: it says what is to be decoded next, and takes up what that came to."""

    @property
    def key(self) -> str:
        """The item it is a take of."""

    def next_request(self) -> tuple[StageName, Request] | None:
        """Return what is to be decoded next and by which stage; None when all is made."""

    def absorb(self, completion: Completion) -> None:
        """Take up what the last request came to."""


class TakesOnTheirWay:
    """The engine of each stage, and the takes that wait for a request of theirs."""

    def __init__(self, engines: Mapping[StageName, Engine]) -> None:
        self._engines = engines
        self._waiting: dict[str, Running] = {}

    def submit(self, take: Running) -> bool:
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
