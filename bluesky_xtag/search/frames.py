"""Find frames by tag, or by similarity to another frame."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..catalog import Catalog, Moment, Run, StoredCatalog, StoredRun, Where, as_catalog, as_run, began_between
from ..documents import KEY, PLACE, TagTable, identity
from ..errors import NoTagsError, XTagValueError
from .models import search_model
from .queries import find_runs
from .tagged_runs import configuration, positions, summary_of
from .taggings import find_tagging, tags

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["find_similar", "frames_with_tag"]

logger = logging.getLogger("bluesky_xtag")

_FIRST = ("run", "scan_id", "row", "key", "seq_num", "index")
_LAST = ("tags", "status", "decided_by")  # the last where people's corrections are told


def frames_with_tag(
    catalog: StoredCatalog,
    tag: str,
    at_least: float = 0.9,
    *,
    fraction: float | None = None,
    model: str | TagModel | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> pd.DataFrame:
    """Return the frames that have a tag, of all runs of a catalogue, as a table.

    The server finds the runs by their summaries. Then the rows of each run found are read. The arguments are those of
    `runs_with_tag`.

    Returns
    -------
    pandas.DataFrame
        One row for each frame, runs in the order of the catalogue, with the columns ``run`` (uid of the run that has
        the frame), ``scan_id``, ``row`` (index of the frame's row in `tags`), ``key`` (data key of the image),
        ``seq_num`` (of its event), ``index`` (which image within that), the positions of the motors that the plan names
        as its dimensions, a column ``p_<tag>`` for each tag, ``tags`` (the accepted ones) and ``status``. Positions are
        NaN if the run does not hold one for each event. If a person decided about a frame, the decision counts, not the
        score.
    """
    place = as_catalog(catalog)
    found = find_runs(place, tag, at_least, fraction=fraction, model=model, since=since, until=until)
    return _join([table.loc[_has(table, tag, at_least)] for table in _frames(found) if f"p_{tag}" in table])


def find_similar(
    catalog: StoredCatalog,
    run: StoredRun,
    frame: int,
    *,
    count: int = 20,
    distance: float = 0.5,
    since: Moment | None = None,
    until: Moment | None = None,
) -> pd.DataFrame:
    """Return the frames whose scores are most like those of a frame.

    Only frames that the same model scored are compared, by the Euclidean distance of their scores. The server leaves
    out runs that cannot hold a frame within `distance`: for some tag, no frame of such a run reaches the frame's score
    minus `distance`.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        Where to look, see `runs_with_tag`.
    run : BlueskyRun or Header
        The run of the frame.
    frame : int
        The frame's row, an index of ``tags(run)``.
    count : int
        How many frames to return at most.
    distance : float
        The largest distance. If one tag is 0 in one frame and 1 in the other, the distance is 1.
    since, until : float, str or datetime, optional
        See `runs_with_tag`.

    Returns
    -------
    pandas.DataFrame
        As in `frames_with_tag`, with a first column ``distance``, nearest frame first, without the frame itself.
    """
    run = as_run(run)
    table = tags(run)
    if frame not in table.index:
        raise XTagValueError(f"run {run.uid} has no frame {frame}: give a number from the index of tags(run)")
    rows = TagTable(table)
    if rows["status"].at[frame] != "ok":
        raise XTagValueError(f"frame {frame} of run {run.uid} has no scores to compare")
    scores = {f"p_{tag}": score for tag, score in rows.scores().loc[frame].items()}
    model = identity(configuration(find_tagging(run)[0]))["model_sha256"]
    found = search_model(as_catalog(catalog), model).search(
        *began_between(since, until),
        *(
            Where(f"{KEY}.max_p.{column.removeprefix('p_')}", ">=", float(score - distance))
            for column, score in scores.items()
            if score > distance
        ),
    )
    near = []
    uid = run.original_uid
    for each in _frames(found):
        apart = np.sqrt(((each[list(scores)] - pd.Series(scores)) ** 2).sum(axis="columns", skipna=False))
        each.insert(0, "distance", apart)
        itself = (each["run"] == uid) & (each["row"] == frame)
        near.append(each.loc[(apart <= distance) & ~itself].sort_values("distance").head(count))
    return _join(near, "distance").sort_values("distance", kind="stable", ignore_index=True).head(count)


def _has(table: pd.DataFrame, tag: str, at_least: float) -> pd.Series:
    """Return which frames have a tag: by its score, or as a person decided."""
    by_score = table[f"p_{tag}"] >= at_least
    if "decided_by" not in table:
        return by_score
    accepted = table["tags"].str.split().map(lambda tags: tag in tags)
    return by_score.where(table["decided_by"] == "model", accepted)


def _frames(found: Catalog) -> Iterator[pd.DataFrame]:
    """Yield the frames of each run of a catalogue of tagged runs, original or derived, each tagging once."""
    whole = None
    seen = set()
    for hit in found.runs():
        summary = summary_of(hit)
        if summary is None:  # a stranger's, which met the conditions of the search
            continue
        model = summary["model_sha256"]
        uid = hit.original_uid
        if (uid, model) in seen:
            continue  # replayed twice, or the run itself and a replay with the same model: the newest is read once
        seen.add((uid, model))
        whole = hit.catalog if whole is None else whole  # what is found may not hold the original run
        try:
            run = (whole.get(uid) or hit) if hit.is_derived else hit  # the original run may not be there any more
            table = tags(run, model, catalog=whole)
        except NoTagsError as error:
            logger.warning("Run %s is passed over: %s", hit.uid, error)
            continue
        yield _describe(run, uid, table)


def _describe(run: Run, uid: str, table: pd.DataFrame) -> pd.DataFrame:
    rows = TagTable(table)
    first = pd.DataFrame(
        {
            "run": uid,
            "scan_id": run.scan_id,
            "row": table.index,
            **{column: rows[f"frame_{column}"].to_numpy() for column in PLACE},
        }
    )
    last = rows.scores().add_prefix("p_")
    for column in _LAST:
        if column in rows:
            last[column] = rows[column]
    taken = {*first, *last}
    moved = positions(run, set(first["key"])).reindex(first["seq_num"])
    moved = moved.rename(columns={column: f"{column}_position" for column in moved if column in taken})
    return pd.concat([first, moved.reset_index(drop=True), last.reset_index(drop=True)], axis="columns")


def _join(tables: list[pd.DataFrame], *first: str) -> pd.DataFrame:
    """Return tables below each other, motors' positions before scores, whatever columns each has."""
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame({column: [] for column in (*first, *_FIRST, *_LAST[:2])})
    joined = pd.concat(tables, ignore_index=True)
    scores = [column for column in joined if column.startswith("p_")]
    last = [column for column in _LAST if column in joined]
    others = [column for column in joined if column not in (*scores, *last)]
    return joined.loc[:, [*others, *scores, *last]]
