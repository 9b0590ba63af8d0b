"""Reads the runs of a catalogue, and keeps their tagged frames in memory."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ..catalog import Catalog, Run, Where
from ..documents import PURPOSE, Correction
from ..errors import NoTagsError
from .frame_columns import FrameColumns
from .run_frames import RunFrames

__all__ = ["FrameIndex"]

logger = logging.getLogger("bluesky_xtag")

_PASSED = 100  # runs that did not change, one after the other
_OPEN = 86_400.0  # seconds after which a run without a stop document is not expected to grow
_ALL = 10**9  # runs
_CLOCKS = 3600.0  # seconds by which the clock of another machine may be late


@dataclass
class _State:
    runs: dict[str, RunFrames] = field(default_factory=dict)  # by uid, in the order of their numbers
    without: set[str] = field(default_factory=set)  # complete runs that have no tags
    version: int = 0


class FrameIndex:
    """Reads the runs of a catalogue one after the other, newest first, and keeps their frames.

    `refresh` is called from one thread; the other methods may be called from any.

    Parameters
    ----------
    catalog : Catalog
        The catalogue.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._state = _State()
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._columns: FrameColumns | None = None
        self._counted = -1  # runs in the catalogue at the last look, derived ones too
        self._looked = time.time()
        self._derived: set[str] = set()  # complete derived runs of this time that were looked at
        self._is_one_open = False  # a derived run of this time has no stop document yet

    @property
    def version(self) -> int:
        """Grows whenever a frame is added or changed."""
        return self._state.version

    @property
    def without_tags(self) -> int:
        """How many runs were seen that have no tags."""
        return len(self._state.without)

    def columns(self) -> FrameColumns:
        """Return all frames that were read so far."""
        with self._lock:
            if self._columns is None or self._columns.version != self._state.version:
                self._columns = FrameColumns(tuple(self._state.runs.values()), self._state.version)
            return self._columns

    def get(self, uid: str) -> RunFrames | None:
        """Return the frames of a run, or None if it was not read yet."""
        with self._lock:
            return self._state.runs.get(uid)

    def refresh(self, stop: threading.Event | None = None, on_read: Callable[[], None] | None = None) -> bool:
        """Read runs that are new or were not complete before; return whether anything changed.

        Parameters
        ----------
        stop : threading.Event, optional
            Ends the work early.
        on_read : callable, optional
            Called after each run that was read.
        """
        count = self._catalog.count()
        if count == self._counted and not self._is_one_open and not any(map(_may_grow, self.columns().runs)):
            return False
        before, first = self._state.version, self._counted < 0
        self._read_derived()
        passed = 0
        for run in self._catalog.newest(_ALL):
            if stop is not None and stop.is_set():
                return self._state.version != before
            known = self.get(run.uid)
            if run.uid in self._state.without or (known is not None and not _may_grow(known)):
                passed += 1
                if passed > _PASSED and not first:
                    break  # what comes now is older, and was seen at the first look
                continue
            if self._read(run) is not None and on_read is not None:
                on_read()
        self._counted = count
        return self._state.version != before

    def _read_derived(self) -> None:
        """Read the runs again that somebody corrected or replayed since the index began."""
        since = Where("time", ">=", self._looked - _CLOCKS)
        changed = dict[str, list[str]]()
        self._is_one_open = False
        for derived in self._catalog.whole().search(Where("purpose", "==", PURPOSE), since).runs():
            if derived.uid not in self._derived and derived.is_complete:
                changed.setdefault(derived.original_uid, []).append(derived.uid)
            elif not derived.stop:  # it does not count yet, and the number of runs will not tell when it does
                self._is_one_open |= time.time() - derived.start["time"] < _OPEN
        for uid, seen in changed.items():
            if self.get(uid) is not None or uid in self._state.without:
                with suppress(KeyError):
                    self.read_again(uid)
                    self._state.without.discard(uid)
            self._derived.update(seen)  # not before: a catalogue that does not answer is asked again

    def read_again(self, uid: str) -> RunFrames:
        """Read a run again, for instance after a correction; KeyError if there is no such run."""
        run = self._catalog.get(uid)
        if run is None:
            raise KeyError(uid)
        found = self._read(run, again=True)
        if found is None:
            raise KeyError(uid)
        return found

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Read no run meanwhile: the SQLite of an embedded catalogue refuses a reader who is late."""
        with self._reading:
            yield

    def correct(self, uid: str, said: Iterable[Correction]) -> None:
        """Take everything that people said about a run by now."""
        with self._reading, self._lock:
            known = self._state.runs.get(uid)
            if known is not None:
                self._state.runs[uid] = known.corrected(said)
                self._state.version += 1

    def _read(self, run: Run, again: bool = False) -> RunFrames | None:
        with self._reading:  # one at a time, so that each gets a number of its own
            return self._read_next(run, again)

    def _read_next(self, run: Run, again: bool) -> RunFrames | None:
        known = self.get(run.uid)
        number = len(self._state.runs) if known is None else known.number
        try:
            found = RunFrames.read(run, number, self._catalog)
        except NoTagsError:
            if run.stop:
                self._state.without.add(run.uid)
            return None
        except (LookupError, TypeError, ValueError) as error:  # what a stranger stored under our names
            logger.warning("Run %s is not shown: %s: %s", run.uid, type(error).__name__, error)
            self._state.without.add(run.uid)
            return None
        if known is not None and not again and (len(known), known.about) == (len(found), found.about):
            return None
        with self._lock:
            self._state.runs[run.uid] = found
            self._state.version += 1
        return found


def _may_grow(run: RunFrames) -> bool:
    """Return whether a run may get more frames."""
    return not run.about["complete"] and time.time() - run.about["time"] < _OPEN
