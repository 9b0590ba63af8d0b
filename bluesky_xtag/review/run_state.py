"""A tagged run as it is, what somebody may say about it, and how that is stored: as a derived run, next to the tags."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from operator import index as as_integer
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from ..catalog import Catalog, Run, StoredCatalog, StoredRun, Where, as_catalog, as_run, catalog_errors, store
from ..documents import (
    CORRECTION,
    MODEL,
    Correction,
    Document,
    TagTable,
    began,
    column,
    compose,
    configuration_keys,
    correction_keys,
    newest,
    overlay,
    summarise,
    tagger_name,
    verdicts,
)
from ..errors import XTagValueError
from ..model import Tag, Taxonomy
from ..search import configuration, find_tagging, read_corrections

__all__ = ["Frame", "RunState", "Words"]

logger = logging.getLogger("bluesky_xtag")

Frame = int | tuple[int, int]


@dataclass(frozen=True)
class Words:
    """What somebody says about frames of a run, see `correct`.

    Parameters
    ----------
    frames : list of int or (int, int)
        The frames.
    add, remove, by, note, confirm, request
        As for `correct`.
    retracts : str
        The request of a correction that is taken back; then `frames` and the tags do not matter.
    """

    frames: Sequence[Frame] = ()
    add: str | Collection[str] = ()
    remove: str | Collection[str] = ()
    by: str = ""
    note: str = ""
    confirm: bool = False
    request: str = ""
    retracts: str = ""


@dataclass
class RunState:
    """A tagged run as it was when it was read: its tags by the model, and what people said.

    Parameters
    ----------
    place : Catalog
        Where its derived runs are.
    run : Run
        The run that has the frames.
    held : Run
        The run that holds the newest tagging.
    rows : pandas.DataFrame
        Its rows.
    history : list of Correction
        Everything that people said, in the order in which it counts.
    derived : int
        How many derived runs there were, by which it is seen that somebody stored another.
    """

    place: Catalog
    run: Run
    held: Run
    rows: pd.DataFrame
    history: list[Correction]
    derived: int

    @classmethod
    def read(cls, run: StoredRun, catalog: StoredCatalog | None) -> RunState:
        """Read a run's tagging and what was said about it; errors as of `correct`."""
        run = as_run(run)
        with catalog_errors(f"of run {run.uid}", "read"):
            place = run.catalog if catalog is None else as_catalog(catalog)
        with catalog_errors(place.name, "read"):
            if run.is_derived:
                run = place.find(run.original_uid)
            derived = _count_derived(place, run.uid)
            held, rows = find_tagging(run, catalog=place)
            return cls(place, run, held, rows, read_corrections(run, place), derived)

    def refresh(self) -> RunState:
        """Return the state as it is now: this one, if nobody stored anything in the meantime."""
        with catalog_errors(self.place.name, "read"):
            if _count_derived(self.place, self.run.uid) == self.derived:
                return self
        return self.read(self.run, self.place)

    def corrections(self, words: Words, waiting: Sequence[Correction] = ()) -> list[Correction]:
        """Return what words say, a correction for each frame; XTagValueError if they cannot be meant."""
        by = _person(words.by)
        if words.retracts:
            known = set(TagTable(self.rows).frames(self.run.uid))
            meant = [
                each
                for each in (*self.history, *waiting)
                if words.retracts in (each.request, each.correction) and not each.retracts and each.frame in known
            ]
            if not meant:
                raise XTagValueError(
                    f"run {self.run.uid} has no correction {words.retracts!r}: see corrections(run) for what it has"
                )
            return [
                Correction(each.frame, (), (), by, words.note, request=words.request, retracts=words.retracts)
                for each in meant
            ]
        table = overlay(self.rows, self.history)
        taxonomy = _taxonomy(configuration(self.held), tagger_name(table.columns))
        added, removed = _check_tags(words.add, words.remove, taxonomy, words.confirm)
        rows = list(dict.fromkeys(_row(table, each, self.run.uid) for each in words.frames))
        said = _corrections(self.run.uid, table.loc[rows], taxonomy, added, removed, by, words.note, words.confirm)
        return [replace(each, request=words.request) for each in said]

    def store(self, said: list[Correction], quick: bool = False) -> str:
        """Store corrections, one for each frame, and return the uid of the derived run that holds them.

        The same words after the same history are the same correction, so that a call after a failure finds it again.

        Parameters
        ----------
        said : list of Correction
            From `corrections`.
        quick : bool
            Do not read everything again if nobody else stored anything in the meantime.
        """
        original, follows = self.run.uid, newest(self.history)
        content = json.dumps([original, follows, *(each.to_dict() for each in said)])
        uid = str(uuid5(NAMESPACE_URL, content))
        at = _begun(self.place, uid) or time.time()
        back = [each for each in said if each.retracts]
        rows = dict(zip(TagTable(self.rows).frames(original), self.rows.index, strict=True))
        shown = overlay(self.rows, [*self.history, *back]).loc[[rows[each.frame] for each in said]]
        store(self.place, _documents(self.held, original, shown, said, follows, uid, at))
        try:
            derived = _count_derived(self.place, original) if quick else -1
            if derived == self.derived + 1:
                self.history += [replace(each, time=at, correction=uid, follows=follows) for each in said]
                self.derived = derived
                return uid
            self.derived = derived
            self.history = read_corrections(self.run, self.place)
        except Exception as error:  # clients of catalogues raise anything; the correction is stored
            logger.warning("the correction %s is stored, but whether it counts cannot be seen now (%s)", uid, error)
        else:
            _warn_if_overruled(overlay(self.rows, []), said, uid, self.history)
        return uid


