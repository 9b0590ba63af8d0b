"""What no source and no detector exceeds: the bounds of every draw of counts.

A scene states how many photons of each part reach the *valid* pixels. Where a part lies nearly all under a masked
region, in a gap or behind a beamstop, that number alone would ask for any number of photons in the rest of the frame.
These constants say what is physical; they lie far above what ordinary scenes need, so they change nothing else.
"""

from __future__ import annotations

import numpy as np

from ...errors import XTagValueError

__all__ = [
    "HIGHEST_LIMIT",
    "LONGEST_EXPOSURE",
    "MOST_PER_PIXEL",
    "MOST_SCATTERED",
    "check_seconds",
    "check_shares",
    "draw_counts",
    "limit_scale",
]

BEAM_FLUX = 1e13
"""Photons a second on the sample: an undulator of a storage ring behind a Si(111) monochromator gives 1e12 to 1e13."""

SCATTERED_SHARE = 0.1
"""Of the beam, most that one part of a scene scatters towards the detector, as a number without a unit.

More would be scattered twice, and no sample is chosen so thick: then the patterns simulated here would not hold.
"""

LONGEST_EXPOSURE = 100.0
"""Seconds of one frame: longer exposures are taken as several frames, because noise and cosmic rays add up."""

MOST_SCATTERED = BEAM_FLUX * SCATTERED_SHARE * LONGEST_EXPOSURE
"""Photons that one part scatters towards the whole frame in one exposure, before anything stands in their way: 1e14."""

PIXEL_RATE = 1e9
"""Photons a second that one pixel can register.

The fastest counters stop at 1e7 to 2e7 a second (their makers' data sheets); detectors that integrate store some 1e4
photons of 12 keV a readout and read out some 1e3 times a second, which comes to the same. This is 50 times more.
"""

MOST_PER_PIXEL = PIXEL_RATE * LONGEST_EXPOSURE
"""Photons that one pixel registers in one exposure, 1e11: it stands at the limit of any counter long before."""

HIGHEST_LIMIT = 2.0**31 - 2
"""Counts at which a pixel stops at the latest: frames are int32, and the highest number often means a bad pixel."""


def limit_scale(scale: float, scattered: float) -> float:
    """Return by what to multiply the pattern of a part, so that no more is scattered than can be.

    Parameters
    ----------
    scale : float
        What the part's photons on the valid pixels would need, 0 or more.
    scattered : float
        Sum of the pattern, before anything stands in its way, over the whole frame.

    Returns
    -------
    float
        `scale`, or that with which `MOST_SCATTERED` photons are scattered, if it is less.
    """
    return min(scale, MOST_SCATTERED / max(scattered, 1e-12))


def draw_counts(expected: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Draw photon counts, which vary as Poisson's law says, of blocks that register no more than their pixels can.

    Parameters
    ----------
    expected : numpy.ndarray
        Expected photons per block, any shape, float; 0 or more. Of more than `MOST_PER_PIXEL` per pixel so many are
        registered.
    pixels : int
        Pixels of a block.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    numpy.ndarray
        int64, of the shape of `expected`.

    Raises
    ------
    XTagValueError
        An expected number is negative or not a number.
    """
    bounded = np.minimum(expected, np.float32(MOST_PER_PIXEL * pixels))
    if not (bounded >= 0).all():
        raise XTagValueError(
            "some pixels expect photons that are negative or not a number: check the photons and shadows of the scene"
        )
    return rng.poisson(bounded)


def check_seconds(seconds: float) -> None:
    """Refuse an exposure time that a frame does not have.

    Raises
    ------
    XTagValueError
        It is not from 0 to `LONGEST_EXPOSURE`.
    """
    if not 0 <= seconds <= LONGEST_EXPOSURE:
        raise XTagValueError(
            f"a frame cannot be exposed for {seconds} s: choose 0 to {LONGEST_EXPOSURE:g} s, or take several frames"
        )


def check_shares(**shares: float) -> None:
    """Refuse shares of the pixels that are no shares.

    Raises
    ------
    XTagValueError
        One is not from 0 to 1.
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise XTagValueError(f"`{name}` is a share of all pixels, but got {share}: choose a number from 0 to 1")
