"""Derived runs: taggings that came after the run that they are about, as runs of their own.

A derived run has the stream "tags" with the columns of live tagging, `original_run_uid`, and its summary under the key
`xtag` of its start document. A run counts as written once it has its stop document. One without was interrupted:
readers leave it out, and storing the same documents again replaces or finishes it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from event_model import compose_run, unpack_event_page

from .catalog import asking
from .documents import STREAM
from .errors import CatalogError, XTagError
from .summary import KEY

if TYPE_CHECKING:
    from event_model import DataKey

__all__ = ["PURPOSE", "compose", "store"]

PURPOSE = "tags"
_PAGE = 1000  # rows a document, so that none grows beyond what a store takes

Document = tuple[str, Any]


def compose(
    original: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    name: str,
    columns: Mapping[str, DataKey],
    configuration: Mapping[str, Any],
    configuration_keys: Mapping[str, DataKey],
    summary: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    uid: str | None = None,
    at: float | None = None,
) -> list[Document]:
    """Return the documents of a derived run.

    Parameters
    ----------
    original : str
        Uid of the run that the rows are about.
    rows : sequence of mapping
        A scalar for each of `columns`, as `bluesky_xtag.documents.row` makes them.
    name : str
        The tagger's name, which begins the columns.
    columns, configuration_keys : mapping
        Data keys, as from `bluesky_xtag.documents.data_keys` and `configuration_keys`.
    configuration : mapping
        Values of `configuration_keys`.
    summary : mapping
        What the start document holds under the key `xtag`; `derived` is set to True here.
    metadata : mapping, optional
        More for the start document.
    uid : str, optional
        Uid of the derived run; random if not given. All other uids follow from it.
    at : float, optional
        Time of all documents in seconds since 1970; now if not given. The same arguments, uid and time give the
        same documents, which `store` may be called with again.

    Returns
    -------
    list of (str, dict)
        start, descriptor, event pages, stop.
    """
    at = time.time() if at is None else at
    start = {"original_run_uid": original, "purpose": PURPOSE, KEY: {**summary, "derived": True}}
    run = compose_run(uid=uid, time=at, metadata={**(metadata or {}), **start})
    uid = run.start_doc["uid"]
    documents: list[Document] = [("start", run.start_doc)]
    stream = run.compose_descriptor(
        name=STREAM,
        data_keys=dict(columns),
        object_keys={name: list(columns)},
        configuration={
            name: {
                "data": dict(configuration),
                "timestamps": dict.fromkeys(configuration, at),
                "data_keys": dict(configuration_keys),
            }
        },
        hints={name: {"fields": []}},
        uid=_uid(uid, "descriptor"),
        time=at,
    )
    documents.append(("descriptor", stream.descriptor_doc))
    for first in range(0, len(rows), _PAGE):
        page = rows[first : first + _PAGE]
        numbers = range(first + 1, first + 1 + len(page))
        documents.append(
            (
                "event_page",
                stream.compose_event_page(
                    data={column: [row[column] for row in page] for column in columns},
                    timestamps={column: [at] * len(page) for column in columns},
                    seq_num=list(numbers),
                    uid=[_uid(uid, f"event {number}") for number in numbers],
                    time=[at] * len(page),
                ),
            )
        )
    stop = run.compose_stop(uid=_uid(uid, "stop"), time=at)
    # Given sequence numbers, event-model does not count.
    documents.append(("stop", {**stop, "num_events": {STREAM: len(rows)}}))
    return documents


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
    catalog = _client(catalog)
    try:
        with asking(catalog.uri, f"given the derived run {uid}, of which nothing counts now"):
            _write(catalog, uid, documents)
    except XTagError:
        raise
    except Exception as error:  # clients of catalogues raise anything
        raise CatalogError(
            f"the derived run {uid} could not be stored in {catalog.uri} ({type(error).__name__}: {error}): "
            "nothing of it counts; call again"
        ) from error
    return uid


def _write(catalog: Any, uid: str, documents: Sequence[Document]) -> None:
    earlier = _get(catalog, uid)
    if earlier is not None and earlier.metadata.get("stop"):
        return
    if earlier is None:
        missing = documents
    elif _is_mongo(catalog):
        missing = _missing(earlier, documents)
    else:
        catalog.delete_contents(uid, recursive=True, external_only=False)
        missing = documents
    insert = _inserter(catalog)
    with warnings.catch_warnings():
        # event-model's RunRouter, inside TiledWriter, makes a warning of what a start document met, and goes on.
        warnings.filterwarnings("error", "The callback .* raised", UserWarning)
        try:
            for kind, doc in missing:
                insert(kind, doc)
        except Exception as error:
            # After the stop document Tiled's writer tells those who listen that the run has ended. All is stored by
            # then, and so it is where only the last answer was lost.
            if not _is_stored(catalog, uid):
                raise (isinstance(error, UserWarning) and error.__context__) or error from None


def _is_stored(catalog: Any, uid: str) -> bool:
    """Return whether a run is there whole; False if the catalogue does not tell."""
    try:
        return bool(catalog[uid].metadata.get("stop"))
    except Exception:  # clients of catalogues raise anything
        return False


def _uid(run: str, part: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{run}/{part}"))


def _client(catalog: Any) -> Any:
    """Return the Tiled client of a catalogue; databroker's Broker wraps one."""
    return catalog.v2 if hasattr(type(catalog), "insert") else catalog


def _is_mongo(catalog: Any) -> bool:
    """Tell databroker's layout, whose catalogues take documents as they are, from Tiled's own."""
    return hasattr(type(catalog), "post_document") and not catalog.is_sql


def _inserter(catalog: Any) -> Any:
    if _is_mongo(catalog):
        return catalog.post_document
    from bluesky_tiled_plugins import TiledWriter

    return TiledWriter(catalog)


def _missing(run: Any, documents: Sequence[Document]) -> list[Document]:
    """Return those of the documents that a run of databroker, which cannot be deleted, lacks."""
    there: set[str] = set()
    for _, doc in run.documents(fill=False):
        there.update([doc["uid"]] if isinstance(doc["uid"], str) else doc["uid"])
    missing: list[Document] = []
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
