"""Counts errors and orders of corrected margins: the outcomes of stages, tags and frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .judging import entropy, errors, in_order, standard_error
from .last_layer import Examples
from .outcome import FrameOutcome, StageOutcome, TagOutcome

__all__ = ["frame_outcomes", "stage_outcome", "tag_outcomes"]


def stage_outcome(stage: str, frames: Examples, after: np.ndarray, used: bool) -> StageOutcome:
    """Return the figures of a stage: margins (n, tags) against those of `frames`, of the tags known before."""
    first, second = (errors(margins, frames.labels).sum(1) for margins in (frames.margins, after))
    change = (second - first).astype(float)
    return StageOutcome(
        stage=stage,
        errors=float(second.mean()),
        clean=float((second == 0).mean()),
        entropy=_mean(entropy(after, frames.labels)),
        change=float(change.mean()),
        error=standard_error(change, frames.sources),
        used=used,
    )


def tag_outcomes(
    names: Sequence[str],
    frames: Examples,
    after: np.ndarray,
    parts: Sequence[np.ndarray],
    outcomes: Sequence[str],
    thresholds: np.ndarray,
) -> tuple[TagOutcome, ...]:
    """Return what became of each labelled tag.

    Parameters
    ----------
    names : sequence of str
        Of all tags.
    frames : Examples
        The labelled frames.
    after : numpy.ndarray
        (n, tags) margins as `cross_validate` gives them.
    parts : sequence of numpy.ndarray
        Its folds.
    outcomes : sequence of str
        Of each tag.
    thresholds : numpy.ndarray
        (tags,) of the adapted model.
    """
    rows = []
    for tag in map(int, np.flatnonzero((frames.labels >= 0).any(0))):
        truth, known = frames.labels[:, tag], outcomes[tag] != "new"
        first, second = frames.margins[:, tag], after[:, tag]
        false, missed = ([_count(each, truth, value) for each in (first, second)] for value in (0, 1))
        rows.append(
            TagOutcome(
                tag=names[tag],
                outcome=outcomes[tag],
                positives=int((truth == 1).sum()),
                negatives=int((truth == 0).sum()),
                threshold=float(thresholds[tag]),
                false_before=false[0] if known else None,
                false_after=false[1],
                missed_before=missed[0] if known else None,
                missed_after=missed[1],
                order_before=in_order(first, truth, parts) if known else float("nan"),
                order_after=in_order(second, truth, parts),
                entropy_before=_mean(entropy(first, truth)) if known else float("nan"),
                entropy_after=_mean(entropy(second, truth)),
            )
        )
    return tuple(rows)


def frame_outcomes(
    names: Sequence[str], tags: Sequence[str], frames: Examples, after: np.ndarray
) -> tuple[FrameOutcome, ...]:
    """Return the errors of each frame; `names` are those of the frames, margins `after` are (n, tags)."""
    wrong = [errors(margins, frames.labels) for margins in (frames.margins, after)]
    eased = np.nansum(entropy(frames.margins, frames.labels) - entropy(after, frames.labels), axis=1)

    def listed(which: np.ndarray) -> tuple[str, ...]:
        return tuple(tags[int(tag)] for tag in np.flatnonzero(which))

    return tuple(
        FrameOutcome(
            name,
            str(frames.sources[row]),
            *(listed(each[row] & (frames.labels[row] == value)) for each in wrong for value in (0, 1)),
            eased=float(eased[row]),
        )
        for row, name in enumerate(names)
    )


def _count(margins: np.ndarray, truth: np.ndarray, value: int) -> int:
    return int((errors(margins, truth) & (truth == value)).sum())


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
