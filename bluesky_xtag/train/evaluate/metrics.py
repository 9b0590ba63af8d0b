"""Average precision, decisions at a threshold, and calibration; labels below 0 are ignored everywhere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

__all__ = [
    "BINS",
    "Decisions",
    "average_precision",
    "best_threshold",
    "calibrate",
    "calibration_error",
    "decisions",
    "mean_average_precision",
    "precision_recall",
    "reliability",
]

BINS = 10


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the precision-recall curve, sum of (R_n - R_n-1) P_n; NaN without both classes.

    Parameters
    ----------
    labels : numpy.ndarray
        (n,) 1, 0, or -1 (ignored).
    scores : numpy.ndarray
        (n,), higher means more likely. Equal scores count as one step.
    """
    labels, scores = labels[labels >= 0], scores[labels >= 0]
    if not 0 < labels.sum() < labels.size:
        return float("nan")
    precision, recall, _ = precision_recall(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def mean_average_precision(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return mAP and the chance mAP (mean prevalence) over the tags that have both classes.

    Both arrays are (n, tags).
    """
    pairs = []
    for truth, score in zip(labels.T, scores.T, strict=True):
        precision = average_precision(truth, score)
        if np.isfinite(precision):
            pairs.append((precision, truth[truth >= 0].mean()))
    found, chance = np.mean(pairs, axis=0) if pairs else (np.nan, np.nan)
    return float(found), float(chance)


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the score from which a tag is accepted so that F1 is highest, within 0.05..0.95."""
    labels, scores = labels[labels >= 0], scores[labels >= 0]
    if not 0 < labels.sum() < labels.size:
        return 0.5
    precision, recall, steps = precision_recall(labels, scores)
    best = int(np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
    below = steps[best + 1] if best + 1 < steps.size else steps[best]
    return float(np.clip((steps[best] + below) / 2, 0.05, 0.95))


def calibrate(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Return slope and offset of Platt's scaling: sigmoid(slope * logit + offset) is calibrated.

    Labels are (n,) 1, 0, or -1 (ignored); slope stays positive, so the order of scores is kept.
    """
    labels, logits = labels[labels >= 0], logits[labels >= 0].astype(float)
    if not 0 < labels.sum() < labels.size:
        return 1.0, 0.0

    def loss(parameters: np.ndarray) -> float:
        z = np.exp(parameters[0]) * logits + parameters[1]
        return float(np.mean(np.logaddexp(0, z) - labels * z) + 1e-3 * parameters[0] ** 2)

    log_slope, offset = minimize(loss, (0.0, 0.0), method="Nelder-Mead").x
    return float(np.exp(log_slope)), float(offset)


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision and recall of "score at least s" for each distinct score s, and these scores, falling.

    Labels are (n,) 1, 0, or -1 (ignored), with at least one 1; scores are (n,).
    """
    labels, scores = labels[labels >= 0], scores[labels >= 0]
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
    hits = np.cumsum(labels)[last]
    return hits / (last + 1), hits / labels.sum(), scores[last]


class Decisions(NamedTuple):
    """How good "the tag is accepted" is: right of the accepted, accepted of the right, their harmonic mean; 0..1."""

    precision: float
    recall: float
    f1: float


def decisions(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Decisions:
    """Return precision, recall and F1 of accepting a tag from a score on.

    Labels are (n,) 1, 0, or -1 (ignored). Without both classes all are NaN; if nothing is accepted, precision is NaN.
    """
    held, accepted = labels[labels >= 0] == 1, scores[labels >= 0] >= threshold
    if not held.any() or held.all():
        return Decisions(np.nan, np.nan, np.nan)
    right = int((held & accepted).sum())
    return Decisions(
        right / int(accepted.sum()) if accepted.any() else np.nan,
        right / int(held.sum()),
        2 * right / int(held.sum() + accepted.sum()),
    )


def reliability(labels: np.ndarray, scores: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean score, share of frames that hold the tag, and number of frames in equal bins of the score 0..1.

    Labels are (n,) 1, 0, or -1 (ignored); mean and share are NaN in empty bins. A score of 1 belongs to the last bin.
    """
    labels, scores = labels[labels >= 0], scores[labels >= 0].astype(float)
    place = np.minimum((scores * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = np.where(count, count, np.nan)
    return np.bincount(place, scores, bins) / filled, np.bincount(place, labels, bins) / filled, count


def calibration_error(labels: np.ndarray, scores: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error, ECE = sum over bins of n_b / n |share_b - mean score_b|; NaN if n = 0.

    Bins are equally wide. After Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks",
    ICML 2017, equation 3; there confidence and accuracy are those of the best of several classes, here (a tag holds
    or not) they are the tag's score and the share of frames that hold it, so that scores near 0 are judged, too.

    Labels are (n,) 1, 0, or -1 (ignored).
    """
    mean, share, count = reliability(labels, scores, bins)
    if not count.any():
        return float("nan")
    return float(np.nansum(count * np.abs(share - mean)) / count.sum())
