"""The picture of `xtag bench adaptive`: what the strategies found with which frames, and how fast."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...model import TagModel
from ...simulate import SIZE, Domains, Peaks, Region
from .tasks import SEEK_FRAMES, SEEK_WITHIN, TASKS, points_of, run, seek_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_SIDE = 121
_COLOURS = {"adaptive": "#1f6f8b", "faulty": "#c8553d", "random": "#8d99ae", "ax": "#8a6bbe"}
_SCORES = {"boundary": "intersection over union", "phases": "adjusted Rand index"}
_WORDS = {
    "adaptive": "strategy",
    "faulty": "5 % wrong, 5 % missing",
    "random": "random places",
    "ax": "bluesky-adaptive's Ax agent",
}


def draw(found: Mapping[str, Mapping[str, Sequence[Any]]], model: TagModel, path: Path) -> None:
    """Draw the maps of the first sample, and the median score by number of frames, of the tasks that were measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = [task for task in ("boundary", "phases", "seek") if task in found]
    figure = Figure(figsize=(4.2 * max(len(tasks), 1), 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    for column, task in enumerate(tasks):
        upper = figure.add_subplot(2, len(tasks), 1 + column)
        if task == "seek":
            _draw_search(upper, model)
        else:
            _draw_map(upper, task, model, found[task]["adaptive"][0]["stopped"])
        upper.set(xlabel="x, mm", ylabel="y, mm", aspect="equal", xlim=(0, SIZE), ylim=(0, SIZE))
        _traces(figure.add_subplot(2, len(tasks), 1 + len(tasks) + column), task, found[task])
    figure.savefig(path, dpi=110, metadata={"Model": f"{model.name} {model.version}"})


def _draw_map(axes: Axes, name: str, model: TagModel, stopped: int | None) -> None:
    task, axis, places = TASKS[name], np.linspace(0, SIZE, _SIDE), points_of(_SIDE)
    outcome, strategy = run(task, model, 0, "adaptive", limit=stopped)
    sample = Region(0) if name == "boundary" else Domains(0)
    truth = sample.fractions(places[:, 0], places[:, 1]).argmax(axis=0)
    axes.imshow(
        task.found(strategy, places).reshape(_SIDE, _SIDE), extent=(0, SIZE, 0, SIZE), origin="lower", cmap="Pastel1"
    )
    for phase in range(len(sample.phases)):
        axes.contour(axis, axis, (truth == phase).reshape(_SIDE, _SIDE), [0.5], colors="black", linewidths=0.8)
    axes.plot(*strategy.seen_positions().T, ".", color="#2b2d42", markersize=4)
    frames, score = outcome.trace[-1]
    axes.set_title(f"{name}: {frames} frames, {_SCORES[name]} {score:.3f}", fontsize=10)


def _draw_search(axes: Axes, model: TagModel) -> None:
    axis, places, sample = np.linspace(0, SIZE, _SIDE), points_of(_SIDE), Peaks(0)
    _, seeker = seek_run(model, 0, "adaptive")
    powder = sample.fractions(places[:, 0], places[:, 1])[1].reshape(_SIDE, _SIDE)
    axes.contourf(axis, axis, powder, 12, cmap="BuPu")
    axes.plot(*seeker.seen_positions().T, ".", color="#2b2d42", markersize=4)
    best = seeker.best()
    axes.plot(best["x"], best["y"], "+", color="#c8553d", markersize=16, markeredgewidth=2)
    axes.set_title(f"seek: {SEEK_FRAMES} frames, the place found (+)", fontsize=10)


def _traces(axes: Axes, task: str, kinds: Mapping[str, Sequence[Any]]) -> None:
    bar, budget = (SEEK_WITHIN, SEEK_FRAMES) if task == "seek" else (TASKS[task].bar, TASKS[task].budget)
    sign = -100 if task == "seek" else 1
    for kind, colour in _COLOURS.items():
        if kind not in kinds or len(kinds[kind][0]["trace"]) < 2:
            continue
        by_frames: dict[int, list[float]] = {}
        for one in kinds[kind]:
            for frames, score in one["trace"]:
                by_frames.setdefault(frames, []).append(sign * score)
        frames = sorted(number for number, scores in by_frames.items() if len(scores) == len(kinds[kind]))
        axes.plot(frames, [statistics.median(by_frames[n]) for n in frames], color=colour, label=_WORDS[kind])
        low, high = ([edge(by_frames[n]) for n in frames] for edge in (min, max))
        axes.fill_between(frames, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(abs(sign) * bar, color="black", linewidth=0.8, linestyle=":")
    axes.axvline(budget, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="frames")
    if task == "seek":
        axes.set(ylabel="distance from the best place, % of the range", yscale="log", xlim=(15, None))
    else:
        axes.set(ylabel=_SCORES[task], ylim=(0.5, 1))
        axes.set(xlim=(0, 2 * budget))
    axes.legend(fontsize=8, loc="best")
