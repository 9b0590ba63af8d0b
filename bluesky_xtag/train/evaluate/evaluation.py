"""Lets a model score labelled frames: figures of all, and of the frames of each source or detector."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FrameError, XTagValueError
from ...frames import LabelledFrame, open_labelled
from ...model import TagModel
from .report import Report, TagFigures, figure_text, figures

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Report", "Evaluation", "TagFigures", "evaluate", "figures", "score"]

OF_ORIGIN = {"frames": "frames", "mAP": "mAP", "chance": "chance", "macro_f1": "macro F1", "right": "labels right"}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The frames of a file, what they are labelled and what a model says of them.

    Parameters
    ----------
    path : Path
        The file.
    model : str
        Name, version and first digits of the hash.
    tags : tuple of str
        The tags that both the file's labels and the model know.
    thresholds : numpy.ndarray
        (tags,) score from which the model accepts a tag.
    frames : tuple of str
        Names of the frames.
    origins : tuple of str
        Where each frame comes from, see `bluesky_xtag.frames.LabelledFrame.origin`.
    truth : numpy.ndarray
        (frames, tags) int8: 1 holds, 0 does not, -1 uncertain.
    scores : numpy.ndarray
        (frames, tags) float32.
    seconds_per_frame : float
        Preparation and network, one frame a call, median.
    unlabelled, unknown : tuple of str
        Tags that only the model knows, and tags that only the file knows; both are left out.
    """

    path: Path
    model: str
    tags: tuple[str, ...]
    thresholds: np.ndarray
    frames: tuple[str, ...]
    origins: tuple[str, ...]
    truth: np.ndarray
    scores: np.ndarray
    seconds_per_frame: float
    unlabelled: tuple[str, ...]
    unknown: tuple[str, ...]

    @cached_property
    def report(self) -> Report:
        """The figures of all frames."""
        return figures(self.tags, self.truth, self.scores, self.thresholds, self.seconds_per_frame)

    @cached_property
    def reports(self) -> dict[str, Report]:
        """The figures of the frames of each origin, most frames first; empty if all are of one."""
        origins = np.array(self.origins)
        names, counts = np.unique(origins, return_counts=True)
        if names.size < 2:
            return {}
        return {
            str(name): figures(self.tags, self.truth[origins == name], self.scores[origins == name], self.thresholds)
            for name in names[np.argsort(-counts, kind="stable")]
        }

    def to_json(self) -> dict[str, Any]:
        """Return the figures as `xtag evaluate --json` writes them, those by origin included."""
        origins = {name: {key: report.to_json()[key] for key in OF_ORIGIN} for name, report in self.reports.items()}
        left_out = {"unlabelled": list(self.unlabelled), "unknown": list(self.unknown)}
        return self.report.to_json() | {"model": self.model, "left_out": left_out, "origins": origins}

    @property
    def notes(self) -> list[str]:
        """Sentences on what the figures do not cover."""
        notes = []
        if self.unlabelled:
            notes.append(f"Not labelled in the file, so left out: {', '.join(self.unlabelled)}")
        if self.unknown:
            notes.append(f"Not known to the model, so left out: {', '.join(self.unknown)}")
        if mute := [row.tag for row in self.report.tags if not np.isfinite(row.average_precision)]:
            notes.append(f"The frames do not hold both classes, so no AP: {', '.join(mute)}")
        return notes

    def tables(self) -> list[Table]:
        """Return the figures as tables for a terminal: by tag, and by origin if there are several."""
        milliseconds = f"{self.seconds_per_frame * 1e3:.1f} ms a frame, one by one"
        notes = [f"{self.model}; {len(self.frames)} frames, {milliseconds}.", *(f"{note}." for note in self.notes)]
        tables = [self.report.table("\n".join(notes))]
        if self.reports:
            tables.append(_origin_table(self.reports))
        return tables


def score(model: TagModel, frames: str | Path, *, use_centres: bool = True) -> Evaluation:
    """Let a model score a file of labelled frames, one by one, so that the file may be larger than the memory.

    Parameters
    ----------
    model : TagModel
    frames : path
        HDF5, see `bluesky_xtag.frames.each_frame`; the masks of `xtag simulate` are used.
    use_centres : bool
        Tell the model the beam centres of the file.

    Returns
    -------
    Evaluation

    Raises
    ------
    XTagValueError
        The file is missing or foreign, has no labels, or no tag of the model.
    FrameError
        A frame cannot be used.
    """
    path, names = Path(frames), model.taxonomy.names
    seen, origins, truth, scores, seconds, labelled = [], [], [], [], [], set()
    model.warm()
    for frame in _each_frame(path):
        start = time.perf_counter()
        try:
            found = model.predict([frame.pixels], [frame.beam_centre if use_centres else None], [frame.mask])[0]
        except FrameError as error:
            raise FrameError(f"{path}, frame {frame.name!r}: {error}") from error
        seconds.append(time.perf_counter() - start)
        seen.append(frame.name)
        origins.append(frame.origin)
        scores.append(found)
        truth.append([int(frame.truth.get(name, -1)) for name in names])
        labelled |= frame.truth.keys()
    known = [position for position, name in enumerate(names) if name in labelled]
    if not known:
        raise XTagValueError(f"{path} labels none of the model's tags in its attributes 'tags' and 'truth'")
    return Evaluation(
        path=path,
        model=f"{model.name} {model.version}, sha256 {model.sha256[:12]}",
        tags=tuple(names[position] for position in known),
        thresholds=model.thresholds[known],
        frames=tuple(seen),
        origins=tuple(origins),
        truth=np.array(truth, np.int8)[:, known],
        scores=np.array(scores, np.float32)[:, known],
        seconds_per_frame=float(np.median(seconds)),
        unlabelled=tuple(name for name in names if name not in labelled),
        unknown=tuple(sorted(labelled - set(names))),
    )


def evaluate(model: TagModel, frames: str | Path, *, use_centres: bool = True) -> Report:
    """Return the figures of a model on a file of labelled frames; parameters and errors as in `score`."""
    return score(model, frames, use_centres=use_centres).report


def _each_frame(path: Path) -> Iterator[LabelledFrame]:
    """Yield the frames of a file and show how far this is."""
    from rich.console import Console
    from rich.progress import track

    from ...view import disarm

    console = Console(stderr=True)
    with open_labelled(path) as file:
        yield from track(file, f"Scoring {disarm(path.name)}", total=len(file), console=console, transient=True)


def _origin_table(reports: dict[str, Report]) -> Table:
    """Return the figures by origin; mAP and F1 are over the tags of which the origin's frames hold both classes."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ...view import disarm

    caption = "mAP, chance and F1 over the tags with both classes there"
    table = Table("source", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for heading in OF_ORIGIN.values():
        table.add_column(heading, justify="right")
    for name, report in reports.items():
        means = (report.mean_average_precision, report.chance, report.macro_f1, report.right)
        table.add_row(disarm(name or "(unknown)"), str(report.frames), *map(figure_text, means))
    return table
