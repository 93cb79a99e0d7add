"""Pictures of trainings: the figures of every run over its steps, training faint and held-out clips in front."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.training.run import Metrics, read_metrics

_COLUMNS = 3
_SMOOTHED = 50  # steps that the line of training is a mean over


def plot_curves(runs: Sequence[Path], path: Path) -> None:
    """Draw one panel for each run's folder into a PNG: its first figure, and what held-out clips say of it."""
    from matplotlib.figure import Figure

    rows = -(-len(runs) // _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 2.7 * rows), layout="constrained")
    for number, run in enumerate(runs, start=1):
        axes = figure.add_subplot(rows, _COLUMNS, number)
        metrics = read_metrics(run)
        figures = [name for name in metrics[0] if name not in ("step", "elapsed_s")]
        steps = [row["step"] for row in metrics]
        axes.plot(steps, _smooth([row[figures[0]] for row in metrics]), color="0.7", label=figures[0])
        for name in sorted({name for row in metrics for name in row} - {"step", "elapsed_s", "pairs", *metrics[0]}):
            axes.plot(*_held_out(metrics, name), marker=".", linewidth=1, label=name)
        axes.set_title(run.name, fontsize=10)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=6)
    figure.savefig(path, dpi=90)


def _held_out(metrics: Sequence[Metrics], name: str) -> tuple[list[float], list[float]]:
    rows = [row for row in metrics if name in row]
    return [row["step"] for row in rows], [row[name] for row in rows]


def _smooth(values: Sequence[float]) -> list[float]:
    """Return the running mean over the last steps, of fewer at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - _SMOOTHED, 0)
    return [float(x) for x in (sums[ends] - sums[starts]) / (ends - starts)]
