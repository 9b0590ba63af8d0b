"""Write the documents of a run into a catalogue. A second call completes a first call that failed.

A run counts as stored once it has its stop document.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from ..errors import CatalogError, XTagError
from .failures import catalog_errors
from .protocol import Catalog, Document

__all__ = ["store", "write_documents"]


def store(catalog: Catalog, documents: Sequence[Document]) -> str:
    """Write a derived run into a catalogue: all of it or nothing, as far as the catalogue allows.

    Parameters
    ----------
    catalog : Catalog
        Where to.
    documents : sequence of (str, dict)
        From `compose`. If their run is already stored and complete, nothing is done. If it was interrupted, it is
        replaced (Tiled) or finished (databroker).

    Returns
    -------
    str
        Uid of the run.

    Raises
    ------
    CatalogError
        The catalogue did not store the run. Any part that it stored has no stop document, and therefore does not count.
    """
    uid: str = documents[0][1]["uid"]
    try:
        with catalog_errors(catalog.name, f"given the derived run {uid}, and no part of it counts now"):
            catalog.write(documents)
    except XTagError:
        raise
    except Exception as error:  # clients of catalogues raise anything
        raise CatalogError(
            f"the derived run {uid} could not be stored in {catalog.name} ({type(error).__name__}: {error}): "
            "no part of it counts; call again"
        ) from error
    return uid


def write_documents(catalog: Catalog, uid: str, documents: Iterable[Document]) -> None:
    """Give documents to the writer of a catalogue; raise what its client raises, unless the whole run is stored.

    Parameters
    ----------
    catalog : Catalog
        Where to.
    uid : str
        Uid of the run that these documents complete.
    documents : iterable of (str, dict)
        The documents that are not stored yet.
    """
    insert = catalog.writer()
    with warnings.catch_warnings():
        # event-model's RunRouter, inside TiledWriter, makes a warning of what a start document met, and goes on.
        warnings.filterwarnings("error", "The callback .* raised", UserWarning)
        try:
            for kind, doc in documents:
                insert(kind, doc)
        except Exception as error:
            # After the stop document Tiled's writer tells those who listen that the run has ended. All is stored by
            # then, and so it is where only the last answer was lost.
            if not _is_stored(catalog, uid):
                raise (isinstance(error, UserWarning) and error.__context__) or error from None


def _is_stored(catalog: Catalog, uid: str) -> bool:
    """Return whether a run is stored with its stop document; False if the catalogue does not answer."""
    try:
        return catalog.holds_whole(uid)
    except Exception:  # clients of catalogues raise anything
        return False
