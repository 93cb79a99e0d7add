"""What an audit answers: checks in words, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Verdict = Literal["proved", "failed", "unknown"]
CHAIN: Final = ("recipe", "entry", "inclusion", "checkpoint")  # without these nothing is proved


@dataclass(frozen=True, slots=True)
class Check:
    """One link of the chain: it holds, it does not, or (None) it could not be looked at, and why."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The answer about one subject. `needed` are the checks that a proof cannot do without."""

    subject: str
    checks: Sequence[Check]
    recipe: Mapping[str, Any] | None = None
    lineage: Sequence[Mapping[str, Any]] = ()
    needed: Sequence[str] = CHAIN

    @property
    def verdict(self) -> Verdict:
        """Failed if any check failed; proved if all that are needed hold; unknown otherwise."""
        if any(check.ok is False for check in self.checks):
            return "failed"
        held = {check.name for check in self.checks if check.ok}
        return "proved" if set(self.needed) <= held else "unknown"

    def as_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.checks],
            "recipe": dict(self.recipe) if self.recipe is not None else {},
            "lineage": [dict(step) for step in self.lineage],
        }
