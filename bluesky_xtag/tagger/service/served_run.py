"""A run that a service tags: what came of it, and its derived run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from ... import documents
from ...documents import DerivedRun, Document, ExitStatus, summarise
from ...frames import Frame
from ..scoring import NotReady, Outcome, batches, finish
from .bus_tagger import BusTagger, Place

if TYPE_CHECKING:
    from ...model import ServedModel

__all__ = ["ServedRun"]

_PAGE = 1000  # rows a document
_FEW = 4  # frames that are looked at again together; a frame of another scan never waits for more
_AGAIN = 0.5  # seconds between two looks

Send = Callable[[str, Any], object]


class ServedRun:
    """A run of another process, and the derived run with its rows.

    Parameters
    ----------
    uid : str
        Uid of the run.
    tagger : BusTagger
        Has its frames.
    send : callable
        Takes the derived run's documents as soon as they are known.

    Attributes
    ----------
    heard : float
        When something was heard of it last, of `time.monotonic`.
    exit_status, reason : str
        How the derived run ends; None and empty as long as the run goes on.
    """

    def __init__(self, uid: str, tagger: BusTagger, send: Send) -> None:
        self.uid, self.heard = uid, time.monotonic()
        self.exit_status: ExitStatus | None = None
        self.reason = ""
        self._tagger, self._send = tagger, send
        self._derived: DerivedRun | None = None
        self._rows: dict[int, dict[str, Any]] = {}
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._withheld: dict[int, dict[str, Any]] = {}  # rows of frames that may be readable at the end
        self._events: defaultdict[str, set[int]] = defaultdict(set)
        self._streams: dict[str, str] = {}
        self._ended = self._next_look = 0.0
        self._asked: Future[list[Outcome]] | None = None
        self._looked_at: list[tuple[int, Frame]] = []

    @property
    def model(self) -> ServedModel:
        """The model whose tags these are."""
        return self._tagger.model

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is to come."""
        return self.exit_status is not None

    # What arrives

    def note(self, name: str, doc: Mapping[str, Any]) -> None:
        """Note a document of the run: which events arrived, so that it is known which did not."""
        self.heard = time.monotonic()
        if name == "descriptor":
            self._streams[doc["uid"]] = str(doc.get("name", "primary"))
        elif name == "event":
            self._events[doc["descriptor"]].add(doc["seq_num"])
        elif name == "event_page":
            self._events[doc["descriptor"]].update(doc["seq_num"])
        elif name == "stream_datum":
            numbers = doc["seq_nums"]
            self._events[doc["descriptor"]].update(range(numbers["start"], numbers["stop"]))

    def end(self, exit_status: ExitStatus, reason: str = "") -> None:
        """Say that nothing more is to come, and how the derived run ends."""
        if not self.is_ending:
            self.exit_status, self.reason, self._ended = exit_status, reason, time.monotonic()

    def missing(self, stop: Mapping[str, Any]) -> str:
        """Return in words which events did not arrive that the stop document counts; empty if all did."""
        arrived: defaultdict[str, set[int]] = defaultdict(set)
        for descriptor, numbers in self._events.items():
            arrived[self._streams.get(descriptor, "")] |= numbers
        lost = {
            stream: int(count) - len(arrived[stream])
            for stream, count in (stop.get("num_events") or {}).items()
            if int(count) > len(arrived[stream])
        }
        said = (f"{lost[stream]} of {stop['num_events'][stream]} events of {stream!r}" for stream in lost)
        return f"{', '.join(said)} did not arrive over the bus" if lost else ""

    # What goes out

    def emit(self, all_of_them: bool = False) -> None:
        """Send the rows that are known by now; those of frames that may be readable later at the end only."""
        status = documents.column(self._tagger.name, "status")
        known: dict[int, dict[str, Any]] = {}
        for row in self._tagger.rows(self.uid, all_of_them):
            number = self._number(row)
            self._withheld.pop(number, None)
            (self._withheld if row[status] == "unreadable" else known)[number] = row
        self._emit(known)

    def look_again(self, patience: float) -> bool:
        """Look once more at frames that could not be read; return whether the rows are complete.

        Parameters
        ----------
        patience : float
            Seconds after the end of the run for which files are looked for.
        """
        frames = self._tagger.unread(self.uid) if self._withheld else {}
        wanted = [(n, frames[place]) for n, row in self._withheld.items() if (place := self._place(row)) in frames]
        given_up = time.monotonic() - self._ended > patience
        if not wanted or (given_up and self._asked is None):
            self._emit(self._withheld)
            self._withheld = {}
            return True
        if self._asked is None and time.monotonic() >= self._next_look:
            self._looked_at = wanted[:_FEW]
            self._asked = self._tagger.tag_later([frame for _, frame in self._looked_at])
        elif self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            self._take(asked)
        return False

    def _take(self, asked: Future[list[Outcome]]) -> None:
        try:
            outcomes = asked.result()
        except (Exception, CancelledError):  # the frames stay what they are
            outcomes = []
        read: dict[int, dict[str, Any]] = {}
        for (number, _), outcome in zip(self._looked_at, outcomes, strict=False):
            if not isinstance(outcome, NotReady):
                tagging = finish(outcome, self.model.device)
                read[number] = documents.row(self._tagger.name, self.model.taxonomy, tagging)
                self._withheld.pop(number)
        self._emit(read)
        if not read:
            self._next_look = time.monotonic() + _AGAIN

    def close(self) -> list[Document] | None:
        """Send the stop document; return the whole derived run, to be stored, or None if the run had no frames."""
        self._tagger("stop", {"run_start": self.uid})
        self._tagger.forget(self.uid)
        if self._derived is None:
            return None
        exit_status = self.exit_status or "success"
        self._send(*self._derived.stop(exit_status, self.reason))
        rows = [self._rows[number] for number in sorted(self._rows)]
        summary = summarise(pd.DataFrame(rows), self._about()["configuration"], source="live", derived=True)
        return documents.compose(
            self.uid,
            rows,
            **self._about(),
            summary=summary,
            uid=self._derived.uid,
            at=self._derived.at,
            exit_status=exit_status,
            reason=self.reason,
        )

    def _emit(self, rows: Mapping[int, dict[str, Any]]) -> None:
        if not rows:
            return
        if self._derived is None:
            uid = str(uuid5(NAMESPACE_URL, f"{self.uid}/serve/{self._tagger.name}/{self.model.sha256}"))
            about = self._about()
            summary = documents.identity(about["configuration"]) | {"name": self._tagger.name, "source": "live"}
            self._derived = DerivedRun(self.uid, **about, summary=summary, uid=uid)
            self._send("start", self._derived.start)
            self._send("descriptor", self._derived.descriptor)
        self._rows.update(rows)
        for few in batches(rows.items(), _PAGE):
            self._send(*self._derived.page([row for _, row in few], [number for number, _ in few]))

    def _about(self) -> dict[str, Any]:
        name, taxonomy = self._tagger.name, self.model.taxonomy
        return {
            "name": name,
            "columns": documents.data_keys(name, taxonomy),
            "configuration": documents.configuration(name, self.model),
            "configuration_keys": documents.configuration_keys(name, taxonomy),
        }

    def _number(self, row: Mapping[str, Any]) -> int:
        """Return the sequence number of a row; a frame that the RunEngine took again keeps its own."""
        _, *place = self._place(row)
        return self._numbers.setdefault(tuple(place), len(self._numbers) + 1)

    def _place(self, row: Mapping[str, Any]) -> Place:
        event, key, number, index = (row[documents.column(self._tagger.name, each.suffix)] for each in documents.FRAME)
        return event, key, number, index
