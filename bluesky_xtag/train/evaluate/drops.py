"""The drop of the average precision from clean to spoiled frames, and what it may be.

Two drops are given. The plain one is mAP(clean) - mAP(level). But a nuisance may take away what was labelled: under a
thousandth of the exposure only strong rings are still visible, so fewer and easier frames hold the tag, prevalence
changes, and mAP with it, whatever the model does. The paired drop compares only pairs of frame and tag with the same
certain label in both: there any change is the model's. It decides on the bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .metrics import average_precision, mean_average_precision
from .report import Report, figure_text, mean, plain

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["BAR", "BARS", "Curve", "Judged", "Level", "Robustness", "compare"]

BAR = (0.03, 0.10)
BARS = {"centre_error": (0.01, 0.10), "centre_unknown": (0.05, 0.05), "rotation": (0.01, 0.01), "mirror": (0.01, 0.01)}
RESAMPLES = 30


@dataclass(frozen=True)
class Level:
    """The model under one level of a nuisance.

    Parameters
    ----------
    level : float
        In the unit of the nuisance.
    mean_average_precision, drop : float
        mAP, and how much less it is than that of the clean frames, over the tags with enough frames in both.
    paired_drop, error : float
        The drop over pairs of frame and tag with the same certain label in both, and its standard error by
        resampling the frames.
    tags : mapping
        Paired drop of each tag with enough such frames.
    """

    level: float
    mean_average_precision: float
    drop: float
    paired_drop: float
    error: float
    tags: Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """The model under one nuisance, from none to the end of its range.

    Parameters
    ----------
    name, title, unit : str
        As in `Nuisance`.
    levels : tuple of Level
    bars : tuple of float
        The paired drop to be kept to up to the middle of the range, and beyond.
    """

    name: str
    title: str
    unit: str
    levels: tuple[Level, ...]
    bars: tuple[float, float]

    @property
    def middle(self) -> Level:
        """The middle of the range."""
        return self.levels[len(self.levels) // 2]

    @property
    def end(self) -> Level:
        """The end of the range."""
        return self.levels[-1]

    @property
    def missed(self) -> tuple[float, ...]:
        """The levels at which a bar is missed: the first up to the middle, the second beyond."""
        half = len(self.levels) // 2
        bars = [self.bars[number > half or len(self.levels) - 1 == number] for number in range(len(self.levels))]
        return tuple(level.level for level, bar in zip(self.levels, bars, strict=True) if level.paired_drop > bar)

    @property
    def met(self) -> bool | None:
        """Whether no bar is missed; None if there were too few frames to tell."""
        if np.isnan([self.middle.paired_drop, self.end.paired_drop]).any():
            return None
        return not self.missed


@dataclass(frozen=True, eq=False)
class Robustness:
    """The model under all nuisances.

    Parameters
    ----------
    model : str
        Name, version and first digits of the hash.
    frames, seed, least : int
        Scenes for each level, their seed, and how many frames must hold a tag, and how many must not, to count it.
    clean : Report
        Figures of the clean frames.
    curves : tuple of Curve
    """

    model: str
    frames: int
    seed: int
    least: int
    clean: Report
    curves: tuple[Curve, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values; NaN becomes None."""
        curves = {
            curve.name: {
                "title": curve.title,
                "unit": curve.unit,
                "bars": {"middle": curve.bars[0], "end": curve.bars[1]},
                "met": curve.met,
                "missed": list(curve.missed),
                "levels": [
                    {
                        "level": level.level,
                        "mAP": level.mean_average_precision,
                        "drop": level.drop,
                        "paired_drop": level.paired_drop,
                        "error": level.error,
                        "tags": dict(level.tags),
                    }
                    for level in curve.levels
                ],
            }
            for curve in self.curves
        }
        settings = {"model": self.model, "frames": self.frames, "seed": self.seed, "least": self.least}
        return plain(settings | {"clean": self.clean.to_json(), "curves": curves})

    def tables(self) -> list[Table]:
        """Return the drops in the middle and at the end of each range, as a table for a terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        exceptions = "; ".join(
            f"{curve.title} {curve.bars[0]:g} and {curve.bars[1]:g}" for curve in self.curves if curve.bars != BAR
        )
        caption = (
            f"{self.model}; {self.frames} held-out scenes a level, clean mAP "
            f"{figure_text(self.clean.mean_average_precision)} (chance {figure_text(self.clean.chance)}).\n"
            f"Drop of mAP over tags with {self.least} frames that hold them and {self.least} that do not, on labels "
            "that the nuisance leaves as they are; in brackets on all labels.\n"
            f"Bars: {BAR[0]:g} up to the middle of the range, {BAR[1]:g} beyond"
            + (f"; {exceptions}." if exceptions else ".")
        )
        table = Table("nuisance", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
        for heading in ("middle", "drop there", "end", "drop there"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("bars met")
        table.add_column("tags that fall most, at the end")
        for curve in self.curves:
            cells = [cell for level in (curve.middle, curve.end) for cell in (f"{level.level:g}", _drop(level))]
            missed = ", ".join(f"{level:g}" for level in curve.missed)
            met = {True: "[green]yes", False: f"[bold red]not at {missed}", None: "–"}[curve.met]
            name = f"{curve.title}, {curve.unit}" if curve.unit else curve.title
            table.add_row(name, *cells, met, _most(curve.end))
        return [table]


@dataclass(frozen=True, eq=False)
class Judged:
    """Truth (1, 0, -1 uncertain) and scores of some scenes, both (frames, tags)."""

    truth: np.ndarray
    scores: np.ndarray


def compare(value: float, names: Sequence[str], clean: Judged, spoiled: Judged, least: int) -> Level:
    """Return what a nuisance at level `value` does to the same scenes.

    Parameters
    ----------
    value : float
    names : sequence of str
        The tags.
    clean, spoiled : Judged
    least : int
        Tags count where so many frames hold them and so many do not.

    Returns
    -------
    Level
    """
    enough = _enough(clean.truth, least) & _enough(spoiled.truth, least)
    before, after = (
        mean_average_precision(judged.truth[:, enough], judged.scores[:, enough])[0] for judged in (clean, spoiled)
    )
    same = np.where(clean.truth == spoiled.truth, clean.truth, -1)
    counted = np.flatnonzero(_enough(same, least))
    if not counted.size:
        return Level(value, after, before - after, np.nan, np.nan, {})
    layers = same[:, counted], clean.scores[:, counted], spoiled.scores[:, counted]
    drops = _drops(*layers)
    tags = {names[int(tag)]: float(drop) for tag, drop in zip(counted, drops, strict=True)}
    return Level(value, after, before - after, float(drops.mean()), _error(*layers), tags)


def _enough(truth: np.ndarray, least: int) -> np.ndarray:
    """Return which tags have `least` frames of either class."""
    return ((truth == 1).sum(0) >= least) & ((truth == 0).sum(0) >= least)


def _drops(truth: np.ndarray, clean: np.ndarray, spoiled: np.ndarray) -> np.ndarray:
    """Return the drop of the average precision of each tag; all are (frames, tags)."""
    return np.array(
        [
            average_precision(known, before) - average_precision(known, after)
            for known, before, after in zip(truth.T, clean.T, spoiled.T, strict=True)
        ]
    )


def _error(*layers: np.ndarray) -> float:
    """Return the standard error of the mean drop, from frames drawn again with replacement."""
    rng, count = np.random.default_rng(0), len(layers[0])
    chosen = [rng.integers(0, count, count) for _ in range(RESAMPLES)]
    means = np.array([mean(_drops(*(layer[rows] for layer in layers))) for rows in chosen])
    known = means[np.isfinite(means)]
    return float(known.std()) if known.size else float("nan")


def _drop(level: Level) -> str:
    if np.isnan(level.paired_drop):
        return "–"
    return f"{level.paired_drop:.3f}±{level.error:.3f} ({figure_text(level.drop)})"


def _most(level: Level) -> str:
    """Return the tags that fall most."""
    worst = sorted(level.tags.items(), key=lambda tag: -tag[1])[:2]
    return ", ".join(f"{name} {drop:.2f}" for name, drop in worst if drop >= 0.01)
