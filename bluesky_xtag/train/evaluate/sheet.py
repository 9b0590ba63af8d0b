"""A picture of the frames on which a model is most wrong, to be looked at."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from ...frames import LabelledFile, open_labelled
from .charts import INK, RED, log_picture
from .page import Mistake, mistakes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .evaluation import Evaluation

__all__ = ["worst_frames"]

TAGS = 8  # tags shown, those with the lowest average precision


def worst_frames(scored: Evaluation) -> bytes:
    """Return a PNG: for the tags with the lowest AP, the surest wrong frame and the surest missed one.

    Parameters
    ----------
    scored : Evaluation
        Only the frames that are shown are read again from its file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _worst(scored)
    columns = 4
    figure = Figure((11.6, 3.1 * max(1, -(-len(shown) // columns))), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(max(1, -(-len(shown) // columns)), columns, squeeze=False)
    with open_labelled(scored.path) as file:
        for axes, mistake in zip(grid.flat, shown, strict=False):
            _show(axes, scored, mistake, file)
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=90, bbox_inches="tight", metadata={"Model": scored.model})
    return png.getvalue()


def _worst(scored: Evaluation) -> list[Mistake]:
    precision = np.array([row.average_precision for row in scored.report.tags])
    order = np.argsort(np.where(np.isfinite(precision), precision, 2))[:TAGS]
    return [found for tag in order for held in (False, True) for found in mistakes(scored, int(tag), held, 1)]


def _show(axes: Axes, scored: Evaluation, mistake: Mistake, file: LabelledFile) -> None:
    from matplotlib.image import imread

    frame, tag = file.read(scored.frames[mistake.frame]), scored.tags[mistake.tag]
    axes.imshow(imread(io.BytesIO(log_picture(frame.pixels, frame.mask))))
    axes.set_xticks([])
    axes.set_yticks([])
    missed = scored.truth[mistake.frame, mistake.tag] == 1
    axes.set_title(
        f"{tag}: {'missed' if missed else 'wrongly seen'}, {mistake.score:.2f}", fontsize=9, color=RED, loc="left"
    )
    holds = [other for other, truth in zip(scored.tags, scored.truth[mistake.frame], strict=True) if truth == 1]
    axes.set_xlabel("holds: " + _lines(holds), fontsize=7.5, color=INK, loc="left")


def _lines(names: list[str], width: int = 3) -> str:
    rows = [", ".join(names[start : start + width]) for start in range(0, len(names), width)]
    return ",\n".join(rows) or "nothing certain"
