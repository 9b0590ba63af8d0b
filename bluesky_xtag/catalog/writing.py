"""Write the documents of a run into a catalogue, Tiled's or databroker's, so that a second call completes the first.

A run counts as stored once it has its stop document.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from event_model import unpack_event_page

from ..errors import CatalogError, XTagError
from .opening import asking
from .stored_runs import client

__all__ = ["can_replace", "inserter", "is_whole", "store", "write"]

Document = tuple[str, Mapping[str, Any]]


def store(catalog: Any, documents: Sequence[Document]) -> str:
    """Write a derived run into a catalogue, all or nothing as far as the catalogue allows.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, tiled Container or databroker Broker
        Where to.
    documents : sequence of (str, dict)
        From `compose`. If their run is there already and complete, nothing is done; if it was interrupted, it is
        replaced (Tiled) or finished (databroker).

    Returns
    -------
    str
        Uid of the run.

    Raises
    ------
    CatalogError
        The catalogue did not take it. What it took, if anything, has no stop document and so does not count.
    """
    uid: str = documents[0][1]["uid"]
    catalog = client(catalog)
    try:
        with asking(catalog.uri, f"given the derived run {uid}, of which nothing counts now"):
            write(catalog, documents)
    except XTagError:
        raise
    except Exception as error:  # clients of catalogues raise anything
        raise CatalogError(
            f"the derived run {uid} could not be stored in {catalog.uri} ({type(error).__name__}: {error}): "
            "nothing of it counts; call again"
        ) from error
    return uid


def write(catalog: Any, documents: Sequence[Document]) -> None:
    """Store the documents of a whole run, unless they are there already.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns or tiled Container
        Where to. A run of which a part is there is replaced (Tiled), or finished (databroker, which deletes nothing).
    documents : sequence of (str, dict)
        From start to stop. Databroker finishes runs of descriptors, events and event pages only.

    Raises
    ------
    Exception
        Whatever the catalogue's client raises. What was taken until then has no stop document.
    """
    uid = documents[0][1]["uid"]
    there = _get(catalog, uid)
    if there is not None and there.metadata.get("stop"):
        return
    if there is not None and can_replace(catalog):
        catalog.delete_contents(uid, recursive=True, external_only=False)
    elif there is not None:
        documents = _missing(there, documents)
    insert = inserter(catalog)
    with warnings.catch_warnings():
        # event-model's RunRouter, inside TiledWriter, makes a warning of what a start document met, and goes on.
        warnings.filterwarnings("error", "The callback .* raised", UserWarning)
        try:
            for kind, doc in documents:
                insert(kind, doc)
        except Exception as error:
            # After the stop document Tiled's writer tells those who listen that the run has ended. All is stored by
            # then, and so it is where only the last answer was lost.
            if not is_whole(catalog, uid):
                raise (isinstance(error, UserWarning) and error.__context__) or error from None


def is_whole(catalog: Any, uid: str) -> bool:
    """Return whether a run is there with its stop document; False if the catalogue does not tell."""
    try:
        return bool(catalog[uid].metadata.get("stop"))
    except Exception:  # clients of catalogues raise anything
        return False


def can_replace(catalog: Any) -> bool:
    """Tell Tiled's own layout from databroker's, which takes documents as they are and deletes nothing."""
    return not hasattr(type(catalog), "post_document") or catalog.is_sql


def inserter(catalog: Any) -> Callable[[str, Any], Any]:
    """Return what takes the documents of runs, by name and document."""
    if not can_replace(catalog):
        return catalog.post_document
    from bluesky_tiled_plugins import TiledWriter

    return TiledWriter(catalog)


def _missing(run: Any, documents: Sequence[Document]) -> list[Document]:
    """Return those of the documents that a run of databroker lacks."""
    there: set[str] = set()
    for _, doc in run.documents(fill=False):
        there.update([doc["uid"]] if isinstance(doc["uid"], str) else doc["uid"])
    missing: list[Document] = []
    doc: Any
    for kind, doc in documents:
        if kind == "event_page":
            missing += [("event", event) for event in unpack_event_page(doc) if event["uid"] not in there]
        elif doc["uid"] not in there:
            missing.append((kind, doc))
    return missing


def _get(catalog: Any, uid: str) -> Any:
    try:
        return catalog[uid]
    except KeyError:
        return None
