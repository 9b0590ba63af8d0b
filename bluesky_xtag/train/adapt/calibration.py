"""Calibration: a slope and an offset of each tag's margin, drawn towards those that the model has.

The margin of a tag is its logit less the logit of its threshold: a tag is accepted if its margin is not negative. The
calibrated margin is slope * margin + offset. Slope 1 and offset 0 are the model as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

__all__ = ["Calibration", "fit_calibration"]

_SLOPE = 10.0  # how much firmer a slope is held to 1 than an offset to that of all tags
_SHARED = 1.0  # 1 / variance of the offset of all tags
_FLATTEST = 0.05  # a slope stays positive, so the order of the scores is kept


@dataclass(frozen=True, eq=False)
class Calibration:
    """Slopes and offsets, (tags,) float64 each."""

    slopes: np.ndarray
    offsets: np.ndarray

    @classmethod
    def none(cls, tags: int) -> Calibration:
        """Return the calibration that changes nothing."""
        return cls(np.ones(tags), np.zeros(tags))

    def __call__(self, margins: np.ndarray) -> np.ndarray:
        """Return calibrated margins (n, tags)."""
        return self.slopes * margins + self.offsets


def fit_calibration(margins: np.ndarray, labels: np.ndarray, strength: float) -> Calibration:
    """Fit slopes and offsets by penalised logistic regression.

    The offset of a tag is drawn to a common offset of all labelled tags, because a network that sees another mixture
    of frames than it was trained on is often wrong in one direction; the common offset is drawn to 0 and the slopes
    are drawn to 1. All are found at once; the problem is convex, so there is one minimum.

    Parameters
    ----------
    margins : numpy.ndarray
        (n, tags) float.
    labels : numpy.ndarray
        (n, tags) int8: 1 holds, 0 does not, -1 is left out. Tags without a label stay as they are.
    strength : float
        1 / variance of a tag's offset about the common one; infinite for no change.
    """
    found = Calibration.none(labels.shape[1])
    tags = np.flatnonzero((labels >= 0).any(0))
    if not np.isfinite(strength) or not tags.size:
        return found
    u, counted, hit = margins[:, tags].astype(np.float64), labels[:, tags] >= 0, labels[:, tags] == 1
    count = tags.size

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, offsets, shared = flat[:count], flat[count:-1], flat[-1]
        z = slopes * u + offsets
        wrong, apart, bent = counted * (expit(z) - hit), strength * (offsets - shared), _SLOPE * strength * (slopes - 1)
        loss = (counted * (np.logaddexp(0, z) - hit * z)).sum() + _SHARED * shared**2 / 2
        loss += (apart * (offsets - shared) + bent * (slopes - 1)).sum() / 2
        slope = np.concatenate([(wrong * u).sum(0) + bent, wrong.sum(0) + apart, [_SHARED * shared - apart.sum()]])
        return float(loss), slope

    start = np.concatenate([np.ones(count), np.zeros(count + 1)])
    bounds = [(_FLATTEST, None)] * count + [(None, None)] * (count + 1)
    best = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
    found.slopes[tags], found.offsets[tags] = best[:count], best[count:-1]
    return found