def _count_derived(place: Catalog, original: str) -> int:
    return place.whole().search(Where("original_run_uid", "==", original)).count()


def _warn_if_overruled(table: pd.DataFrame, said: list[Correction], uid: str, history: list[Correction]) -> None:
    """Tell the author at once if a correction does not count: it is not found, or somebody else's comes after it."""
    counts = verdicts(TagTable(table).frames(), history)
    rows = {frame: row for row, frame in enumerate(TagTable(table).frames(said[0].frame.run))}
    found = uid in {each.correction for each in history}
    for each in said:
        verdict = counts.get(rows[each.frame])
        truth = verdict.truth if verdict is not None and found else {}
        wanted = dict.fromkeys(each.added, True) | dict.fromkeys(each.removed, False)
        if overruled := [tag for tag, holds in wanted.items() if truth.get(tag) is not holds]:
            who = f"{verdict.by} corrected it at the same time" if verdict is not None and truth else "it is not found"
            logger.warning(
                "the correction %s is stored, but for the frame %s, point %d, image %d it does not count (%s): %s; "
                "see what tags(run) shows now, and correct it again if that is wrong",
                *(uid, each.frame.key, each.frame.seq_num, each.frame.index, ", ".join(overruled), who),
            )


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
    held: Run,
    original: str,
    rows: pd.DataFrame,
    said: list[Correction],
    follows: tuple[str, ...],
    uid: str,
    at: float,
) -> list[Document]:
    """Return the documents of a correction: the model's rows with the new tags, and what the person said."""
    name, settings = tagger_name(rows.columns), configuration(held)
    shown = overlay(rows, said)
    for each in CORRECTION:
        shown[column(name, each.suffix)] = [each.fill(correction) for correction in said]
    known = correction_keys(name, _taxonomy(settings, name).grade(TagTable(shown).graded))
    columns = {each: key for each, key in known.items() if each in shown}  # rows of earlier versions have fewer
    told = summarise(shown, settings, source="human", derived=True)
    told |= {"said": [each.to_dict() for each in said], "follows": list(follows)}
    keys = configuration_keys(name, _taxonomy(settings, name))
    return compose(
        original,
        [{column: row[column] for column in columns} for row in shown.to_dict("records")],
        name=name,
        columns=columns,
        configuration=settings,
        configuration_keys={key: each for key, each in keys.items() if key in settings},
        summary=told,
        uid=uid,
        at=at,
    )


def _begun(catalog: Catalog, uid: str) -> float | None:
    """Return when a correction began that was not stored completely; None if there is none."""
    run = catalog.get(uid)
    return None if run is None else began(run.start)
