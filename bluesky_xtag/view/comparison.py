"""The picture of two models that tagged the same frames: how often they disagree on each tag, and on which frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .picture import GROUND, INK, SOFT, draw_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Disputed", "draw_comparison"]

COLOURS = ("#2f6f9f", "#e0a100")  # only the first model gave the tag, only the second did
_COLUMNS = 3
_LINES = 8  # room for so many bars at least


@dataclass(frozen=True, eq=False)
class Disputed:
    """A frame on which two models disagree.

    Parameters
    ----------
    title : str
        Title of the frame.
    pixels : numpy.ndarray
        (rows, columns) counts.
    tag : str
        The tag on which they differ most.
    scores : (float, float)
        The scores of this tag by the two models.
    only : (str, str)
        The tags that only the first model gave, and those that only the second gave.
    """

    title: str
    pixels: np.ndarray
    tag: str
    scores: tuple[float, float]
    only: tuple[str, str]


def draw_comparison(
    path: str | Path,
    models: tuple[str, str],
    counts: Mapping[str, tuple[int, int]],
    compared: int,
    frames: Sequence[Disputed],
) -> None:
    """Draw the picture of a comparison.

    Parameters
    ----------
    path : str or Path
        The file to write; its suffix decides the format.
    models : (str, str)
        The names of the models.
    counts : mapping of str to (int, int)
        For each tag, the number of frames that got it from the first model only, and from the second model only. Tags
        without such frames are left out.
    compared : int
        How many frames both models scored.
    frames : sequence of Disputed
        Drawn next to the bars.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = min(len(frames), _COLUMNS)
    rows = math.ceil(len(frames) / _COLUMNS)
    left, right = 5.6, 2.9 * columns
    size = (left + right, max(3.3 * rows, 0.27 * len(counts) + 1.6))
    figure = Figure(figsize=size, layout="constrained", facecolor=GROUND)
    FigureCanvasAgg(figure)
    side: Any = figure
    if frames:
        side, beside = cast(Any, figure.subfigures(1, 2, width_ratios=(left, right)))
        for axes, frame in zip(_axes(beside, rows, columns), frames, strict=False):
            _draw_frame(axes, frame)
    _draw_bars(side.subplots(), counts, compared)
    names = [f"only {letter}: {model}" for letter, model in zip("AB", models, strict=True)]
    handles = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, names, strict=True)]
    side.legend(handles=handles, loc="outside lower left", frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def _axes(side: Any, rows: int, columns: int) -> list[Axes]:
    axes = list(side.subplots(rows, columns, squeeze=False).flat)
    for each in axes:
        each.axis("off")
    return axes


def _draw_frame(axes: Axes, frame: Disputed) -> None:
    axes.axis("on")
    draw_pixels(axes, frame.title, frame.pixels)
    first, second = (f"{score:.2f}" for score in frame.scores)
    lines = [
        f"{frame.tag} {first} | {second}",
        *(f"only {name}: {tags}" for name, tags in zip("AB", frame.only, strict=True) if tags),
    ]
    axes.set_xlabel("\n".join(map(_shorten, lines)), fontsize=8, color=INK, loc="left")


def _draw_bars(axes: Axes, counts: Mapping[str, tuple[int, int]], compared: int) -> None:
    """Draw, for each tag, to the left how often only the first model gave it, to the right only the second."""
    order = sorted((tag for tag in counts if any(counts[tag])), key=lambda tag: sum(counts[tag]))
    largest = max((count for pair in counts.values() for count in pair), default=0) or 1
    for line, tag in enumerate(order):
        for count, colour, way in zip(counts[tag], COLOURS, (-1, 1), strict=True):
            if count:
                axes.barh(line, way * count, color=colour, height=0.6)
                style: Any = {"va": "center", "ha": "left" if way > 0 else "right", "fontsize": 7.5}
                axes.text(way * (count + 0.02 * largest), line, str(count), color=INK, **style)
    axes.axvline(0, color=SOFT, lw=0.8)
    axes.set_yticks(range(len(order)), order, fontsize=8.5, color=INK)
    axes.set_xticks([])
    axes.set_xlim(-1.2 * largest, 1.2 * largest)
    axes.set_ylim(min(len(order), _LINES) - 0.5 - max(len(order), _LINES), len(order) - 0.5)  # bars of one height
    axes.set_title(f"frames with the tag by one model only, of {compared}", fontsize=9.5, color=INK, loc="left")
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(left=False)


def _shorten(line: str, width: int = 44) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"
