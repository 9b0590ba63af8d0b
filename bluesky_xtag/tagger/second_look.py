"""Tags the frames that could not be read while their scan ran, as soon as their file can be opened.

A file that its writer holds open without SWMR opens after the scan. Its frames are then tagged where live frames are,
while none of these waits. They are stored in a derived run that has all rows of the run; the other rows are the live
ones.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from .. import documents
from ..documents import Tagging, TagRows, summarise
from ..errors import CatalogError
from ..frames import Frame
from .scoring import NotReady, Outcome, batches
from .statistics import Statistics

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..model import ServedModel

__all__ = ["SecondLook"]

logger = logging.getLogger("bluesky_xtag")

_TOGETHER = 4  # frames; a frame of the next scan never waits for more
_LONGEST_PAUSE = 1.0  # seconds between two looks

TagLater = Callable[[Sequence[Frame]], Future[list[Outcome]]]


@dataclass(eq=False)
class _Run:
    """A run that ended, its rows, and its frames that could not be read."""

    uid: str
    rows: list[dict[str, Any]]
    frames: list[Frame] = field(default_factory=list)
    ended: float = field(default_factory=time.monotonic)
    tagged: list[Tagging] = field(default_factory=list)
    held: str = ""


class SecondLook(TagRows):
    """A document callback that tags what could not be read in runs that ended, and stores the tags.

    Parameters
    ----------
    catalog : Catalog
        The catalogue in which another subscriber stores the runs.
    name : str
        The tagger's name.
    model : ServedModel
        The tagger's model.
    tag : callable
        Tags a few frames when no frame of a scan waits.
    statistics : Statistics
        Where they are counted.
    patience : float
        Seconds for which frames are looked for whose file is not held by its writer, and catalogues are tried. A file
        that is held is waited for as long as the session lasts.
    """

    def __init__(
        self,
        catalog: Catalog,
        name: str,
        model: ServedModel,
        tag: TagLater,
        statistics: Statistics,
        patience: float = 30.0,
    ) -> None:
        super().__init__()
        self._catalog = catalog
        self._name = name
        self._model = model
        self._tag = tag
        self._statistics = statistics
        self._patience = patience
        self._rows: dict[str, dict[int, dict[str, Any]]] = {}
        self._unread: dict[str, dict[tuple[str, str, int, int], Frame]] = {}
        self._queue: queue.SimpleQueue[_Run | None] = queue.SimpleQueue()
        self._left: list[_Run] = []
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="xtag-second-look", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __call__(self, name: str, doc: Any, validate: bool = False) -> Any:
        """Collect the rows of a run. This method never raises and never waits."""
        try:
            super().__call__(name, doc, validate)
        except Exception:
            logger.exception("a %s document could not be used for the frames to look at again", name)

    def keep(self, frame: Frame) -> None:
        """Take a frame of an open run whose pixels could not be read."""
        self._unread.setdefault(frame.id.run, {})[_place(frame)] = frame

    def close(self, timeout: float = 5.0) -> None:
        """Look for the last time, and say what stays without tags."""
        atexit.unregister(self.close)
        self._closing = True
        self._queue.put(None)
        self._thread.join(timeout)
        for run in list(self._left):
            self._give_up(run, "the session ended first")

    # What the router calls

    def declare(self, run: str, doc: Mapping[str, Any]) -> None:
        """Take the descriptor of the rows."""
        self._rows.setdefault(run, {})

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Keep a row."""
        self._rows[run][number] = dict(data)

    def end(self, run: str) -> None:
        """Queue a run that has rows of frames that could not be read."""
        rows = [row for _, row in sorted(self._rows.pop(run, {}).items())]
        status = documents.column(self._name, "status")
        if any(row.get(status) == "unreadable" for row in rows):
            self._queue.put(_Run(run, rows))
        else:
            self._unread.pop(run, None)

    # The thread

    def _work(self) -> None:
        pause, last = _LONGEST_PAUSE, False
        while not last:
            try:
                run = self._queue.get(timeout=pause if self._left else None)
            except queue.Empty:
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause, last = 0.02, run is None
                if run is not None:
                    time.sleep(pause)  # the frame of the last row may still be on its way to `keep`
                    self._choose_frames(run)
                    self._left.append(run)
            for run in list(self._left):
                self._look_safely(run)

    def _look_safely(self, run: _Run) -> None:
        try:
            done = self._look(run)
        except CancelledError:
            return
        except Exception as error:
            logger.debug("run %s", run.uid, exc_info=True)
            self._give_up(run, f"{type(error).__name__}: {error}")
        else:
            if done and run in self._left:
                self._left.remove(run)

    def _choose_frames(self, run: _Run) -> None:
        unread = self._unread.pop(run.uid, {})
        status = documents.column(self._name, "status")
        wanted = {self._place_of(row) for row in run.rows if row[status] == "unreadable"}
        run.frames = [frame for place, frame in unread.items() if place in wanted]

    def _look(self, run: _Run) -> bool:
        """Tag what can be read by now; return whether the run is done."""
        left: list[Frame] = []
        waiting = False
        run.held = ""
        for few in batches(run.frames, _TOGETHER):
            if waiting:
                left += few
                continue
            for frame, outcome in zip(few, self._tag(few).result(timeout=60), strict=True):
                if isinstance(outcome, NotReady):
                    run.held = outcome.held
                    left.append(frame)
                    waiting = True
                else:
                    run.tagged.append(outcome)
        run.frames = left
        patient = not self._closing and time.monotonic() - run.ended < self._patience
        if run.frames and (run.held or patient):
            return False
        ok = [tagging for tagging in run.tagged if tagging.status == "ok"]
        if not ok:
            logger.info("none of the frames that could not be read in run %s could be read later", run.uid)
            return True
        try:
            return self._store(run, len(ok)) or not patient
        except CatalogError as error:
            if patient:
                return False
            self._give_up(run, str(error))
            return True

    def _store(self, run: _Run, found: int) -> bool:
        """Store the rows as a derived run, and the summary with the run itself; return False if it is not there yet."""
        import pandas as pd

        from ..catalog import store
        from ..search import summary_of, write_if_complete

        if not self._catalog.holds_whole(run.uid):
            return False
        stored = self._catalog.find(run.uid)
        if summary_of(stored) is None and time.monotonic() - run.ended < self._patience:
            return False  # the live summary is on its way; it must not come last
        columns = documents.data_keys(self._name, self._model.taxonomy)
        later = {_id_of(tagging): self._row(tagging) for tagging in run.tagged}
        rows = [{column: later.get(self._place_of(row), row)[column] for column in columns} for row in run.rows]
        configuration = documents.configuration(self._name, self._model)
        summary = summarise(pd.DataFrame(rows), configuration, source="replay", derived=True)
        derived = store(
            self._catalog,
            documents.compose(
                run.uid,
                rows,
                name=self._name,
                columns=columns,
                configuration=configuration,
                configuration_keys=documents.configuration_keys(self._name, self._model.taxonomy),
                summary=summary,
                uid=str(uuid5(NAMESPACE_URL, f"{run.uid}/second look/{self._name}/{self._model.sha256}")),
            ),
        )
        write_if_complete(self._catalog, run.uid, summary | {"derived": False})
        self._statistics.tagged_later += found
        logger.info("run %s: %d frames were tagged after the run, in the derived run %s", run.uid, found, derived)
        return True

    def _row(self, tagging: Tagging) -> dict[str, Any]:
        return documents.row(self._name, self._model.taxonomy, tagging)

    def _place_of(self, row: Mapping[str, Any]) -> tuple[str, str, int, int]:
        """Return which frame a row belongs to."""
        event, key, number, index = (row[documents.column(self._name, each.suffix)] for each in documents.FRAME)
        return str(event), str(key), int(number), int(index)

    def _give_up(self, run: _Run, reason: str) -> None:
        if run not in self._left:
            return
        self._left.remove(run)
        logger.warning(
            "%d frames of run %s could not be read while it ran, and are not tagged since (%s): "
            "`xtag replay CATALOG --runs %s` tags them",
            *(len(run.frames) + len(run.tagged), run.uid, reason, run.uid),
        )


def _place(frame: Frame) -> tuple[str, str, int, int]:
    return frame.id.event, frame.id.key, frame.id.seq_num, frame.id.index


def _id_of(tagging: Tagging) -> tuple[str, str, int, int]:
    return tagging.frame.event, tagging.frame.key, tagging.frame.seq_num, tagging.frame.index
