"""Writes the summary of each run into a catalogue, after the run, beside the RunEngine's thread.

The catalogue may be slow, away or full: the scan never waits for it. What it does not take is kept on this machine.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import event_model
import pandas as pd

from ..documents import STREAM, summarise, tagger_name
from ..errors import CatalogError
from .kept import keep
from .summarise import write_if_complete

__all__ = ["LiveSummary"]

logger = logging.getLogger("bluesky_xtag")


class LiveSummary:
    """A document callback that writes summaries of runs.

    Parameters
    ----------
    catalog : catalogue or Broker
        Where another subscriber stores the runs.
    backup : Path
        Directory for summaries that the catalogue does not take.
    patience : float
        Seconds to wait for a run to be complete in the catalogue.
    """

    def __init__(self, catalog: Any, backup: Path, patience: float = 60.0) -> None:
        self.backup = backup
        self._catalog = catalog
        self._patience = patience
        self._runs: dict[str, list[dict[str, Any]]] = {}  # rows of open runs
        self._streams: dict[str, tuple[str, Mapping[str, Any]]] = {}  # run and configuration, by descriptor
        self._unstored: dict[str, tuple[list[dict[str, Any]], Mapping[str, Any]]] = {}  # rows of closed runs
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="xtag-summaries", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Collect the rows of a run, and hand them over when it stops; never raises, never waits."""
        try:
            self._take(name, doc)
        except Exception:
            logger.exception("a %s document could not be used for the summary of its run", name)

    def _take(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "descriptor" and doc["name"] == STREAM:
            configuration = doc["configuration"][tagger_name(doc["data_keys"])]["data"]
            self._streams[doc["uid"]] = (doc["run_start"], configuration)
            self._runs.setdefault(doc["run_start"], [])
        elif name in ("event", "event_page") and doc["descriptor"] in self._streams:
            events = [doc] if name == "event" else event_model.unpack_event_page(cast("event_model.EventPage", doc))
            run, _ = self._streams[doc["descriptor"]]
            self._runs[run] += [{"seq_num": event["seq_num"], **event["data"]} for event in events]
        elif name == "stop" and doc["run_start"] in self._runs:
            run = doc["run_start"]
            mine = {uid: each for uid, (of, each) in self._streams.items() if of == run}
            for uid in mine:
                del self._streams[uid]
            self._unstored[run] = (self._runs.pop(run), [*mine.values()][-1])
            self._queue.put(run)

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until the summaries of all runs so far are stored or kept; return False if that takes longer."""
        until = time.monotonic() + timeout
        while self._unstored and time.monotonic() < until:
            time.sleep(0.02)
        return not self._unstored

    def close(self, timeout: float = 5.0) -> None:
        """Finish: what the catalogue has not taken by then is kept on this machine."""
        atexit.unregister(self.close)
        self._patience = 0.0
        self._queue.put(None)
        self._thread.join(timeout)
        for run in list(self._unstored):
            self._keep(run, "the session ended first")

    def _work(self) -> None:
        while (run := self._queue.get()) is not None:
            try:
                self._store(run)
            except Exception as error:
                self._keep(run, error)
            self._unstored.pop(run, None)

    def _store(self, run: str) -> None:
        """Write a summary when the run is complete: while it is being written, one writer could undo the other."""
        found = self._summary(run)
        begin, pause = time.monotonic(), 0.02
        while not write_if_complete(self._catalog, run, found):
            if time.monotonic() - begin > self._patience:
                raise CatalogError("the run is not complete there")
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _summary(self, run: str) -> dict[str, Any]:
        rows, configuration = self._unstored[run]
        return summarise(pd.DataFrame(rows).drop_duplicates("seq_num", keep="last"), configuration)

    def _keep(self, run: str, reason: object) -> None:
        try:
            path = keep(self.backup, run, self._summary(run))
        except Exception:
            logger.exception(
                "the summary of run %s is neither stored (%s) nor kept in %s; `xtag index` makes it from the rows",
                run,
                reason,
                self.backup,
            )
        else:
            logger.warning(
                "the summary of run %s is not in the catalogue (%s); it is kept in %s, from where "
                "`xtag index CATALOG --recover %s` stores it",
                run,
                reason,
                path,
                self.backup,
            )
