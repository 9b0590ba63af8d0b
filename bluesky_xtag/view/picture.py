"""The picture of a scan: points in the colours of their tags on the sample's map, next to frames with their tags."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .brightness import log_counts
from .colours import colour, group, most_specific, order_tags

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GROUND", "INK", "SOFT", "Point", "SampleMap", "draw_points", "draw_pixels"]

GROUND, INK, SOFT = "#ffffff", "#1f2933", "#6b7682"
_GAP = "#c4c9d1"
_BARS = 4  # scores shown below a frame
_TITLE = 28  # characters
_SHOWN = 400  # rows or columns of a frame


@dataclass(frozen=True, eq=False)
class Point:
    """One tagged frame.

    Parameters
    ----------
    title : str
        Title of the frame.
    tags : tuple of str
        The accepted tags.
    scores : mapping
        Probability per tag; empty if the frame was not scored.
    position : tuple of float, optional
        (x, y) on the sample, mm.
    pixels : numpy.ndarray, optional
        (rows, columns) counts, for frames that the picture shows.
    """

    title: str
    tags: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    position: tuple[float, float] | None = None
    pixels: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class SampleMap:
    """What is known about the sample.

    Parameters
    ----------
    regions : numpy.ndarray
        (ny, nx) integers: number of the region at each place, row 0 at the smallest y.
    names : tuple of str
        Name of each region.
    size : tuple of float
        (width, height) in mm, from 0.
    """

    regions: np.ndarray
    names: tuple[str, ...]
    size: tuple[float, float]


def draw_points(
    path: str | Path, points: Sequence[Point], title: str, sample: SampleMap | None = None, *, model: str = ""
) -> None:
    """Draw the picture of a scan.

    Parameters
    ----------
    path : str or Path
        The file to write; its suffix decides the format.
    points : sequence of Point
        The scan. Points with a position are drawn on the map, points with pixels as frames.
    title : str
        Stands above.
    sample : SampleMap, optional
        The map below the points. Without it the picture has no map, only frames.
    model : str
        The name and version of the model whose tags are shown, which a PNG names in its metadata.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [point for point in points if point.pixels is not None]
    columns = 3 if sample else min(max(len(shown), 1), 6)
    rows = max(math.ceil(len(shown) / columns), 2 if sample else 1)
    height, width, left = 3.5 * rows, 2.7 * columns, 3.3 * rows if sample else 0.0
    figure = Figure(figsize=(left + width, height + 0.6), layout="constrained", facecolor=GROUND)
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=INK, fontsize=13, fontweight="bold", x=0.012, ha="left")
    frames: Any = figure
    if sample:
        map_side, frames = cast(Any, figure.subfigures(1, 2, width_ratios=(left, width)))
        _draw_map(map_side, points, sample)
    grid = frames.add_gridspec(2 * rows, columns, height_ratios=[1.0, 0.36] * rows)
    for number, point in enumerate(shown):
        row, column = divmod(number, columns)
        draw_pixels(frames.add_subplot(grid[2 * row, column]), point.title, point.pixels)
        _draw_scores(frames.add_subplot(grid[2 * row + 1, column]), point)
    png = Path(path).suffix.lower() == ".png"
    figure.savefig(path, dpi=150, metadata={"Model": model} if model and png else None)


def _draw_map(side: Any, points: Sequence[Point], sample: SampleMap) -> None:
    """Draw the regions of the sample, and each point with its tags."""
    from matplotlib.lines import Line2D

    axes: Axes = side.subplots()
    width, height = sample.size
    shades = np.linspace(1.0, 0.90, len(sample.names))[sample.regions]
    axes.imshow(shades, cmap="gray", vmin=0, vmax=1, origin="lower", extent=(0, width, 0, height))
    placed = [point for point in points if point.position is not None]
    radius = 0.36 * _pitch(placed)
    for point in placed:
        _draw_point(axes, point, radius)
    _draw_regions(axes, sample, placed)
    edge = 0.03 * width
    limits = {"xlim": (-edge, width + edge), "ylim": (-edge, height + edge)}
    axes.set(xlabel="x (mm)", ylabel="y (mm)", aspect="equal", **limits)
    axes.tick_params(colors=SOFT, labelsize=8)
    _soften(axes)
    held = [tag for point in placed for tag in _sample_tags(point.tags)]
    tags = sorted(set(held), key=lambda tag: -held.count(tag))
    handles = [
        Line2D([], [], marker="o", ls="", ms=8, color=colour(tag), label=f"{tag}  ({held.count(tag)})") for tag in tags
    ]
    side.legend(
        handles=handles,
        title="disc: the most specific tag; ring around it: all other tags of the frame",
        loc="outside lower center",
        borderaxespad=0.0,  # the axis above needs the room
        ncols=4,
        columnspacing=1.2,
        handletextpad=0.2,
        frameon=False,
        fontsize=8,
        title_fontsize=8.5,
    )


