"""The kinds of catalogues, and the functions that adapt a user's catalogue or run."""

from __future__ import annotations

from ..errors import XTagValueError
from . import databroker, tiled
from .protocol import Catalog, Run

__all__ = ["KINDS", "as_catalog", "as_run"]

# Each module adapts what a user has: `adapt_catalog` and `adapt_run` return None for what is not of its kind.
KINDS = (
    databroker,
    tiled,
)


def as_catalog(catalog: object) -> Catalog:
    """Return a user's catalogue as a `Catalog`.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container, Broker or Catalog
        A Tiled client, whole or narrowed by searches; databroker's Broker; or a `Catalog`, which is returned as it is.

    Raises
    ------
    XTagValueError
        It is something else.
    """
    if isinstance(catalog, Catalog):
        return catalog
    for kind in KINDS:
        if (found := kind.adapt_catalog(catalog)) is not None:
            return found
    raise XTagValueError(
        f"{type(catalog).__name__} is not a catalogue: give one of Tiled, such as open_catalog returns, or "
        "databroker's Broker"
    )


def as_run(run: object) -> Run:
    """Return a user's run as a `Run`.

    Parameters
    ----------
    run : BlueskyRun, Header or Run
        A run of a Tiled catalogue or of databroker; or a `Run`, which is returned as it is.

    Raises
    ------
    XTagValueError
        It is something else.
    """
    if (found := adapt_run(run)) is not None:
        return found
    raise XTagValueError(
        f"{type(run).__name__} is not a stored run: give one of a Tiled catalogue or of databroker, such as catalog[-1]"
    )


def adapt_run(run: object) -> Run | None:
    """Return a user's run as a `Run`; None if it is something else."""
    if isinstance(run, Run):
        return run
    return next((found for kind in KINDS if (found := kind.adapt_run(run)) is not None), None)
