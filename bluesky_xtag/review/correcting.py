"""Corrections of stored tags by people. Each correction is a derived run, next to the tags of the model."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from difflib import get_close_matches
from operator import index as as_integer
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from ..catalog import Catalog, Run, StoredCatalog, StoredRun, as_catalog, as_run, store
from ..documents import (
    CORRECTION,
    MODEL,
    Correction,
    Document,
    TagTable,
    column,
    compose,
    configuration_keys,
    correction_keys,
    overlay,
    summarise,
    tagger_name,
)
from ..errors import XTagValueError
from ..model import Tag, Taxonomy
from ..search import configuration, find_tagging, own_tags, read_corrections

__all__ = ["Frame", "correct", "corrections"]

Frame = int | tuple[int, int]


def correct(
    run: StoredRun,
    frame: Frame | list[Frame],
    add: str | Collection[str] = (),
    remove: str | Collection[str] = (),
    *,
    by: str,
    note: str = "",
    confirm: bool = False,
    catalog: StoredCatalog | None = None,
) -> str:
    """Say which tags a frame has and which it does not have. From then on `bluesky_xtag.search.tags` shows that.

    Nothing is overwritten: the correction is a derived run of its own, which also holds the model's scores. For each
    tag of a frame the newest correction counts, whoever made it. If the call fails, no part of the correction counts;
    the same call again completes it.

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
    run = as_run(run)
    place = run.catalog if catalog is None else as_catalog(catalog)
    if run.is_derived:
        run = place.find(run.original_uid)
    held, history = find_tagging(run, catalog=place), read_corrections(run, place)
    table = overlay(own_tags(held), history)
    taxonomy = _taxonomy(configuration(held), tagger_name(table.columns))
    added, removed = _check_tags(add, remove, taxonomy, confirm)
    frames = frame if isinstance(frame, list) else [frame]
    original = run.uid
    rows = list(dict.fromkeys(_row(table, each, original) for each in frames))
    said = _corrections(original, table.loc[rows], taxonomy, added, removed, _person(by), note, confirm)
    last = history[-1].correction if history else ""
    if [replace(each, time=0.0, correction="") for each in history if each.correction == last] == said:
        return last
    # The same words after the same history are the same correction, so that a call after a failure finds it again.
    content = json.dumps([original, last, *(each.to_dict() for each in said)])
    uid = str(uuid5(NAMESPACE_URL, content))
    at = _begun(place, uid) or time.time()
    return store(place, _documents(held, original, table.loc[rows], said, uid, at))


def corrections(run: StoredRun, *, catalog: StoredCatalog | None = None) -> pd.DataFrame:
    """Return everything that people said about the frames of a run, oldest first.

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


def _taxonomy(settings: Mapping[str, Any], name: str) -> Taxonomy:
    return Taxonomy(tuple(Tag(str(tag), "stored", "") for tag in settings[column(name, "taxonomy")]))


def _check_tags(
    add: str | Collection[str], remove: str | Collection[str], taxonomy: Taxonomy, confirm: bool
) -> tuple[list[str], list[str]]:
    """Return the tags that hold and those that do not, each once."""
    added, removed = (
        list(dict.fromkeys(re.split(r"[\s,]+", tags.strip(" ,")) if isinstance(tags, str) and tags else tags))
        for tags in (add, remove)
    )
    for tag in (*added, *removed):
        if tag not in taxonomy.names:
            near = get_close_matches(tag, taxonomy.names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(taxonomy.names)}"
            raise XTagValueError(f"there is no tag {tag!r} in this run's tagging: {hint}")
    if both := sorted(set(added) & set(removed)):
        raise XTagValueError(f"{', '.join(both)} cannot be added and removed at once: decide for one")
    if not (added or removed or confirm):
        raise XTagValueError("nothing is said about the frame: name tags to add or to remove, or confirm what is shown")
    return added, removed


def _person(by: str) -> str:
    if not by.strip() or by.strip() == MODEL:
        raise XTagValueError(f"{by!r} does not say who corrects: give initials or a name, as in by='ab'")
    return by.strip()


def _row(table: pd.DataFrame, frame: Frame, uid: str) -> int:
    """Return the row of a frame in a table of tags."""
    shown = TagTable(table)
    if isinstance(frame, tuple):
        seq_num, index = frame
        numbers, indices = shown["frame_seq_num"], shown["frame_index"]
        rows = table.index[(numbers == seq_num) & (indices == index)].to_list()
        if len(rows) == 1:
            return rows[0]
        if len(rows):
            keys = ", ".join(f"row {row} ({shown['frame_key'].at[row]})" for row in rows)
            raise XTagValueError(f"point {seq_num}, image {index} of run {uid} is several frames: name one, {keys}")
        largest = f"its points go from {numbers.min()} to {numbers.max()}, its images from 0 to {indices.max()}"
        raise XTagValueError(f"run {uid} has no frame of point {seq_num}, image {index}: {largest}")
    try:
        row = as_integer(frame)
    except TypeError as error:
        raise XTagValueError(f"{frame!r} is not a frame: give its row in tags(run), or (seq_num, index)") from error
    if row not in table.index:
        raise XTagValueError(f"run {uid} has no row {row}: its rows go from {table.index.min()} to {table.index.max()}")
    return row


def _corrections(
    run: str,
    rows: pd.DataFrame,
    taxonomy: Taxonomy,
    added: list[str],
    removed: list[str],
    by: str,
    note: str,
    confirm: bool,
) -> list[Correction]:
    table, said = TagTable(rows), []
    for frame, accepted in zip(table.frames(run), table.accepted(), strict=True):
        shown = accepted if confirm else []
        yes = [*added, *(tag for tag in shown if tag not in (*added, *removed))]
        others = (tag for tag in taxonomy.names if tag not in (*yes, *removed)) if confirm else ()
        said.append(
            Correction(
                frame,
                added=tuple(yes),
                removed=(*removed, *others),
                by=by,
                note=note,
            )
        )
    return said


def _documents(
    held: Run, original: str, rows: pd.DataFrame, said: list[Correction], uid: str, at: float
) -> list[Document]:
    """Return the documents of a correction: the model's rows with the new tags, and what the person said."""
    name, settings = tagger_name(rows.columns), configuration(held)
    columns = correction_keys(name, _taxonomy(settings, name))
    shown = overlay(rows, said)
    for each in CORRECTION:
        shown[column(name, each.suffix)] = [each.fill(correction) for correction in said]
    told = summarise(shown, settings, source="human", derived=True) | {"said": [each.to_dict() for each in said]}
    return compose(
        original,
        [{column: row[column] for column in columns} for row in shown.to_dict("records")],
        name=name,
        columns=columns,
        configuration=settings,
        configuration_keys=configuration_keys(name, _taxonomy(settings, name)),
        summary=told,
        uid=uid,
        at=at,
    )


def _begun(catalog: Catalog, uid: str) -> float | None:
    """Return when a correction began that was not stored completely; None if there is none."""
    try:
        return float(catalog.find(uid).start["time"])
    except KeyError:
        return None
