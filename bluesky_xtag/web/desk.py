"""Takes corrections from pages, and stores them one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..catalog import Catalog
from ..errors import XTagError, XTagValueError
from ..review import RunState, Words, correct_all
from .frame_index import FrameIndex
from .run_frames import RunFrames

__all__ = ["CorrectionDesk"]

_REQUEST = re.compile(r"[0-9A-Za-z-]{8,64}")
_MOST = 10_000  # frames of one correction
_AT_ONCE = 1000  # corrections
_LONGEST = 2000  # characters of a note
_STATES = 16  # runs
_NAME = 100  # characters of a person's name


class CorrectionDesk:
    """Stores what people say about frames on a page.

    Each correction comes with an id that the page gave it. One that is stored already is not stored again, so that a
    page that got no answer asks once more, also after the server was started anew. What waits is stored together, with
    one derived run for each run, so a person who is fast does not wait for the catalogue.

    Parameters
    ----------
    catalog : Catalog
        Where corrections are stored.
    index : FrameIndex
        Is told what was said.
    changed : callable
        Called after each change.
    """

    def __init__(self, catalog: Catalog, index: FrameIndex, changed: Callable[[], None]) -> None:
        self._catalog = catalog
        self._index = index
        self._changed = changed
        self._states: dict[str, RunState] = {}  # of the runs that were corrected last; used by the pool's thread
        self._pool = ThreadPoolExecutor(1, "xtag-corrections")

    def close(self) -> None:
        """Store what waits, and end."""
        self._pool.shutdown(wait=True)

    def take(self, asked: Mapping[str, Any]) -> Future[list[dict[str, str]]]:
        """Store corrections, in their order.

        Parameters
        ----------
        asked : mapping
            `corrections`, a list of objects with `id`, `frames` (pairs of the uid of a run and a position in it), `by`,
            and either `add`, `remove` (lists of tags), `note` and `confirm` (all other tags are right as shown), or
            `retracts` (the id of a correction of these frames that is taken back).

        Returns
        -------
        concurrent.futures.Future of list of dict
            For each correction its `id` and the `problem` for which it is not stored, "" if it is stored. The future
            raises XTagError if the catalogue did not store everything; the same call stores the rest.

        Raises
        ------
        XTagValueError
            The request is none of these; nothing is stored.
        """
        corrections = asked.get("corrections")
        if not isinstance(corrections, list) or not 0 < len(corrections) <= _AT_ONCE:
            raise XTagValueError(f"`corrections` must be a list of 1 to {_AT_ONCE} corrections")
        ids = [_request(each) for each in corrections]
        return self._pool.submit(self._store, dict(zip(ids, corrections, strict=True)))

    def _store(self, corrections: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
        problems: dict[str, str] = {}
        words: dict[str, list[Words]] = {}
        try:
            for name, each in corrections.items():
                try:
                    for run, said in self._words(name, each).items():
                        words.setdefault(run.uid, []).append(said)
                except XTagValueError as error:
                    problems[name] = str(error)
            for uid, said in words.items():
                with self._index.paused():
                    # Taken out, so that after an error it is read anew.
                    state = self._states.pop(uid, None)
                    found, state = correct_all(self._catalog.find(uid) if state is None else state, said)
                self._states[uid] = state
                while len(self._states) > _STATES:
                    del self._states[next(iter(self._states))]
                problems |= {each.request: problem for each, problem in zip(said, found, strict=True) if problem}
                self._index.correct(uid, state.history)
        except XTagError:
            raise
        except Exception as error:  # clients of catalogues raise anything
            raise XTagError(f"the catalogue did not store it ({type(error).__name__}: {error})") from error
        finally:
            self._changed()
        return [{"id": name, "problem": problems.get(name, "")} for name in corrections]

    def _words(self, name: str, asked: Mapping[str, Any]) -> dict[RunFrames, Words]:
        """Return what a correction says about each run; XTagValueError if it cannot be meant."""
        by, note = _text(asked, "by", _NAME), _text(asked, "note", _LONGEST)
        retracts = _text(asked, "retracts", _NAME)
        add, remove = _tags(asked, "add"), _tags(asked, "remove")
        found = self._by_run(asked.get("frames"))
        for run in found:
            if unknown := [tag for tag in (*add, *remove) if tag not in run.thresholds]:
                raise XTagValueError(
                    f"the model of scan {run.about['scan_id']} has no tag {unknown[0]}: choose frames of other runs"
                )
        return {
            run: Words(
                frames=[run.row(position) for position in positions],
                add=add,
                remove=remove,
                by=by,
                note=note,
                confirm=asked.get("confirm") is True,
                request=name,
                retracts=retracts,
            )
            for run, positions in found.items()
        }

    def _by_run(self, frames: Any) -> dict[RunFrames, list[int]]:
        if not isinstance(frames, list) or not 0 < len(frames) <= _MOST:
            raise XTagValueError(f"choose 1 to {_MOST} frames")
        found: dict[RunFrames, list[int]] = {}
        for each in frames:
            match each:
                case [str(uid), int(position)] if (run := self._run(uid)) and 0 <= position < len(run):
                    found.setdefault(run, []).append(position)
                case _:
                    raise XTagValueError(
                        f"{each!r} is not a frame of this catalogue: give the run's uid and a position"
                    )
        return found

    def _run(self, uid: str) -> RunFrames | None:
        """Return a run, which the index may not have read yet: a server that was started anew gets what waited."""
        try:
            return self._index.get(uid) or self._index.read_again(uid)
        except KeyError:
            return None


def _request(asked: Any) -> str:
    value = asked.get("id") if isinstance(asked, Mapping) else None
    if not isinstance(value, str) or not _REQUEST.fullmatch(value):
        raise XTagValueError("a correction needs an `id` of 8 to 64 letters and digits")
    return value


def _text(asked: Mapping[str, Any], name: str, longest: int) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str) or len(value) > longest:
        raise XTagValueError(f"`{name}` must be a text of at most {longest} characters")
    return value


def _tags(asked: Mapping[str, Any], name: str) -> list[str]:
    value = asked.get(name, [])
    if not isinstance(value, Iterable) or isinstance(value, str) or not all(isinstance(tag, str) for tag in value):
        raise XTagValueError(f"`{name}` must be a list of tags")
    return list(value)
