"""How strong a tag is, as a number that does not saturate: the one place where `seek` learns what to climb."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

__all__ = ["probability_of", "strength_of"]

_SURE = 1e-6
"""Probabilities that are nearer to 0 or 1 than this count as equal."""


def strength_of(probabilities: np.ndarray) -> np.ndarray:
    """Return the strength of a tag: the log odds of its probability, which still rise where the probability is 0.999.

    Parameters
    ----------
    probabilities : numpy.ndarray
        (n,) from 0 to 1.

    Returns
    -------
    numpy.ndarray
        (n,) float64, from -13.8 to 13.8.
    """
    return logit(np.clip(probabilities, _SURE, 1 - _SURE))


def probability_of(strengths: np.ndarray) -> np.ndarray:
    """Return the probability that has this strength, (n,) float64."""
    return expit(strengths)
