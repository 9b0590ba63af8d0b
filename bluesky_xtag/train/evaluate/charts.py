"""Charts of an evaluation, as PNG: curves of each tag as small multiples, and frames on a logarithmic scale."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .metrics import precision_recall, reliability
from .report import TagFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .drops import Curve, Robustness
    from .evaluation import Evaluation

__all__ = ["calibration_curves", "log_picture", "precision_recall_curves", "robustness_curves"]

INK, SOFT, BLUE, RED, GAP = "#1f2933", "#9aa5b1", "#2f6f9f", "#b42318", (196, 201, 209)
SIDE = 264  # pixels of a frame's picture


def precision_recall_curves(scored: Evaluation) -> bytes:
    """Return a PNG: precision against recall of each tag that has both classes."""

    def curve(axes: Axes, row: TagFigures, truth: np.ndarray, scores: np.ndarray) -> None:
        precision, recall, _ = precision_recall(truth, scores)
        axes.axhline(row.prevalence, color=SOFT, lw=0.8, ls="--")
        axes.step(np.append(0, recall), np.append(precision[0], precision), where="pre", color=BLUE, lw=1.3)
        axes.plot(row.recall, row.precision, "o", color=INK, ms=4)
        axes.set_title(f"{row.tag}  {row.average_precision:.2f}", fontsize=8.5, loc="left", pad=3)

    return _tag_multiples(scored, curve, "recall", "precision")


def calibration_curves(scored: Evaluation) -> bytes:
    """Return a PNG: share of frames that hold a tag against the score, of each tag that has both classes."""

    def curve(axes: Axes, row: TagFigures, truth: np.ndarray, scores: np.ndarray) -> None:
        mean, share, count = reliability(truth, scores)
        axes.plot([0, 1], [0, 1], color=SOFT, lw=0.8, ls="--")
        filled = count > 0
        axes.plot(mean[filled], share[filled], color=BLUE, lw=1)
        axes.scatter(mean[filled], share[filled], s=6 + 60 * np.sqrt(count[filled] / count.sum()), color=BLUE, lw=0)
        axes.set_title(f"{row.tag}  {row.calibration_error:.3f}", fontsize=8.5, loc="left", pad=3)

    return _tag_multiples(scored, curve, "score", "share that holds it")


def robustness_curves(robustness: Robustness) -> bytes:
    """Return a PNG: the drop of mAP against the level of each nuisance, with the bars."""
    drops = [level.paired_drop for curve in robustness.curves for level in curve.levels]
    top = max(0.13, 1.1 * float(np.nanmax([0.0, *drops])))

    def draw(axes: Axes, curve: Curve) -> None:
        places = np.arange(len(curve.levels))
        paired, errors = (np.array([getattr(level, key) for level in curve.levels]) for key in ("paired_drop", "error"))
        axes.axhline(0, color=SOFT, lw=0.8, ls="--")
        axes.plot(places, [level.drop for level in curve.levels], color=SOFT, lw=1)
        axes.errorbar(places, paired, errors, color=BLUE, lw=1.4, marker="o", ms=3)
        half, last = len(places) // 2, len(places) - 1
        for start, stop, bar in ((0, half, curve.bars[0]), (min(half + 1, last), last, curve.bars[1])):
            axes.plot([start - 0.3, stop + 0.3], [bar, bar], color=RED, lw=1.2)
        axes.set_title(curve.title, fontsize=8.5, loc="left", pad=3)
        axes.set_xlabel(curve.unit, fontsize=7.5, labelpad=1)
        axes.set_xticks(
            places, [f"{level.level:.3g}".replace("e-0", "e-").replace("e+0", "e") for level in curve.levels]
        )
        axes.set(xlim=(-0.4, last + 0.4), ylim=(-0.04, top))

    about = "blue: on labels that the nuisance leaves as they are, ± standard error; grey: on all labels; red: the bars"
    return _small_multiples(robustness.curves, draw, about, "drop of mAP", robustness.model, share=False)


def _tag_multiples(scored: Evaluation, curve: Callable[..., None], xlabel: str, ylabel: str) -> bytes:
    """Draw one pair of axes, 0..1 both ways, for each tag with both classes."""

    def draw(axes: Axes, numbered: tuple[int, TagFigures]) -> None:
        number, row = numbered
        curve(axes, row, scored.truth[:, number], scored.scores[:, number])
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.05), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))

    rows = [numbered for numbered in enumerate(scored.report.tags) if np.isfinite(numbered[1].average_precision)]
    return _small_multiples(rows, draw, xlabel, ylabel, scored.model, share=True)


def _small_multiples(
    items: Sequence[Any], draw: Callable[..., None], xlabel: str, ylabel: str, model: str, share: bool
) -> bytes:
    """Draw one pair of axes for each item, six in a row; `share` the scale of x. The PNG names the model."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    down = max(1, -(-len(items) // 6))
    figure = Figure((11.6, 2.0 * down + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    every: Any = figure.subplots(down, 6, sharex=share, sharey=True, squeeze=False)
    for axes in every.flat[len(items) :]:
        axes.axis("off")
    for axes, item in zip(every.flat, items, strict=False):
        draw(axes, item)
        axes.tick_params(labelsize=7, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Model": model})
    return file.getvalue()


def log_picture(pixels: np.ndarray, mask: np.ndarray | None = None, side: int = SIDE) -> bytes:
    """Return a PNG of a frame: counts on a logarithmic scale, gaps and masked pixels grey, small.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns) raw counts; negative values, NaN and a type's maximum are not valid.
    mask : numpy.ndarray, optional
        (rows, columns), true where pixels must not be used.
    side : int
        Longest side of the picture, at most; of each block of pixels the brightest is shown.
    """
    from matplotlib import colormaps
    from PIL import Image

    counts = _brightest(pixels, mask, max(1, -(-max(pixels.shape) // side)))
    valid = counts >= 0
    values = np.log1p(np.where(valid, counts, 0))
    low, high = np.percentile(values[valid], (2, 99.8)) if valid.any() else (0.0, 1.0)
    shades = np.clip((values - low) / max(high - low, 1.8), 0, 1) * 254
    image = Image.fromarray(np.where(valid, shades, 255).astype(np.uint8), "P")
    palette = np.round(colormaps["magma"](np.linspace(0, 1, 255))[:, :3] * 255).astype(np.uint8)
    image.putpalette([*palette.ravel().tolist(), *GAP])
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return file.getvalue()


def _brightest(pixels: np.ndarray, mask: np.ndarray | None, block: int) -> np.ndarray:
    """Return the brightest valid pixel of each block, so that spots survive the small picture; -1 if none is valid."""
    limit = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else np.inf
    valid = (pixels >= 0) & (pixels < limit)
    if mask is not None:
        valid &= mask == 0
    counts = np.where(valid, pixels.astype(float), -1)
    rows, columns = (size // block * block for size in counts.shape)
    blocks = counts[:rows, :columns].reshape(rows // block, block, columns // block, block)
    return blocks.max(axis=(1, 3))
