"""Writes the summary of each run into a catalogue, after the run, in a thread next to the RunEngine's.

The catalogue may be slow, unreachable or full: the scan never waits for it. A summary that it does not accept is kept
on this machine.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..catalog import Catalog
from ..documents import TagRows, summarise, tagger_name
from ..errors import CatalogError
from .kept import keep
from .summarise import write_if_complete

__all__ = ["LiveSummary"]

logger = logging.getLogger("bluesky_xtag")


class LiveSummary:
    """A document callback that writes summaries of runs.

    Parameters
    ----------
    catalog : Catalog
        The catalogue in which another subscriber stores the runs.
    backup : Path
        Directory for summaries that the catalogue does not accept.
    patience : float
        Seconds to wait until a run is complete in the catalogue.
    """

    def __init__(self, catalog: Catalog, backup: Path, patience: float = 60.0) -> None:
        self.backup = backup
        self._catalog = catalog
        self._patience = patience
        self._rows = _RowsOfRuns(self._close)
        self._unstored: dict[str, tuple[list[dict[str, Any]], Mapping[str, Any]]] = {}  # rows of closed runs
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="xtag-summaries", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __call__(self, name: str, doc: Any) -> None:
        """Collect the rows of a run, and pass them on when it stops. This method never raises and never waits."""
        try:
            self._rows(name, doc)
        except Exception:
            logger.exception("a %s document could not be used for the summary of its run", name)

    def _close(self, run: str, rows: list[dict[str, Any]], configuration: Mapping[str, Any]) -> None:
        """Take the rows of a run that ended, and its newest configuration."""
        self._unstored[run] = (rows, configuration)
        self._queue.put(run)

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until the summaries of all runs so far are stored or kept. Return False if the time is over before."""
        until = time.monotonic() + timeout
        while self._unstored and time.monotonic() < until:
            time.sleep(0.02)
        return not self._unstored

    def close(self, timeout: float = 5.0) -> None:
        """Finish. Summaries that the catalogue has not accepted by then are kept on this machine."""
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
                "the summary of run %s is neither stored (%s) nor kept in %s; `xtag summarise` makes it from the rows",
                run,
                reason,
                self.backup,
            )
        else:
            logger.warning(
                "the summary of run %s is not in the catalogue (%s); it is kept in %s, from where "
                "`xtag recover CATALOG %s` stores it",
                run,
                reason,
                path,
                self.backup,
            )


class _RowsOfRuns(TagRows):
    """Collects the rows of open runs.

    Parameters
    ----------
    close : callable
        Takes a run that ended, its rows with their `seq_num`, and the configuration in their descriptor.
    """

    def __init__(self, close: Callable[[str, list[dict[str, Any]], Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._close = close
        self._runs: dict[str, list[dict[str, Any]]] = {}
        self._configurations: dict[str, Mapping[str, Any]] = {}

    def declare(self, run: str, doc: Mapping[str, Any]) -> None:
        """Keep the newest configuration."""
        self._configurations[run] = doc["configuration"][tagger_name(doc["data_keys"])]["data"]
        self._runs.setdefault(run, [])

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Keep a row."""
        self._runs[run].append({"seq_num": number, **data})

    def end(self, run: str) -> None:
        """Hand over the rows of a run that has any stream of them."""
        if run in self._runs:
            self._close(run, self._runs.pop(run), self._configurations.pop(run))
