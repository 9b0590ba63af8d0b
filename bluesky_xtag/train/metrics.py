"""Average precision, thresholds and calibration; labels below 0 are ignored everywhere."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

__all__ = ["average_precision", "best_threshold", "calibrate", "mean_average_precision"]


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
    precision, recall, _ = _curve(labels, scores)
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
    precision, recall, steps = _curve(labels, scores)
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


def _curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision and recall at each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
    hits = np.cumsum(labels)[last]
    return hits / (last + 1), hits / labels.sum(), scores[last]