def _draw_regions(axes: Axes, sample: SampleMap, placed: Sequence[Point]) -> None:
    """Draw the borders of the regions, and their names between the rows of points."""
    from matplotlib.patheffects import withStroke

    width, height = sample.size
    ny, nx = sample.regions.shape
    heights = np.unique([point.position[1] for point in placed if point.position])
    between = (heights[1:] + heights[:-1]) / 2
    for number, name in enumerate(sample.names):
        inside = sample.regions == number
        axes.contour(inside, levels=[0.5], colors="#b9c0c9", linewidths=0.8, extent=(0, width, 0, height))
        row, column = (int(index.mean()) for index in np.nonzero(inside)) if inside.any() else (0, 0)
        if inside[row, column] and between.size:
            y = float(between[np.abs(between - row * height / ny).argmin()])
            text = axes.text(column * width / nx, y, name, ha="center", va="center", fontsize=9, zorder=6)
            text.set(style="italic", color=INK, path_effects=[withStroke(linewidth=2.5, foreground="white")])


def _draw_point(axes: Axes, point: Point, radius: float) -> None:
    """Draw a disc in the colour of the most specific tag, and a ring with all tags about the sample."""
    from matplotlib.patches import Circle, Wedge

    assert point.position is not None
    tags = _sample_tags(point.tags)
    main = most_specific(tags)
    others = [tag for tag in tags if tag != main]
    axes.add_patch(Circle(point.position, radius, fc="white", ec=SOFT, lw=0.5, zorder=3))
    if main:
        axes.add_patch(Circle(point.position, 0.62 * radius, fc=colour(main), lw=0, zorder=4))
    for number, tag in enumerate(others):
        start, stop = (90 + 360 * turn / len(others) for turn in (number, number + 1))
        axes.add_patch(Wedge(point.position, radius, start, stop, width=0.26 * radius, fc=colour(tag), lw=0, zorder=4))
    if point.pixels is not None:
        x, y = point.position
        axes.text(
            x, y, point.title[:1], ha="center", va="center", color="white", fontsize=8, fontweight="bold", zorder=5
        )


def draw_pixels(axes: Axes, title: str, pixels: np.ndarray | None) -> None:
    """Draw counts on a logarithmic scale, gaps and masked pixels in grey.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The axes to draw on.
    title : str
        Title above the image, cut if it is long.
    pixels : numpy.ndarray or None
        (rows, columns) raw counts; negative values, NaN and a type's maximum are not valid. If None, the image is all
        grey.
    """
    from matplotlib import colormaps

    values, low, high = log_counts(np.full((100, 100), -1) if pixels is None else pixels, _SHOWN)
    colours = colormaps["magma"].with_extremes(bad=_GAP)
    axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="none")
    axes.set_anchor("S")  # so that frames of any shape stand on their scores
    shown = title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"
    axes.set_title(shown, fontsize=9.5, color=INK, loc="left", pad=3)
    axes.set(xticks=[], yticks=[])
    _soften(axes)


def _draw_scores(axes: Axes, point: Point) -> None:
    """Draw the best scores as bars: in colour where the tag was accepted."""
    accepted, main = set(point.tags), most_specific(point.tags)
    ranked = sorted(order_tags(point.scores), key=lambda tag: (tag != main, tag not in accepted))
    for line, tag in enumerate(ranked[:_BARS]):
        score, holds = point.scores[tag], tag in accepted
        style: Any = {"va": "center", "fontsize": 8, "color": INK if holds else SOFT}
        axes.barh(line, 0.30, left=0.58, height=0.42, color="#e8ebef", lw=0)
        axes.barh(line, 0.30 * score, left=0.58, height=0.42, color=colour(tag) if holds else "#c3cad3", lw=0)
        axes.text(0.0, line, tag, fontweight="bold" if holds else "normal", **style)
        axes.text(1.0, line, f"{score:.2f}", ha="right", **style)
    if not point.scores:
        axes.text(0.0, 0, "not scored", va="center", fontsize=8, color=SOFT)
    axes.set(xlim=(0, 1), ylim=(_BARS - 0.5, -0.5))
    axes.axis("off")


def _sample_tags(tags: Sequence[str]) -> list[str]:
    """Return the tags that differ between places of the sample, without those of the instrument."""
    return [tag for tag in tags if group(tag) != "instrument"]


def _pitch(points: Sequence[Point]) -> float:
    """Return the distance between neighbouring points, mm; 1 if there is only one."""
    at = np.array([point.position for point in points], float).reshape(-1, 2)
    if len(at) < 2:
        return 1.0
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
    return float(np.median(np.where(apart > 0, apart, np.inf).min(axis=1)))


def _soften(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set(color="#d5dae1", linewidth=0.8)
