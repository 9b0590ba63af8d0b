"""Derived runs: later taggings of a stored run, each as a run of its own.

A derived run has the stream "tags" with the columns of live tagging, `original_run_uid`, and its summary under the key
`xtag` of its start document. A derived run counts as stored once it has its stop document. A run without one was
interrupted. Readers leave it out, and storing the same documents again replaces or finishes it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from event_model import compose_run

from .columns import STREAM
from .summary import KEY

if TYPE_CHECKING:
    from event_model import DataKey

__all__ = ["PURPOSE", "Document", "compose"]

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
        Uid of the run that has the frames.
    rows : sequence of mapping
        A scalar for each of `columns`, as `bluesky_xtag.documents.row` makes them.
    name : str
        The tagger's name, which begins the columns.
    columns, configuration_keys : mapping
        Data keys, as from `bluesky_xtag.documents.data_keys` and `configuration_keys`.
    configuration : mapping
        Values of `configuration_keys`.
    summary : mapping
        What the start document holds under the key `xtag`. This function sets `derived` to True.
    metadata : mapping, optional
        More keys for the start document.
    uid : str, optional
        Uid of the derived run. If not given, it is random. All other uids follow from it.
    at : float, optional
        Time of all documents in seconds since 1970. If not given, now. The same arguments, uid and time give the same
        documents, so that `store` can be called with them again.

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


def _uid(run: str, part: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{run}/{part}"))
