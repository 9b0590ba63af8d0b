"""Tags runs of RunEngines in other processes, and gives their rows out as derived runs."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from event_model import NumpyEncoder

from ...catalog import StoredCatalog, as_catalog, store
from ...documents import Document
from ...errors import XTagError, XTagValueError
from ...model import write_atomically
from ...search import default_directory
from .bus import Bus
from .bus_tagger import BusTagger
from .served_run import ServedRun

__all__ = ["RunService"]

logger = logging.getLogger("bluesky_xtag")

_WAIT = 0.1  # seconds for documents, then rows are looked at
_TRIES = (1.0, 5.0, 0.0)  # seconds between attempts to store a derived run
_KNOWN = 1024  # runs that were passed over, of which that was said


class RunService:
    """Tags the runs that a bus brings. Their rows go to the same bus and to a catalogue, as derived runs.

    A run that began before the service is passed over. A frame gets its row as soon as it is scored; a frame whose file
    could not be read by its deadline is looked at again after the run.

    Parameters
    ----------
    bus : Bus
        Brings the documents.
    catalog : CatalogOfBlueskyRuns, Container or Broker, optional
        Gets each derived run when it is complete.
    silence : float
        Seconds without a document of a run after which its RunEngine counts as gone: the derived run ends as "abort".
    patience : float
        Seconds after a run for which files are looked for that could not be read.
    backup : str or Path, optional
        Directory in which derived runs are kept that the catalogue does not take, for `xtag recover`; the user's data
        directory if None.
    deadline : float
        Seconds for a frame to be scored, then it is late.
    **options
        As of `Tagger`, and ``roots``: directories below which files may be read that documents name.

    Attributes
    ----------
    tagger : BusTagger
        The tagger.
    runs : int
        How many derived runs were completed.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        catalog: StoredCatalog | None = None,
        silence: float = 3600.0,
        patience: float = 30.0,
        backup: str | Path | None = None,
        deadline: float = 60.0,
        **options: Any,
    ) -> None:
        for name, value in (("silence", silence), ("patience", patience)):
            if not value >= 0:
                raise XTagValueError(f"{name}={value}: give a number of seconds, 0 or more")
        self._bus = bus
        self._place = None if catalog is None else as_catalog(catalog)
        self._silence, self._patience = silence, patience
        self._backup = default_directory() if backup is None else Path(backup).expanduser()
        self.tagger = BusTagger(deadline=deadline, **options)
        self.runs = 0
        self._runs: dict[str, ServedRun] = {}
        self._run_of: dict[str, str] = {}  # by descriptor
        self._passed_over: dict[str, bool] = {}
        self._dtypes: dict[str, dict[str, np.dtype]] = {}
        self._storing = ThreadPoolExecutor(1, "xtag-store")

    def run(self, stopped: threading.Event, grace: float = 5.0) -> None:
        """Serve until `stopped` is set; then end the runs that are open, within `grace` seconds.

        Parameters
        ----------
        stopped : threading.Event
            May be set from any thread, or by a handler of signals.
        grace : float
            Seconds for frames that wait to be scored at the end.
        """
        try:
            while not stopped.is_set():
                for name, doc in self._bus.receive(_WAIT):
                    self(name, doc)
                self.look()
        finally:
            self.close("xtag serve was stopped", grace)

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document; whatever is in it, this never raises."""
        try:
            self._take(name, doc)
        except Exception:
            logger.exception("a %s document of the bus could not be used", name)

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            if "original_run_uid" in doc:  # one of ours, or of others like us
                self._pass_over(doc["uid"], silently=True)
            elif doc["uid"] not in self._runs:
                self._runs[doc["uid"]] = ServedRun(doc["uid"], self.tagger, self._send)
                self.tagger(name, doc)
            return
        uid = doc.get("run_start") or self._run_of.get(doc.get("descriptor", ""))
        run = self._runs.get(uid) if uid else None
        if uid and (run is None or run.is_ending):
            self._pass_over(uid)
            return
        if run is not None and name == "descriptor":
            self._run_of[doc["uid"]] = run.uid
            self._dtypes[doc["uid"]] = _dtypes_of(doc)
        if run is not None:
            run.note(name, doc)
        if run is not None and name == "stop":
            missing = run.missing(doc)
            if missing:
                logger.warning("run %s: %s", uid, missing)
            run.end("success", missing)  # the tagger hears of the end when the rows are out
        else:
            self.tagger(name, self._with_arrays(name, doc))

    def look(self, force: bool = False) -> None:
        """Send the rows that are known by now, and complete the runs that have ended; with `force`, whatever waits."""
        for run in list(self._runs.values()):
            silent = time.monotonic() - run.heard
            if not run.is_ending and silent > self._silence:
                run.end("abort", f"nothing was heard of its RunEngine for {silent:.0f} s")
                logger.warning("run %s ends here: %s", run.uid, run.reason)
            try:
                run.emit(all_of_them=force)
                all_known = not self.tagger.unwritten(run.uid)
                if run.is_ending and all_known and run.look_again(0.0 if force else self._patience):
                    self._complete(run)
            except Exception:
                logger.exception("the rows of run %s cannot be given out", run.uid)
                self.tagger("stop", {"run_start": run.uid})
                self._forget(run)

    def close(self, reason: str, grace: float = 5.0) -> None:
        """End the runs that are open as "abort", store them, and leave the bus."""
        for run in self._runs.values():
            run.end("abort", reason)
        end = time.monotonic() + grace
        while self._runs and time.monotonic() < end:
            self.look()
            time.sleep(0.02)
        while self._runs and time.monotonic() < end + grace:
            self.look(force=True)
            time.sleep(0.02)
        self.tagger.uninstall()
        self._storing.shutdown()
        self._bus.close()

    def _complete(self, run: ServedRun) -> None:
        whole = run.close()
        self._forget(run)
        if whole is None:
            return
        self.runs += 1
        (_, start), *_, (_, stop) = whole
        count, ended = start["xtag"]["frames"], stop["exit_status"]
        logger.info("run %s: %d frames in the derived run %s (%s)", run.uid, count, start["uid"], ended)
        if self._place is not None:
            self._storing.submit(self._store, whole)

    def _store(self, whole: Sequence[Document]) -> None:
        assert self._place is not None
        uid, trouble = whole[0][1]["uid"], ""
        for pause in _TRIES:
            try:
                store(self._place, whole)
                return
            except XTagError as error:
                trouble = str(error)
                time.sleep(pause)
        try:
            self._backup.mkdir(parents=True, exist_ok=True)
            path = self._backup / f"{uid}.jsonl"
            lines = [json.dumps({"name": name, "doc": doc}, cls=NumpyEncoder) for name, doc in whole]
            with write_atomically(path) as new:
                new.write_text("\n".join(lines) + "\n")
        except OSError as error:
            logger.error("the derived run %s is lost: %s; and it could not be kept (%s)", uid, trouble, error)
        else:
            logger.warning("%s. It is kept in %s: `xtag recover CATALOG %s` stores it", trouble, path, self._backup)

    def _forget(self, run: ServedRun) -> None:
        self._runs.pop(run.uid, None)
        for descriptor in [each for each, uid in self._run_of.items() if uid == run.uid]:
            del self._run_of[descriptor]
            self._dtypes.pop(descriptor, None)
        self._passed_over[run.uid] = True

    def _send(self, name: str, doc: Mapping[str, Any]) -> None:
        try:
            self._bus.send(name, doc)
        except Exception as error:  # the catalogue gets it all the same
            logger.warning("a %s document of a derived run did not reach the bus: %s", name, error)

    def _pass_over(self, uid: str, silently: bool = False) -> None:
        """Say once that a run is not tagged, unless it was tagged here or is itself one of tags."""
        if uid in self._passed_over:
            return
        self._passed_over[uid] = True
        for oldest in list(self._passed_over)[:-_KNOWN]:
            del self._passed_over[oldest]
        if not silently:
            logger.warning(
                "run %s began before this service joined the bus: it is passed over. `xtag replay CATALOG --runs %s` "
                "tags it later",
                *(uid, uid),
            )

    def _with_arrays(self, name: str, doc: dict[str, Any]) -> dict[str, Any]:
        """Return an event whose arrays came as lists with arrays of the type that their data key declares."""
        dtypes = self._dtypes.get(doc.get("descriptor", ""), {}) if name in ("event", "event_page") else {}
        data = {key: doc["data"][key] for key in dtypes if isinstance(doc["data"].get(key), list)}
        if not data:
            return doc
        made: dict[str, Any] = {}
        for key, value in data.items():
            dtype = dtypes[key]
            with suppress(ValueError, TypeError, OverflowError):  # the row says what is wrong with it
                made[key] = [np.asarray(each, dtype) for each in value] if name != "event" else np.asarray(value, dtype)
        return {**doc, "data": {**doc["data"], **made}}


def _dtypes_of(descriptor: Mapping[str, Any]) -> dict[str, np.dtype]:
    """Return the types of numbers that the data keys of arrays declare."""
    found = {}
    for key, about in descriptor["data_keys"].items():
        if about.get("dtype") == "array" and "external" not in about and isinstance(about.get("dtype_numpy"), str):
            with suppress(TypeError, ValueError):
                dtype = np.dtype(about["dtype_numpy"])
                if dtype.kind in "biuf":
                    found[key] = dtype
    return found
