"""Figures of scores against truth: per tag average precision beside chance, decisions at the threshold, calibration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .metrics import average_precision, calibration_error, decisions

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Report", "TagFigures", "figures", "mean", "plain", "figure_text"]


@dataclass(frozen=True)
class TagFigures:
    """Figures of one tag; NaN where the frames do not hold both classes (calibration error: where none is labelled).

    Parameters
    ----------
    tag : str
    average_precision : float
        Area under the precision-recall curve.
    prevalence : float
        Share of the labelled frames that hold the tag: the average precision of guessing.
    threshold : float
        Score from which the model accepts the tag.
    precision, recall, f1 : float
        Of accepting the tag.
    calibration_error : float
        ECE, see `bluesky_xtag.train.evaluate.metrics.calibration_error`.
    positives, frames : int
        Frames that hold the tag, and frames with a certain label.
    """

    tag: str
    average_precision: float
    prevalence: float
    threshold: float
    precision: float
    recall: float
    f1: float
    calibration_error: float
    positives: int
    frames: int


@dataclass(frozen=True)
class Report:
    """Figures of all labelled tags.

    Parameters
    ----------
    tags : tuple of TagFigures
    frames : int
    right : float
        Share of all certain labels that the accepted tags agree with.
    seconds_per_frame : float
        Preparation and network, one frame a call, median; NaN if not measured.
    """

    tags: tuple[TagFigures, ...]
    frames: int
    right: float
    seconds_per_frame: float = float("nan")

    @property
    def mean_average_precision(self) -> float:
        """Mean AP over the tags with both classes."""
        return mean(row.average_precision for row in self.tags)

    @property
    def chance(self) -> float:
        """Mean prevalence over the tags with both classes: the mean AP of guessing."""
        return mean(row.prevalence for row in self.tags if np.isfinite(row.average_precision))

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the tags with both classes."""
        return mean(row.f1 for row in self.tags)

    @property
    def mean_calibration_error(self) -> float:
        """Mean ECE over all labelled tags."""
        return mean(row.calibration_error for row in self.tags)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, as the card of a model keeps it; NaN becomes None."""
        means = ("mean_average_precision", "chance", "macro_f1", "mean_calibration_error")
        return plain(asdict(self) | {name: getattr(self, name) for name in means})

    def to_json(self) -> dict[str, Any]:
        """Return the figures as `xtag evaluate --json` writes them; NaN becomes None."""
        tags = {
            row.tag: {
                "ap": row.average_precision,
                "f1": row.f1,
                "positives": row.positives,
                "prevalence": row.prevalence,
                "precision": row.precision,
                "recall": row.recall,
                "ece": row.calibration_error,
                "threshold": row.threshold,
                "frames": row.frames,
            }
            for row in self.tags
        }
        return plain(
            {
                "mAP": self.mean_average_precision,
                "macro_f1": self.macro_f1,
                "tags": tags,
                "frames": self.frames,
                "seconds_per_frame": self.seconds_per_frame,
                "chance": self.chance,
                "mean_ece": self.mean_calibration_error,
                "right": self.right,
            }
        )

    def table(self, caption: str = "") -> Table:
        """Return the figures by tag as a table: accepted `from` that score, `held` by so many frames."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        from ...view import disarm

        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=disarm(caption), caption_justify="left")
        table.add_column("tag", no_wrap=True)
        for name in ("AP", "chance", "F1", "prec.", "recall", "from", "ECE", "held"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self.tags:
            numbers = (row.average_precision, row.prevalence, row.f1, row.precision, row.recall)
            ece = figure_text(row.calibration_error)
            table.add_row(disarm(row.tag), *map(figure_text, numbers), f"{row.threshold:.2f}", ece, str(row.positives))
        table.add_section()
        means = map(figure_text, (self.mean_average_precision, self.chance, self.macro_f1))
        ece = figure_text(self.mean_calibration_error)
        table.add_row("mean", *means, "", "", "", ece, "", style="bold")
        return table


def figures(
    names: Sequence[str],
    truth: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray,
    seconds_per_frame: float = float("nan"),
) -> Report:
    """Return the figures of scores (frames, tags) against truth (frames, tags): 1, 0 or -1 (left out)."""
    rows = []
    for name, known, found, threshold in zip(names, truth.T, scores.T, thresholds, strict=True):
        certain = known[known >= 0]
        rows.append(
            TagFigures(
                tag=name,
                average_precision=average_precision(known, found),
                prevalence=float(certain.mean()) if certain.size else float("nan"),
                threshold=float(threshold),
                **decisions(known, found, threshold)._asdict(),
                calibration_error=calibration_error(known, found),
                positives=int(certain.sum()),
                frames=int(certain.size),
            )
        )
    right = ((scores >= thresholds) == (truth == 1))[truth >= 0]
    return Report(tuple(rows), len(truth), float(right.mean()) if right.size else float("nan"), seconds_per_frame)


def plain(value: Any) -> Any:
    """Return a value for JSON: lists for tuples, None for NaN."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def figure_text(value: float) -> str:
    """Return a figure for a table: three digits, a dash for NaN."""
    return "–" if np.isnan(value) else f"{value:.3f}"


def mean(values: Iterable[float]) -> float:
    """Return the mean of the values that are not NaN, NaN if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
