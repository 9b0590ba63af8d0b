"""What detectors make of the photons: module gaps, counting noise, defects and limits."""

from __future__ import annotations

import logging
from functools import lru_cache

import cv2
import numpy as np

from ...errors import XTagValueError
from .exposure_limits import HIGHEST_LIMIT, check_shares, draw_counts

__all__ = ["expose", "module_mask"]


@lru_cache(maxsize=32)
def module_mask(name: str) -> np.ndarray:
    """Return where a real detector has no pixels.

    Parameters
    ----------
    name : str
        A name that pyFAI knows, such as "Pilatus 1M" or "Eiger 4M".

    Returns
    -------
    numpy.ndarray
        (rows, columns) bool, True in gaps between modules; read-only.

    Raises
    ------
    XTagValueError
        pyFAI knows no such detector.
    """
    # pyFAI's libraries warn at import that there is no OpenCL; module layouts need none.
    logging.getLogger("silx.opencl").setLevel(logging.ERROR)
    from pyFAI.detectors import detector_factory

    try:
        detector = detector_factory(name)
    except RuntimeError as error:
        raise XTagValueError(f"no detector {name!r} is known: {error}; see pyFAI.detectors.ALL_DETECTORS") from error
    mask = detector.calc_mask()
    gaps = np.zeros(detector.max_shape or (0, 0), bool) if mask is None else mask.astype(bool)
    gaps.setflags(write=False)
    return gaps


def expose(
    expected: np.ndarray,
    rng: np.random.Generator,
    *,
    gaps: np.ndarray | None = None,
    gap_value: int = -1,
    psf: float = 0.0,
    flat_field: float = 0.0,
    hot: float = 0.0,
    dead: float = 0.0,
    zingers: float = 0.0,
    read_noise: float = 0.0,
    limit: int = 2**20 - 1,
) -> np.ndarray:
    """Return the counts of one exposure.

    Parameters
    ----------
    expected : numpy.ndarray
        (rows, columns), expected photons per pixel, 0 or more; no pixel registers more than `MOST_PER_PIXEL`.
    rng : numpy.random.Generator
        Source of all chance.
    gaps : numpy.ndarray, optional
        (rows, columns) bool, True where no pixels are.
    gap_value : int
        What is written in gaps.
    psf : float
        Sigma of the point spread, pixels.
    flat_field : float
        Relative spread of the pixels' sensitivity.
    hot, dead, zingers : float
        Fraction of pixels that count far too much, nothing, or one stray burst.
    read_noise : float
        Sigma of additive noise, counts; 0 for photon counters.
    limit : int
        The counter's limit, at most `HIGHEST_LIMIT`.

    Returns
    -------
    numpy.ndarray
        (rows, columns) int32.

    Raises
    ------
    XTagValueError
        The expected photons are negative or not a number, or a fraction is not from 0 to 1.
    """
    check_shares(hot=hot, dead=dead, zingers=zingers)
    expected = np.asarray(expected, np.float32)
    if psf > 0:
        expected = cv2.GaussianBlur(expected, (0, 0), psf)
    if flat_field > 0:
        gain = 1 + flat_field * rng.standard_normal(expected.shape, dtype=np.float32)
        expected = expected * np.maximum(gain, 0)
    counts = draw_counts(expected, 1, rng).astype(np.float64)
    if read_noise > 0:
        counts += read_noise * rng.standard_normal(expected.shape, dtype=np.float32)
    for fraction, low, high in ((hot, 1e2, 1e6), (zingers, 10, 1e4)):
        where = rng.integers(0, counts.size, rng.poisson(fraction * counts.size))
        counts.flat[where] += low * (high / low) ** rng.random(where.size)
    counts.flat[rng.integers(0, counts.size, rng.poisson(dead * counts.size))] = 0
    image = np.clip(np.rint(counts), 0, min(limit, HIGHEST_LIMIT)).astype(np.int32)
    if gaps is not None:
        image[gaps] = gap_value
    return image
