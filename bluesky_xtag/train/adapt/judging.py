"""How wrong tags are: errors a frame, their standard errors, and the choice among corrections by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["choose", "divide", "entropy", "errors", "in_order", "standard_error"]


def errors(margins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (n, tags) bool: the tag is accepted (its margin is not negative) and does not hold, or is missed.

    Uncertain labels (-1) are no errors.
    """
    return ((margins >= 0) != (labels == 1)) & (labels >= 0)


def entropy(margins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the cross entropy of each label, nats; NaN where it is ignored. All are (n, tags)."""
    return np.where(labels >= 0, np.logaddexp(0, margins) - (labels == 1) * margins, np.nan)


def standard_error(values: np.ndarray, sources: np.ndarray) -> float:
    """Return the standard error of the mean of values (n,), of sources drawn at random.

    Frames of one source are alike, so they count less than as many frames of different sources. With one source it
    is infinite.
    """
    names, place = np.unique(sources, return_inverse=True)
    if names.size < 2:
        return np.inf
    sums = np.bincount(place, values - values.mean(), names.size)
    return float(np.sqrt((sums**2).sum() * names.size / (names.size - 1)) / values.size)


def choose(margins: np.ndarray, labels: np.ndarray, sources: np.ndarray) -> int:
    """Return the number of the best choice; choice 0 is "as before".

    Few frames count few errors, and by these alone the choice would be one of chance. So among the choices with as few
    errors a frame as the best of all, within the standard error of the difference, the one of least cross entropy
    is taken. It counts as a gain if there are fewer errors than by choice 0, and if the cross entropy of the frames
    falls by more than its standard error; else it is choice 0.

    Parameters
    ----------
    margins : numpy.ndarray
        (choices, n, tags), of each frame by a fit without its source.
    labels : numpy.ndarray
        (n, tags) int8.
    sources : numpy.ndarray
        (n,) str.
    """
    wrong = np.array([errors(each, labels).sum(1) for each in margins], float)
    losses = np.array([np.nansum(entropy(each, labels), axis=1) for each in margins])
    totals = losses.sum(1)
    best = wrong[np.lexsort((totals, wrong.mean(1)))[0]]
    good = [each.mean() - best.mean() <= standard_error(each - best, sources) for each in wrong]
    found = int(np.argmin(np.where(good, totals, np.inf)))
    gain = losses[0] - losses[found]
    helps = wrong[found].mean() < wrong[0].mean() and gain.mean() > standard_error(gain, sources)
    return found if helps else 0


def divide(sources: np.ndarray, most: int) -> list[np.ndarray]:
    """Return at most `most` parts of the frames as masks (n,) bool, of about equal size; no source is divided."""
    names, place, counts = np.unique(sources, return_inverse=True, return_counts=True)
    sizes, part_of = np.zeros(min(most, names.size), int), np.empty(names.size, int)
    for name in np.argsort(-counts, kind="stable"):
        part_of[name] = int(np.argmin(sizes))
        sizes[part_of[name]] += counts[name]
    return [part_of[place] == part for part in range(sizes.size)]


def in_order(margins: np.ndarray, truth: np.ndarray, parts: Sequence[np.ndarray]) -> float:
    """Return which share of the pairs of frames, one that holds a tag and one that does not, is in the right order.

    Only frames that were scored by one and the same model are compared: other folds have other offsets. Equal margins
    count half. NaN if there is no pair.

    Parameters
    ----------
    margins, truth : numpy.ndarray
        (n,) of one tag; truth is 1, 0 or -1 (left out).
    parts : sequence of numpy.ndarray
        The folds, masks (n,) bool.
    """
    right = pairs = 0.0
    for part in parts:
        apart = margins[part & (truth == 1)][:, None] - margins[part & (truth == 0)]
        right += (apart > 0).sum() + (apart == 0).sum() / 2
        pairs += apart.size
    return right / pairs if pairs else float("nan")
