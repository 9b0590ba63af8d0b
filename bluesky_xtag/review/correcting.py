"""Corrections of stored tags by people. Each correction is a derived run, next to the tags of the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pandas as pd

from ..catalog import StoredCatalog, StoredRun, as_catalog, as_run
from ..documents import Correction
from ..errors import XTagValueError
from ..search import read_corrections
from .run_state import Frame, RunState, Words

__all__ = ["correct", "correct_all", "corrections", "retract"]


def correct(
    run: StoredRun,
    frame: Frame | list[Frame],
    add: str | Collection[str] = (),
    remove: str | Collection[str] = (),
    *,
    by: str,
    note: str = "",
    confirm: bool = False,
    request: str = "",
    catalog: StoredCatalog | None = None,
) -> str:
    """Say which tags a frame has and which it does not have. From then on `bluesky_xtag.search.tags` shows that.

    Nothing is overwritten: the correction is a derived run of its own, which also holds the model's scores. For each
    tag of a frame the last correction counts, whoever made it: a correction comes after all those that were stored when
    it was made, whatever the clocks of the machines say. If somebody else corrects the same frame at the same moment,
    and that counts, a warning says so. If the call fails, no part of the correction counts; the same call again
    completes it.

    Parameters
    ----------
    run : BlueskyRun or Header
        A run of a Tiled catalogue or of databroker that has tags.
    frame : int, (int, int), or a list of these
        The frame's row in `tags(run)`, or the sequence number of its event and its index within that.
    add : str or collection of str
        Tags that hold. A tag that the model gave may be among them; this confirms the tag.
    remove : str or collection of str
        Tags that do not hold, whether the model gave them or not.
    by : str
        Who corrects, for example initials.
    note : str
        The reason.
    confirm : bool
        Also say that all other tags are right as shown: those that the frame has and those that it does not have.
    request : str
        A name that the caller gives to this correction, for example a UUID. If a correction of the run with this name
        is stored, its uid is returned and nothing else happens, so the caller may ask as often as it likes.
    catalog : CatalogOfBlueskyRuns, Container or Broker, optional
        Where the run's derived runs are; the run's own catalogue if None.

    Returns
    -------
    str
        Uid of the derived run that holds the correction. If the newest correction of the run already says the same, the
        uid of that one.

    Raises
    ------
    XTagValueError
        There is no such frame, or there are several; a tag is not known, or is both added and removed; the call says
        nothing about the frame, or does not say who corrects.
    NoTagsError
        The run has no tags.
    CatalogError
        The catalogue did not store the correction.
    """
    state = RunState.read(run, catalog)
    words = Words(frame if isinstance(frame, list) else [frame], add, remove, by, note, confirm, request)
    last = state.history[-1].correction if state.history else ""
    if request and (stored := next((each.correction for each in state.history if each.request == request), "")):
        return stored
    said = state.corrections(words)
    newest = [each for each in state.history if each.correction == last]
    if [replace(each, time=0.0, correction="", follows=()) for each in newest] == said:
        return last
    return state.store(said)


def correct_all(
    run: StoredRun | RunState, words: Sequence[Words], *, catalog: StoredCatalog | None = None
) -> tuple[list[str], RunState]:
    """Store many corrections of a run in the order given, together where they are about different frames.

    A correction whose request is stored already is left out, so the same call may be made again after a failure.

    Parameters
    ----------
    run, catalog
        As for `correct`; or what this function returned before, which saves most requests of the catalogue.
    words : sequence of Words
        What is said. Each must have a request.

    Returns
    -------
    list of str, RunState
        Why each of `words` cannot be stored, "" if it is stored; and the run as it is now, with everything that was
        said about it in `history`.

    Raises
    ------
    NoTagsError
        The run has no tags.
    CatalogError
        The catalogue did not store something. What was stored before counts.
    """
    state = run.refresh() if isinstance(run, RunState) else RunState.read(run, catalog)
    problems, waiting = [], list[Correction]()
    for each in words:
        try:
            known = {said.request for said in (*state.history, *waiting)}
            said = [] if each.request in known else state.corrections(each, waiting)
        except XTagValueError as error:
            problems.append(str(error))
            continue
        problems.append("")
        if {one.frame for one in waiting} & {one.frame for one in said}:
            state.store(waiting, quick=True)
            waiting = []
            said = state.corrections(each)
        waiting += said
    if waiting:
        state.store(waiting, quick=True)
    return problems, state


def retract(run: StoredRun, correction: str, *, by: str, note: str = "", catalog: StoredCatalog | None = None) -> str:
    """Take a correction back, as if it had never been made. What others said about the same frames counts again.

    Nothing is removed: that the correction was taken back is stored as a derived run, too.

    Parameters
    ----------
    run : BlueskyRun or Header
        The run whose frames were corrected.
    correction : str
        What `correct` returned.
    by, note, catalog
        As for `correct`.

    Returns
    -------
    str
        Uid of the derived run that takes it back. If it was already taken back, the uid of that one.

    Raises
    ------
    XTagValueError
        The run has no such correction.
    CatalogError
        The catalogue did not store it.
    """
    state = RunState.read(run, catalog)
    for each in state.history:
        if each.retracts == correction:
            return each.correction
    return state.store(state.corrections(Words(by=by, note=note, retracts=correction)))


def corrections(run: StoredRun, *, catalog: StoredCatalog | None = None) -> pd.DataFrame:
    """Return everything that people said about the frames of a run, in the order in which it counts.

    Parameters
    ----------
    run : BlueskyRun or Header
        A run of a Tiled catalogue or of databroker.
    catalog : CatalogOfBlueskyRuns, Container or Broker, optional
        Where the run's derived runs are; the run's own catalogue if None.

    Returns
    -------
    pandas.DataFrame
        One row for each frame of each correction: `time` (seconds since 1970), `by`, `key`, `seq_num` and `index` of
        the frame, `added` and `removed` (tags, separated by spaces), `note`, and `correction` (the uid of the derived
        run).
    """
    columns = ["time", "by", "key", "seq_num", "index", "added", "removed", "note", "correction"]
    said = read_corrections(as_run(run), None if catalog is None else as_catalog(catalog))
    words = [{**each.to_dict(), "time": each.time, "correction": each.correction} for each in said]
    for each in words:
        each |= {name: " ".join(each[name]) for name in ("added", "removed")}
    return pd.DataFrame(words, columns=pd.Index(columns))
