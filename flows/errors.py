"""What can go wrong while an order is read, planned and worked off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class FlowError(Exception):
    """Base of this package's errors; the text is one line, ready for a user."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: a file, and as far as known the line and the key."""

    file: Path
    line: int | None = None
    key: str = ""

    def __str__(self) -> str:
        at = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{at}: {self.key}" if self.key else at


class OrderError(FlowError):
    """The order cannot be used as it is written."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class SettingsError(FlowError):
    """An environment variable or an option has a value that cannot be used."""


class KeysError(FlowError):
    """A key is missing, unreadable, or of another kind."""


class ServiceError(FlowError):
    """A part that Tutti needs (Prefect server, home folder, workers) is missing or fails."""


class RunCancelledError(FlowError):
    """Somebody cancelled the run while it was being made."""


class VerificationError(FlowError):
    """A finished run does not hold what it says: an asset's object is not in the store."""


class InterruptedRunError(FlowError):
    """The user or the system asked the command to stop; what was finished is kept.

    `run_id` is of a run that is planned, and can be resumed.
    """

    def __init__(self, signal_number: int, run_id: str | None) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
        self.run_id = run_id
