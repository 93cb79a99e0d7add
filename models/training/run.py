"""A training run in a folder: config.json, metrics.jsonl and checkpoint.pt, replaced whole every few minutes.

Started again on the same folder a run goes on from the checkpoint with the losses it would have had: everything a
step draws is keyed by the step, and the trainee's state is all there is.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch

from models.training.draws import torch_generator
from models.training.kept import keep
from models.whole_files import write_whole

Metrics = dict[str, float]
Report = Callable[[str, int, int, Mapping[str, float]], None]  # phase, done, of how many, figures

_METRICS: Final = "metrics.jsonl"
_DROPOUT: Final = 7  # the purpose that its draws are keyed by


class RunError(ValueError):
    """The folder holds a run of another configuration, or one whose configuration cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long a run is, and how its rate goes: linear warm-up, then a cosine down to `last` of the peak."""

    steps: int
    learning_rate: float
    warmup: int = 200
    last: float = 0.03
    evaluate_every: int = 500
    checkpoint_every_s: float = 180.0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return self.learning_rate * (self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * progress)))


class Trainee(Protocol):
    """What a run drives."""

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step and return its figures. All that it draws is keyed by `step`; of dropout `run` sees to it."""

    def evaluate(self) -> Metrics:
        """Measure on held-out material."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""


def run(name: str, trainee: Trainee, schedule: Schedule, config: Any, folder: Path, report: Report) -> None:
    """Train until the schedule's end, or go on with the run in `folder`.

    Args:
        name: what the reports call it.
        trainee: model, optimiser and data.
        schedule: how long and how fast.
        config: the frozen dataclass that says what is trained on what; kept beside the checkpoint.
        folder: where the run lives.
        report: told the figures of every step.

    Raises:
        RunError: the folder holds a run of another configuration, or one whose configuration cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, {"schedule": asdict(schedule), "config": asdict(config)})
    step, elapsed_s = _restore(folder, trainee)
    started = saved = time.monotonic()
    while step < schedule.steps:
        with torch.random.fork_rng():  # dropout draws from PyTorch's own generators
            torch.manual_seed(torch_generator(0, _DROPOUT, step).initial_seed())
            metrics = trainee.step(step, schedule.rate(step))
        step += 1
        now = time.monotonic()
        figures: Metrics = {"step": step, "elapsed_s": round(elapsed_s + now - started, 2), **metrics}
        if step % schedule.evaluate_every == 0 or step == schedule.steps:
            figures |= trainee.evaluate()
        with (folder / _METRICS).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(figures) + "\n")
        report(name, step, schedule.steps, figures)
        if now - saved > schedule.checkpoint_every_s or step == schedule.steps:
            _save(folder, trainee, step, elapsed_s + now - started)
            saved = time.monotonic()


def read_metrics(folder: Path) -> list[Metrics]:
    """Return the figures of every step; of a step that was made twice after a kill, the later ones.

    A last line that is not finished is not read: a kill left it, or it is being written.
    """
    by_step: dict[float, Metrics] = {}
    for line in _finished_lines((folder / _METRICS).read_bytes()).decode().splitlines():
        figures = json.loads(line)
        by_step[figures["step"]] = figures
    return [by_step[step] for step in sorted(by_step)]


def _claim(folder: Path, wanted: dict[str, Any]) -> None:
    path, wanted = folder / "config.json", json.loads(json.dumps(wanted))
    if not path.exists():
        write_whole(path, json.dumps(wanted, indent=1))
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} cannot be read ({error}); name a new folder") from None
    if found != wanted:
        different = sorted(
            f"{part}.{key}"
            for part in wanted
            for key in wanted[part] | found.get(part, {})
            if found.get(part, {}).get(key) != wanted[part].get(key)
        )
        raise RunError(f"{folder} holds a run of another configuration ({', '.join(different)}); name a new folder")


def _save(folder: Path, trainee: Trainee, step: int, elapsed_s: float) -> None:
    keep({"trainee": trainee.state_dict(), "step": step, "elapsed_s": elapsed_s}, folder / "checkpoint.pt")


def _restore(folder: Path, trainee: Trainee) -> tuple[int, float]:
    metrics, path = folder / _METRICS, folder / "checkpoint.pt"
    if metrics.is_file():
        os.truncate(metrics, len(_finished_lines(metrics.read_bytes())))
    if not path.is_file():
        return 0, 0.0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    trainee.load_state_dict(state["trainee"])
    return state["step"], state["elapsed_s"]


def _finished_lines(data: bytes) -> bytes:
    """Return the lines that end."""
    return data[: data.rfind(b"\n") + 1]
