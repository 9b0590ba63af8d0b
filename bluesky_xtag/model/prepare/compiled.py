"""Loops over pixels, compiled by Numba. They run in parallel with other threads, and pass over a frame once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba

__all__ = ["compile_function", "compile_loop"]

log = logging.getLogger("bluesky_xtag")


def compile_loop(*fastmath: str) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function at its first call and keeps the result next to the source.

    Parameters
    ----------
    *fastmath : str
        What the compiler may assume about floats, such as `"nnan"` (none is NaN) or `"reassoc"` (sums may be
        added up in any order); as LLVM calls it.
    """
    how: dict[str, Any] = {"nogil": True, "error_model": "numpy"}  # divisions by zero raise nothing
    if fastmath:
        # A call that is not inlined goes to whichever compiled copy the process holds: the function's own where it was
        # compiled there, the caller's where that came from the cache. Assumptions round the two differently.
        how |= {"fastmath": set(fastmath), "forceinline": True}

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(function, cache=True, **how)
        except RuntimeError as error:  # neither the package's nor the user's directory can be written to
            log.info("%s is compiled anew in each process: %s", function.__name__, error)
            return numba.njit(function, **how)

    return decorate


def compile_function(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that makes a C function with the signature; compiled loops take it as an argument."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.cfunc(signature, cache=True, error_model="numpy")(function)
        except RuntimeError as error:
            log.info("%s is compiled anew in each process: %s", function.__name__, error)
            return numba.cfunc(signature, error_model="numpy")(function)

    return decorate


def _drop_outdated() -> None:
    """Drop what was compiled before any of this package's sources changed.

    Numba compares a function with its own file only, but what it compiled holds the functions of other files, too.
    """
    here = Path(__file__).parent
    changed = max(source.stat().st_mtime for source in here.glob("*.py"))
    with suppress(OSError):  # where nothing can be written, sources do not change either
        for index in (here / "__pycache__").glob("*.nbi"):
            if index.stat().st_mtime < changed:
                index.unlink(missing_ok=True)


_drop_outdated()
