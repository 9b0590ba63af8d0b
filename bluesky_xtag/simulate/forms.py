"""Forms in which software hands on the counts of a detector: wider types, other marks of gaps, no counts at all.

The photons are those of the frame; the labels follow from them, whatever form the numbers have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

__all__ = ["FORMS", "draw_form"]

_Form = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
_WIDER = ("uint32", "int64", "float32", "float64")
_MARKS = (2**16 - 1, 2**24 - 1, 2**31 - 1, 2**32 - 1)


def draw_form(image: np.ndarray, limit: float, rng: np.random.Generator, form: str | None = None) -> np.ndarray:
    """Return a simulated frame in one of the forms of `FORMS`.

    Parameters
    ----------
    image : numpy.ndarray
        (rows, columns) int32; negative where there is no pixel.
    limit : float
        The counter's limit: pixels that hold it are saturated.
    rng : numpy.random.Generator
        Draws the form, and what it leaves open.
    form : str, optional
        One of `FORMS`; drawn if not given.
    """
    chosen = FORMS[str(rng.choice(list(FORMS))) if form is None else form]
    return chosen(image, image < 0, image >= limit, rng)


def _marked_otherwise(image: np.ndarray, gaps: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mark gaps with the maximum of another type, in a wider one."""
    usable = [mark for mark in _MARKS if mark > 2 * max(int(image.max()), 1)] or [_MARKS[-1]]
    return np.where(gaps, rng.choice(usable), image).astype(str(rng.choice(_WIDER)))


def _flagged(image: np.ndarray, gaps: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mark gaps and saturated pixels with the maximum of the type, as beyond the trusted range of an Eiger."""
    return np.where(gaps | high, 2**32 - 1, image).astype(np.uint32)


def _without_dark(image: np.ndarray, gaps: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave noise about zero, as where a dark was subtracted."""
    noise = rng.normal(0, np.exp(rng.uniform(0, 2.5)), image.shape)
    return np.where(gaps, np.nan, np.where(high, image, image + noise)).astype(np.float32)


def _divided(image: np.ndarray, gaps: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Divide the counts, as by a monitor."""
    return np.where(gaps, np.nan, image / 10 ** rng.uniform(2, 6)).astype(str(rng.choice(_WIDER[2:])))


def _normalised(image: np.ndarray, gaps: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let the brightest pixel hold one."""
    return np.where(gaps, np.nan, image / max(int(image.max()), 1)).astype(str(rng.choice(_WIDER[2:])))


def _integrated(image: np.ndarray, gaps: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Write units of a converter, many to a photon, with read noise, the dark subtracted: below 0 where none arrived.

    Charge-integrating pixels such as those of a Jungfrau have a noise of some hundredths to tenths of a photon.
    """
    gain = np.exp(rng.uniform(1, 5))
    charge = gain * image * (1 + 0.01 * rng.standard_normal(image.shape))
    charge = np.where(
        high, gain * image, charge + gain * np.exp(rng.uniform(-3.5, -0.7)) * rng.normal(0, 1, image.shape)
    )
    if rng.random() < 0.5:
        charge = np.rint(charge)
    return np.where(gaps, np.nan, charge).astype(np.float32)


FORMS: Mapping[str, _Form] = MappingProxyType(
    {
        "marked otherwise": _marked_otherwise,
        "flagged": _flagged,
        "without dark": _without_dark,
        "divided": _divided,
        "normalised": _normalised,
        "integrated": _integrated,
    }
)
