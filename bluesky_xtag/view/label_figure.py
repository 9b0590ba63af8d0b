"""The page of a person who labels frames, as a figure of matplotlib: for a window, or for a file."""

from __future__ import annotations

import textwrap
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from .brightness import as_colours
from .colours import colour, group
from .label_page import LabelPage, TagLine
from .picture import GROUND, INK, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_label_page", "label_picture", "tag_at"]

SIZE = (12.0, 7.4)  # inches
_LETTERS = 120  # of a line of a message
_SHOWN = 800  # rows and columns of the frame
_KEY, _SIGN, _NAME, _BAR, _END = 0.02, 0.085, 0.14, 0.55, 0.86  # columns of the list of tags
_UNDECIDED = "#b7791f"
_TRACK = "#e8ebef"
_MISSED = "#c3cad3"
_SIGNS = "✓ holds   · does not   ? undecided   * not as proposed"
_TAGS = "tags"  # the label of the axes with the list


def draw_label_page(figure: Figure, page: LabelPage, picture: np.ndarray | None = None, *, over: bool = False) -> None:
    """Draw a page on a figure, in the place of what is on it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Of about 12 by 7.4 inches.
    page : LabelPage
        What is to be seen.
    picture : numpy.ndarray, optional
        Its frame as `label_picture` returns it, which takes longer than all else. If None, it is made.
    over : bool
        Say that it is over instead.
    """
    figure.clear()
    figure.set_facecolor(GROUND)
    if over or page.pixels is None:
        text = f"{page.done} of {page.total} frames are labelled. You can close this window."
        figure.text(0.5, 0.5, text, ha="center", va="center", color=INK, fontsize=14)
        return
    figure.text(0.02, 0.965, page.title, color=INK, fontsize=13, fontweight="bold", va="center")
    figure.text(0.02, 0.925, page.about, color=SOFT, fontsize=9.5, va="center")
    figure.text(0.98, 0.965, f"{page.done} of {page.total} labelled", color=INK, fontsize=11, ha="right", va="center")
    _draw_progress(figure, page)
    shown = label_picture(page.pixels) if picture is None else picture
    _draw_frame(figure.add_axes((0.02, 0.09, 0.58, 0.81)), shown)
    _draw_tags(figure.add_axes((0.62, 0.09, 0.36, 0.81), label=_TAGS), page.lines)
    if page.message:
        message = textwrap.fill(page.message, _LETTERS)
        figure.text(0.02, 0.035, message, color=_UNDECIDED, fontsize=10.5, fontweight="bold", va="center")
    else:
        _draw_commands(figure, page)


def tag_at(event: Any, page: LabelPage) -> TagLine | None:
    """Return the tag on which a mouse event of the figure is, None if it is on none."""
    axes = event.inaxes
    if axes is None or axes.get_label() != _TAGS or event.ydata is None:
        return None
    number = round(event.ydata)
    return page.lines[number] if 0 <= number < len(page.lines) else None


def label_picture(pixels: np.ndarray) -> np.ndarray:
    """Return a frame as it is drawn: (rows, columns, 3) uint8."""
    return as_colours(pixels, _SHOWN, _SHOWN)


def _draw_frame(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
    axes.set_anchor("N")
    for spine in axes.spines.values():
        spine.set(color="#d5dae1", linewidth=0.8)


def _draw_tags(axes: Axes, lines: tuple[TagLine, ...]) -> None:
    before = None
    for number, line in enumerate(lines):
        if before is not None and group(line.tag) != before:
            axes.axhline(number - 0.5, color="#e3e7ec", lw=0.8)
        before = group(line.tag)
        _draw_tag(axes, number, line)
    axes.set(xlim=(0, 1), ylim=(max(len(lines), 12) - 0.5, -0.5))
    axes.axis("off")


def _draw_tag(axes: Axes, number: int, line: TagLine) -> None:
    own = colour(line.tag)
    ink = _UNDECIDED if line.holds is None else INK if line.holds else SOFT
    style: Any = {"va": "center", "fontsize": 10, "color": ink}
    weight = "bold" if line.holds or line.changed else "normal"
    box: Any = {"boxstyle": "round,pad=0.28", "fc": "#f3f5f7", "ec": "#b9c0c9", "lw": 0.8}
    if line.holds:
        axes.axhspan(number - 0.44, number + 0.44, color=own, alpha=0.13, lw=0)
        box |= {"fc": own, "ec": own}
    letter: Any = {"color": "white" if line.holds else INK, "family": "monospace", "fontweight": "bold", "bbox": box}
    axes.text(_KEY + 0.012, number, line.key, ha="center", va="center", fontsize=9.5, **letter)
    axes.text(_SIGN, number, line.sign, ha="center", fontweight="bold", **style)
    axes.text(_NAME, number, line.tag + (" *" if line.changed else ""), fontweight=weight, **style)
    if isfinite(line.score):
        bar: Any = {"left": _BAR, "height": 0.42, "lw": 0}
        axes.barh(number, _END - _BAR, color=_TRACK, **bar)
        axes.barh(number, (_END - _BAR) * line.score, color=own if line.holds else _MISSED, **bar)
        axes.text(0.99, number, f"{line.score:.2f}", ha="right", va="center", fontsize=9.5, color=ink)


def _draw_progress(figure: Figure, page: LabelPage) -> None:
    from matplotlib.patches import Rectangle

    width, share = 0.2, page.done / max(page.total, 1)
    for part, shade in ((1.0, _TRACK), (share, "#2a9d8f")):
        figure.add_artist(Rectangle((0.98 - width, 0.92), width * part, 0.012, color=shade, lw=0))


def _draw_commands(figure: Figure, page: LabelPage) -> None:
    place = 0.02
    for key, what in page.commands.items():
        shown = figure.text(place, 0.035, key, color=INK, fontsize=10, fontweight="bold", va="center")
        place = _right_of(figure, shown) + 0.006
        shown = figure.text(place, 0.035, what, color=SOFT, fontsize=10, va="center")
        place = _right_of(figure, shown) + 0.022
    figure.text(0.98, 0.035, _SIGNS, color=SOFT, fontsize=9, ha="right", va="center")


def _right_of(figure: Figure, text: Any) -> float:
    box = text.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    return float(figure.transFigure.inverted().transform((box.x1, 0))[0])
