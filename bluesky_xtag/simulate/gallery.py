"""One picture of all that is simulated: a frame for each tag, and each nuisance beside the same scene without it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import XTagValueError
from ..view import colour
from .examples import Centre, Example, Pair, nuisance_pairs, tag_examples
from .observed_examples import ObservedPair, observed_pairs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_gallery"]

_GROUND, _INK, _SOFT, _GAP, _CARD, _EDGE = "#ffffff", "#1f2933", "#6b7682", "#c4c9d1", "#eef1f4", "#d5dae1"
_MARK = "#5ef2ff"
# Inches: the page, the space between cells, between the two frames of a pair, and above a cell for its title.
_WIDTH, _MARGIN, _SPACE, _SEAM, _TITLE, _HEADING = 12.0, 0.3, 0.2, 0.05, 0.36, 0.75
_DARK = 0.02  # counts per pixel that the logarithm begins with
# Nuisances that the scale of the clean frame would show as black or as white.
_OWN_SCALE = ("exposure", "noise")
_KEY = (
    "Counts on a logarithmic scale;\n"
    "grey where no pixel is valid.\n\n"
    "Many tags hold at once: each frame\n"
    "stands for the tag above it."
)


def draw_gallery(
    path: str | Path,
    seed: int = 0,
    nuisances: Iterable[str] | None = None,
    draws: int = 400,
    observed: bool = False,
) -> Path:
    """Draw the picture; the same seed gives the same frames.

    Parameters
    ----------
    path : path
        The file to write; its suffix decides the format.
    seed : int
        Of the scenes.
    nuisances : iterable of str, optional
        Names of the nuisances to show; all if not given.
    draws : int
        From how many scenes the frames of the tags are chosen.
    observed : bool
        Show what measured frames have beyond the nuisances, too.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    XTagValueError
        There is no such directory, the suffix names no format of a picture, or a nuisance is not known.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    formats = FigureCanvasAgg.get_supported_filetypes()
    if not path.parent.is_dir():
        raise XTagValueError(
            f"there is no directory {path.parent}: make it first or choose another name for {path.name}"
        )
    if path.suffix.lstrip(".") not in formats:
        raise XTagValueError(f"{path.name} ends in no format of a picture: choose one of {', '.join(sorted(formats))}")
    pairs, examples = nuisance_pairs(seed, nuisances), tag_examples(seed, draws)
    tags = _Grid(6, 1, _HEADING)
    below = _Grid(4, 2, tags.bottom(len(examples)) + _HEADING)
    seen = observed_pairs(seed) if observed else []
    last = _Grid(4, 2, below.bottom(len(pairs)) + _HEADING)
    height = last.bottom(len(seen)) if seen else below.bottom(len(pairs))
    figure = Figure(figsize=(_WIDTH, height + _MARGIN), facecolor=_GROUND)
    FigureCanvasAgg(figure)
    _head(figure, tags.top, f"{len(examples)} tags", "a simulated frame for each")
    for number, example in enumerate(examples):
        _draw_example(tags.cell(figure, number)[0], example)
    _draw_key(tags.cell(figure, len(examples))[0])
    if pairs:
        _head(figure, below.top, f"{len(pairs)} nuisances", "a scene without each, and with it at the end of its range")
    for number, pair in enumerate(pairs):
        _draw_pair(below.cell(figure, number), pair)
    if seen:
        _head(figure, last.top, f"{len(seen)} observed effects", "a scene without each, and with it")
    for number, each in enumerate(seen):
        _draw_observed(last.cell(figure, number), each)
    figure.savefig(path, dpi=130)
    return path


