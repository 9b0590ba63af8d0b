"""What adapting a model brought: held-out figures of each tag before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from ..evaluate.metrics import average_precision, decisions, mean_average_precision
from ..evaluate.report import figure_text, plain
from .logit_correction import MINIMUM, Correction, Examples, entropy

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Adaptation", "Interval", "TagOutcome", "intervals", "outcomes"]

_DRAWS = 1000


@dataclass(frozen=True)
class TagOutcome:
    """What became of one tag; "after" is by models that have seen no frame of the same source.

    Parameters
    ----------
    tag : str
    outcome : str
        "adapted"; "kept" (too few frames, or no gain beyond chance: weights and threshold are the model's); or "new".
    positives, negatives : int
        Frames that are labelled as holding the tag and as not holding it.
    strength : float or None
        Of the penalty on changes; None if nothing was changed.
    threshold : float
        Score from which the adapted model accepts the tag.
    ap_before, ap_after, f1_before, f1_after : float
        Average precision, and F1 at the threshold. NaN where the frames do not hold both classes, or the model did
        not know the tag.
    entropy_before, entropy_after : float
        Mean cross entropy of a label, nats: low if the scores are right and calibrated.
    """

    tag: str
    outcome: str
    positives: int
    negatives: int
    strength: float | None
    threshold: float
    ap_before: float
    ap_after: float
    f1_before: float
    f1_after: float
    entropy_before: float
    entropy_after: float

    @property
    def prevalence(self) -> float:
        """Share of the labelled frames that hold the tag: the average precision of guessing."""
        return self.positives / (self.positives + self.negatives)


@dataclass(frozen=True)
class Interval:
    """A mean over tags, and between which values it lies in 95 % of the draws of other sources (bootstrap)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Adaptation:
    """How an adapted model was measured.

    Parameters
    ----------
    tags : tuple of TagOutcome
        The tags that the file labels.
    left_out : tuple of str
        Tags that the model does not know and the file labels too rarely to learn them.
    before, after, change : Interval
        Mean AP over the tags known before.
    sources : dict
        Number of frames of each source.
    simulated_before, simulated_after : float
        mAP on held-out simulated frames; NaN if not measured.
    simulated_frames : int
        Their number.
    """

    tags: tuple[TagOutcome, ...]
    left_out: tuple[str, ...]
    before: Interval
    after: Interval
    change: Interval
    sources: dict[str, int]
    simulated_before: float
    simulated_after: float
    simulated_frames: int

    @property
    def frames(self) -> int:
        """Number of labelled frames."""
        return sum(self.sources.values())

    @property
    def entropies(self) -> tuple[float, float]:
        """Mean cross entropy over the tags known before, nats, before and after."""
        return self._means("entropy")

    @property
    def f1s(self) -> tuple[float, float]:
        """Mean F1 over the tags known before that the frames hold and do not hold, before and after."""
        return self._means("f1")

    def _means(self, figure: str) -> tuple[float, float]:
        names = (f"{figure}_before", f"{figure}_after")
        rows = [[getattr(row, name) for name in names] for row in self.tags if row.outcome != "new"]
        known = [pair for pair in rows if np.isfinite(pair).all()]
        first, second = np.mean(known, axis=0) if known else (np.nan, np.nan)
        return float(first), float(second)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        return plain(asdict(self) | {"frames": self.frames})

    def table(self) -> Table:
        """Return the figures by tag as a table for a terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table("tag", "outcome", box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("AP", "after", "chance", "F1", "after", "yes", "no"):
            table.add_column(heading, justify="right")
        for row in self.tags:
            numbers = (row.ap_before, row.ap_after, row.prevalence, row.f1_before, row.f1_after)
            table.add_row(row.tag, row.outcome, *map(figure_text, numbers), str(row.positives), str(row.negatives))
        table.add_section()
        means = self.before.mean, self.after.mean, np.nan, *self.f1s
        table.add_row("mean of known", "", *map(figure_text, means), style="bold")
        return table

    @property
    def notes(self) -> list[str]:
        """Sentences on what the table shows and does not show."""
        notes = [
            f"{self.frames} frames of {len(self.sources)} sources; after: by models that saw none of the same source.",
            f"Mean AP of the tags known before: {_in_words(self.before)} before, {_in_words(self.after)} after, change "
            f"{_in_words(self.change, '+')}; 95 % intervals by drawing the sources again.",
            "Their cross entropy: {:.3f} before, {:.3f} after.".format(*self.entropies),
        ]
        if self.simulated_frames:
            notes.append(
                f"mAP on {self.simulated_frames} held-out simulated frames: {self.simulated_before:.3f} before, "
                f"{self.simulated_after:.3f} after."
            )
        if self.left_out:
            notes.append(
                f"Not learned: {', '.join(self.left_out)}; at least {MINIMUM} frames with the tag and {MINIMUM} "
                "without it are needed, each from two sources or more."
            )
        return notes


def outcomes(
    names: tuple[str, ...],
    examples: Examples,
    known: np.ndarray,
    before: np.ndarray,
    learned: Correction,
    held_out: tuple[np.ndarray, np.ndarray],
) -> tuple[TagOutcome, ...]:
    """Return what became of each labelled tag.

    Parameters
    ----------
    names : tuple of str
        Of all tags.
    examples : Examples
        The labelled frames.
    known : numpy.ndarray
        (tags,) bool: the model knew the tag.
    before : numpy.ndarray
        (tags,) thresholds of the model.
    learned : Correction
        By all frames.
    held_out : tuple of numpy.ndarray
        Logits and thresholds as `cross_validate` gives them.
    """
    logits, accepted_from = held_out
    rows = []
    for tag in np.flatnonzero((examples.labels >= 0).any(0)):
        truth, strength = examples.labels[:, tag], float(learned.strengths[tag])
        ap, f1, loss = _judge(truth, examples.logits[:, tag], before[tag]) if known[tag] else (np.nan,) * 3
        ap_after, f1_after, loss_after = _judge(truth, logits[:, tag], accepted_from[:, tag])
        changed = bool(np.isfinite(strength))
        rows.append(
            TagOutcome(
                tag=names[tag],
                outcome="new" if not known[tag] else "adapted" if changed else "kept",
                positives=int((truth == 1).sum()),
                negatives=int((truth == 0).sum()),
                strength=strength if changed else None,
                threshold=float(learned.thresholds[tag]),
                ap_before=ap,
                ap_after=ap_after,
                f1_before=f1,
                f1_after=f1_after,
                entropy_before=loss,
                entropy_after=loss_after,
            )
        )
    return tuple(rows)


def intervals(
    examples: Examples, after: np.ndarray, known: np.ndarray, seed: int
) -> tuple[Interval, Interval, Interval]:
    """Return the mean AP of the known tags by the model's logits, by those after (n, tags), and its change."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(examples.sources == name) for name in np.unique(examples.sources)]
    labels, before, after = (values[:, known] for values in (examples.labels, examples.logits, after))

    def means(rows: np.ndarray) -> tuple[float, float, float]:
        first, second = (mean_average_precision(labels[rows], scores[rows])[0] for scores in (before, after))
        return first, second, second - first

    drawn = [
        means(np.concatenate([groups[number] for number in rng.integers(len(groups), size=len(groups))]))
        for _ in range(_DRAWS)
    ]
    found = np.array([row for row in drawn if np.isfinite(row[0])])
    limits = np.percentile(found, (2.5, 97.5), axis=0).T if found.size else np.full((3, 2), np.nan)
    first, second, third = (
        Interval(mean, float(low), float(high))
        for mean, (low, high) in zip(means(np.arange(len(labels))), limits, strict=True)
    )
    return first, second, third


def _judge(truth: np.ndarray, logits: np.ndarray, thresholds: float | np.ndarray) -> tuple[float, float, float]:
    """Return AP, F1 and mean cross entropy; thresholds are one for all frames, or one for each."""
    margin = expit(logits) - thresholds
    f1 = float(decisions(truth, margin, 0.0).f1)
    return average_precision(truth, logits), f1, float(np.nanmean(entropy(truth, logits)))


def _in_words(interval: Interval, sign: str = "") -> str:
    return f"{interval.mean:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"
