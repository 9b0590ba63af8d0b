"""Rows as they arrive: a base class for callbacks that listen to the stream "tags" of open runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from event_model import DocumentRouter, unpack_event_page

from .columns import STREAM, column, is_tagger
from .table import TagRow

__all__ = ["NewestRows", "TagRows"]


class TagRows(DocumentRouter):
    """A document callback that passes on the rows of the stream "tags" of any number of interleaved runs.

    A subclass says what to do with a run that begins, with its descriptor of the stream, with each row, and with a run
    that ends. This class keeps no rows itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tagged: dict[str, str] = {}  # run by descriptor of the stream

    def begin(self, doc: Mapping[str, Any]) -> None:
        """Take the start document of a run."""

    def declare(self, run: str, doc: Mapping[str, Any]) -> None:
        """Take the descriptor of the stream; a run may have several, one after the other."""

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Take a row: its columns and its sequence number, which comes again if a point was taken again."""

    def end(self, run: str) -> None:
        """Take the end of a run."""

    # What the router calls

    def start(self, doc: Any) -> None:
        """Route a start document."""
        self.begin(doc)

    def descriptor(self, doc: Any) -> None:
        """Route a descriptor."""
        if doc.get("name") == STREAM and is_tagger(doc["data_keys"]):  # others may call a stream of theirs so
            self._tagged[doc["uid"]] = doc["run_start"]
            self.declare(doc["run_start"], doc)

    def event(self, doc: Any) -> Any:
        """Route an event."""
        run = self._tagged.get(doc["descriptor"])
        if run is not None:
            self.add(run, doc["seq_num"], doc["data"])

    def event_page(self, doc: Any) -> Any:
        """Route the events of a page."""
        if doc["descriptor"] in self._tagged:
            for event in unpack_event_page(doc):
                self.event(event)

    def stop(self, doc: Any) -> None:
        """Route a stop document."""
        ended = doc["run_start"]
        self._tagged = {uid: run for uid, run in self._tagged.items() if run != ended}
        self.end(ended)


class NewestRows(TagRows):
    """A document callback that keeps the newest row of each open run.

    Plans decide by this row, not by what the tagger returns: after a pause the RunEngine takes points again, and the
    row that it emitted last counts.

    Parameters
    ----------
    name : str
        The tagger's name, which begins the names of the columns.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._newest: dict[str, tuple[int, Mapping[str, Any]]] = {}

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Keep the row, unless it is of another tagger."""
        if column(self._name, "status") in data:
            self._newest[run] = number, data

    def event_page(self, doc: Any) -> Any:
        """Take the last row of a page: no plan asks for those before."""
        run = self._tagged.get(doc["descriptor"])
        if run is not None and doc["seq_num"]:
            self.add(run, doc["seq_num"][-1], {key: values[-1] for key, values in doc["data"].items()})

    def end(self, run: str) -> None:
        """Let the row of a run go that has ended."""
        self._newest.pop(run, None)

    def newest(self, run: str, tags: Sequence[str]) -> TagRow:
        """Return what the newest row of an open run says; "failed" as row 0 if the run has none.

        A plan asks after it has read the tagger: without a row by then, the frame has no tags, and none will come.

        Parameters
        ----------
        run : str
            Uid of the run.
        tags : sequence of str
            The names of the tags.
        """
        if run not in self._newest:
            return TagRow(status="failed")
        number, data = self._newest[run]
        return TagRow.read(number, data, self._name, tags)