@dataclass(frozen=True)
class _Grid:
    """Cells of a page, each of some square frames side by side; inches from the top left corner."""

    columns: int
    frames: int
    top: float

    @property
    def side(self) -> float:
        """Side of a frame."""
        seams = self.columns * (self.frames - 1) * _SEAM
        return (_WIDTH - 2 * _MARGIN - (self.columns - 1) * _SPACE - seams) / (self.columns * self.frames)

    def bottom(self, cells: int) -> float:
        """Return where the last of so many cells ends."""
        return self.top + -(-cells // self.columns) * (_TITLE + self.side)

    def cell(self, figure: Any, number: int) -> list[Axes]:
        """Make the axes of a cell."""
        row, column = divmod(number, self.columns)
        left = _MARGIN + column * (self.frames * self.side + (self.frames - 1) * _SEAM + _SPACE)
        bottom, height = self.bottom((row + 1) * self.columns), figure.get_figheight()
        return [
            figure.add_axes(
                (
                    (left + frame * (self.side + _SEAM)) / _WIDTH,
                    1 - bottom / height,
                    self.side / _WIDTH,
                    self.side / height,
                )
            )
            for frame in range(self.frames)
        ]


def _head(figure: Any, top: float, words: str, more: str) -> None:
    y = 1 - (top - 0.12) / figure.get_figheight()
    text = figure.text(_MARGIN / _WIDTH, y, words, fontsize=17, fontweight="bold", color=_INK, va="baseline")
    right = text.get_window_extent().x1 / figure.bbox.width
    figure.text(right + 0.012, y, more, fontsize=12, color=_SOFT, va="baseline")


def _draw_example(axes: Axes, example: Example) -> None:
    _show(axes, example.frame, _limits(example.frame))
    _name(axes, example.tag.name, 10.5)
    axes.plot((0, 1), (1.012, 1.012), transform=axes.transAxes, color=colour(example.tag.name), lw=2.5, clip_on=False)


def _draw_key(axes: Axes) -> None:
    axes.axis("off")
    axes.text(0.02, 1.0, _KEY, transform=axes.transAxes, va="top", fontsize=9, color=_SOFT, linespacing=1.5)


def _draw_pair(cell: list[Axes], pair: Pair) -> None:
    nuisance, scale = pair.nuisance, _limits(pair.clean)
    for axes, frame in zip(cell, (pair.clean, pair.spoiled), strict=True):
        _show(axes, frame, _limits(frame) if nuisance.name in _OWN_SCALE else scale)
    if nuisance.name.startswith("centre"):
        for axes, centre in zip(cell, pair.centres, strict=True):
            _mark(axes, centre)
    _name(cell[0], nuisance.title, 9.2)
    first, last = (_spell_level(level, nuisance.unit) for level in (nuisance.levels[0], nuisance.levels[-1]))
    cell[1].set_title(f"{first} → {last} {nuisance.unit}".rstrip(), fontsize=6.9, color=_SOFT, loc="right", pad=5.5)


def _draw_observed(cell: list[Axes], pair: ObservedPair) -> None:
    for axes, frame in zip(cell, (pair.plain, pair.changed), strict=True):
        _show(axes, frame, _limits(frame))
    _name(cell[0], pair.effect.title, 9.2)


def _name(axes: Axes, name: str, size: float) -> None:
    axes.set_title(name, fontsize=size, fontweight="bold", color=_INK, loc="left", pad=5)


def _spell_level(level: float, unit: str) -> str:
    if not unit:
        return "yes" if level else "no"
    return f"{level:.2g}".replace("e+0", "e").replace("e-0", "e-") if level > 1e6 or 0 < level < 1e-3 else f"{level:g}"


def _mark(axes: Axes, centre: Centre | None) -> None:
    """Mark the beam centre that is told."""
    from matplotlib.patheffects import withStroke

    if centre is None:
        axes.text(
            0.5,
            0.5,
            "?",
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=22,
            color=_MARK,
            path_effects=[withStroke(linewidth=3, foreground="black")],
        )
    else:
        axes.plot(*centre, "+", ms=15, mew=3.5, color="black")
        axes.plot(*centre, "+", ms=13, mew=1.5, color=_MARK)


def _show(axes: Axes, frame: np.ndarray, limits: tuple[float, float]) -> None:
    """Show counts on a square card, whatever the shape of the frame."""
    from matplotlib import colormaps

    colours = colormaps["magma"].with_extremes(bad=_GAP)
    (low, high), (rows, columns) = limits, frame.shape
    axes.imshow(np.log(frame + _DARK), cmap=colours, vmin=low, vmax=high, interpolation="none")
    half = max(rows, columns) / 2
    middle_x, middle_y = columns / 2 - 0.5, rows / 2 - 0.5
    axes.set(xticks=[], yticks=[], xlim=(middle_x - half, middle_x + half), ylim=(middle_y + half, middle_y - half))
    axes.set_facecolor(_CARD)
    for spine in axes.spines.values():
        spine.set(color=_EDGE, linewidth=0.8)


def _limits(frame: np.ndarray) -> tuple[float, float]:
    """Return the range of the logarithm to show; at least some, so that noise does not look like contrast."""
    low, high = np.nanpercentile(np.log(frame + _DARK), (2, 99.7))
    return float(low), float(max(high, low + 0.4))
