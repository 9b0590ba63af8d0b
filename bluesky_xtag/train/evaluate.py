"""How good a model is: average precision of each tag beside chance, on labelled frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import XTagValueError
from ..model import TagModel
from .metrics import average_precision, mean_average_precision

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Report", "TagFigures", "evaluate", "figures"]


@dataclass(frozen=True)
class TagFigures:
    """One tag: AP beside the prevalence (the AP of guessing), F1 at the model's threshold, labelled frames.

    NaN where the frames do not hold both classes.
    """

    tag: str
    average_precision: float
    prevalence: float
    f1: float
    frames: int


@dataclass(frozen=True)
class Report:
    """Figures of all labelled tags.

    Parameters
    ----------
    tags : tuple of TagFigures
    mean_average_precision, chance : float
        Over the tags with both classes.
    frames : int
    seconds_per_frame : float
        Preparation and network, one frame a call; NaN if not measured.
    """

    tags: tuple[TagFigures, ...]
    mean_average_precision: float
    chance: float
    frames: int
    seconds_per_frame: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items()}
            if isinstance(value, list | tuple):
                return [plain(item) for item in value]
            return None if isinstance(value, float) and np.isnan(value) else value

        return plain(asdict(self))

    def table(self) -> Table:
        """Return the figures as a table for a terminal."""
        from rich.table import Table

        table = Table("tag", "AP", "chance", "F1", "frames", caption=f"{self.seconds_per_frame * 1e3:.1f} ms a frame")
        for row in self.tags:
            numbers = (row.average_precision, row.prevalence, row.f1)
            table.add_row(row.tag, *(f"{number:.3f}" for number in numbers), str(row.frames))
        table.add_section()
        table.add_row(
            "mean", f"{self.mean_average_precision:.3f}", f"{self.chance:.3f}", "", str(self.frames), style="bold"
        )
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
    for name, known, score, threshold in zip(names, truth.T, scores.T, thresholds, strict=True):
        hits, accepted = known[known >= 0] == 1, score[known >= 0] >= threshold
        both = bool(hits.any() and not hits.all())
        f1 = 2 * float((hits & accepted).sum()) / max(int(hits.sum() + accepted.sum()), 1)
        rows.append(
            TagFigures(
                name,
                average_precision(known, score),
                float(hits.mean()) if hits.size else float("nan"),
                f1 if both else float("nan"),
                int(hits.size),
            )
        )
    found, chance = mean_average_precision(truth, scores)
    return Report(tuple(rows), found, chance, len(truth), seconds_per_frame)


def evaluate(model: TagModel, frames: str | Path, *, use_centres: bool = True) -> Report:
    """Evaluate a model on a file of labelled frames.

    Parameters
    ----------
    model : TagModel
    frames : path
        HDF5, see `each_frame`. Tags that only one of file and model knows are left out, and so are frames whose
        truth for a tag is uncertain.
    use_centres : bool
        Tell the model the beam centres of the file.

    Returns
    -------
    Report

    Raises
    ------
    XTagValueError
        The file is missing or foreign, has no labels, or no tag of the model.
    """
    from ..simulate.measured import each_frame

    names, truth, scores, seconds = model.taxonomy.names, [], [], []
    model.warm()
    for frame in each_frame(frames):
        start = time.perf_counter()
        found = model.predict([frame.pixels], [frame.beam_centre if use_centres else None])[0]
        seconds.append(time.perf_counter() - start)
        scores.append(found)
        truth.append([1 if name in frame.present else 0 if name in frame.absent else -1 for name in names])
    known = np.array(truth)
    labelled = np.flatnonzero((known >= 0).any(axis=0))
    if not labelled.size:
        raise XTagValueError(f"{frames} labels none of the model's tags in its attributes 'tags' and 'truth'")
    return figures(
        [names[position] for position in labelled],
        known[:, labelled],
        np.array(scores)[:, labelled],
        model.thresholds[labelled],
        float(np.median(seconds)),
    )
