"""Derived runs: later taggings of a stored run, each as a run of its own.

A derived run has the stream "tags" with the columns of live tagging, `original_run_uid`, and its summary under the key
`xtag` of its start document. A derived run counts as stored once it has its stop document. A run without one was
interrupted. Readers leave it out, and storing the same documents again replaces or finishes it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_URL, uuid5

from event_model import compose_run

from .columns import STREAM
from .summary import KEY

if TYPE_CHECKING:
    from event_model import DataKey

__all__ = ["PURPOSE", "DerivedRun", "Document", "ExitStatus", "compose"]

PURPOSE = "tags"
_PAGE = 1000  # rows a document, so that none grows beyond what a store takes

Document = tuple[str, Any]
ExitStatus = Literal["success", "abort", "fail"]


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
    exit_status: ExitStatus = "success",
    reason: str = "",
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
    exit_status, reason : str
        Of the stop document.

    Returns
    -------
    list of (str, dict)
        start, descriptor, event pages, stop.
    """
    derived = DerivedRun(
        original,
        name=name,
        columns=columns,
        configuration=configuration,
        configuration_keys=configuration_keys,
        summary=summary,
        metadata=metadata,
        uid=uid,
        at=at,
    )
    documents: list[Document] = [("start", derived.start), ("descriptor", derived.descriptor)]
    for first in range(0, len(rows), _PAGE):
        documents.append(derived.page(rows[first : first + _PAGE], at=derived.at))
    documents.append(derived.stop(exit_status, reason, at=derived.at))
    return documents


class DerivedRun:
    """Composes the documents of a derived run one after the other, while its rows become known.

    Arguments are those of `compose`.

    Attributes
    ----------
    start, descriptor : dict
        The first documents.
    at : float
        Their time.
    """

    def __init__(
        self,
        original: str,
        *,
        name: str,
        columns: Mapping[str, DataKey],
        configuration: Mapping[str, Any],
        configuration_keys: Mapping[str, DataKey],
        summary: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        uid: str | None = None,
        at: float | None = None,
    ) -> None:
        self.at = at = time.time() if at is None else at
        start = {"original_run_uid": original, "purpose": PURPOSE, KEY: {**summary, "derived": True}}
        self._run = compose_run(uid=uid, time=at, metadata={**(metadata or {}), **start})
        self.start: dict[str, Any] = dict(self._run.start_doc)
        self._columns = columns
        self._stream = self._run.compose_descriptor(
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
            uid=_uid(self.uid, "descriptor"),
            time=at,
        )
        self.descriptor: dict[str, Any] = dict(self._stream.descriptor_doc)
        self._rows = self._again = 0

    @property
    def uid(self) -> str:
        """The uid of the derived run."""
        return str(self.start["uid"])

    def page(
        self, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int] | None = None, at: float | None = None
    ) -> Document:
        """Return the event page of some rows.

        Parameters
        ----------
        rows : sequence of mapping
            A scalar for each column.
        numbers : sequence of int, optional
            Their sequence numbers; the next ones if None. The last row with a number counts.
        at : float, optional
            Their time in seconds since 1970; now if None.
        """
        at = time.time() if at is None else at
        numbers = range(self._rows + 1, self._rows + 1 + len(rows)) if numbers is None else numbers
        uids = [self._uid_of_row(number) for number in numbers]
        page = self._stream.compose_event_page(
            data={column: [row[column] for row in rows] for column in self._columns},
            timestamps={column: [at] * len(rows) for column in self._columns},
            seq_num=list(numbers),
            uid=uids,
            time=[at] * len(rows),
        )
        return "event_page", page

    def _uid_of_row(self, number: int) -> str:
        if number > self._rows:
            self._rows = number
            return _uid(self.uid, f"event {number}")
        self._again += 1  # the frame was taken again
        return _uid(self.uid, f"event {number}, again {self._again}")

    def stop(self, exit_status: ExitStatus = "success", reason: str = "", at: float | None = None) -> Document:
        """Return the stop document, with how many sequence numbers there were."""
        at = time.time() if at is None else at
        made = self._run.compose_stop(exit_status=exit_status, reason=reason, uid=_uid(self.uid, "stop"), time=at)
        # Given sequence numbers, event-model does not count.
        return "stop", {**made, "num_events": {STREAM: self._rows}}


def _uid(run: str, part: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{run}/{part}"))
