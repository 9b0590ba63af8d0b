"""Loops over pixels, compiled by Numba: they run beside other threads, and pass over a frame once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]

log = logging.getLogger(__name__)


def compiled(*fastmath: str) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function at its first call and keeps what it made beside the source.

    Parameters
    ----------
    *fastmath : str
        What the compiler may take for granted of floats, such as `"nnan"` (none is NaN) or `"reassoc"` (sums may be
        added up in any order); as LLVM calls it.
    """
    how = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath)}  # divisions by zero raise nothing

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(function, cache=True, **how)
        except RuntimeError as error:  # neither the package's nor the user's directory can be written to
            log.info("%s is compiled anew in each process: %s", function.__name__, error)
            return numba.njit(function, **how)

    return decorate
