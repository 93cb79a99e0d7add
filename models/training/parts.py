"""The trained parts of a system, in a folder: each has a run there, and the weights that came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from models.training.kept import keep
from models.training.run import Report, Schedule, Trainee, run

Part = TypeVar("Part", bound=nn.Module)


class PipelineError(Exception):
    """A step cannot start; the message names what has to come before."""


@dataclass(frozen=True, slots=True)
class TrainedParts:
    """What the steps of a pipeline train and take up from one another; `report` is told how far each is."""

    root: Path
    report: Report

    def weights(self, name: str) -> Path:
        """Return where the weights of a part are, once it was trained."""
        return self.root / name / "weights.pt"

    def train(
        self, name: str, trainee: Trainee, schedule: Schedule, config: object, released: Callable[[], nn.Module]
    ) -> None:
        """Train a part, or go on with it, and keep the weights that are used from now on.

        Args:
            name: of the part, and of its folder.
            trainee: model, optimiser and data.
            schedule: how long and how fast.
            config: the frozen dataclass that says what is trained on what.
            released: gives the module whose weights are kept, when all steps are made.

        Raises:
            RunError: the folder holds a run of another configuration.
        """
        run(name, trainee, schedule, config, self.root / name, self.report)
        if not self.weights(name).is_file():
            keep(released().state_dict(), self.weights(name))

    def take(self, name: str, part: Part) -> Part:
        """Return a module with the weights of a part, for use.

        Raises:
            PipelineError: it was not trained.
        """
        path = self.weights(name)
        if not path.is_file():
            raise PipelineError(f"{path} is missing: the step {name!r} comes first")
        part.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return part.eval().requires_grad_(requires_grad=False)

    def told_of(self, phase: str, done: int, total: int) -> None:
        """Tell how far a phase without figures is."""
        self.report(phase, done, total, {})

    def told(self, phase: str) -> Callable[[int, int], None]:
        """Return what tells how far such a phase is."""
        return partial(self.told_of, phase)
