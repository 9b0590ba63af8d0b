"""What stored runs know of a sample: places and their tags, from which a map goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.utils import Msg

from ..catalog import Run, StoredRun, as_run, find_run
from ..documents import MODEL, TagTable
from ..errors import NoTagsError, XTagValueError
from ..search import tags
from ..tagger import Tagger
from .strategies import Point

__all__ = ["known_places", "read_known_places"]

_STREAM = "primary"


def known_places(run: StoredRun, motors: Sequence[str], names: Sequence[str]) -> list[Point]:
    """Return the places of a stored run and what was seen there, as a strategy's `ingest` takes them.

    It takes the newest tags of the run. Where a person corrected a frame, its tags count as certain. Frames without
    tags are left out.

    Parameters
    ----------
    run : BlueskyRun or Header
        A run of a Tiled catalogue or of databroker.
    motors : sequence of str
        The motors' names, which are columns of the stream "primary".
    names : sequence of str
        The names of the tags.

    Returns
    -------
    list of dict
        For each frame a position by motor's name and a probability by tag, to four decimals.

    Raises
    ------
    NoTagsError
        The run has no tags.
    XTagValueError
        The run did not record these motors, or its model had other tags.
    """
    found = as_run(run)
    table = TagTable(tags(run))
    if lacking := [name for name in names if name not in table.tags]:
        raise XTagValueError(
            f"run {found.uid} was tagged without {', '.join(lacking)}: replay it with the present model"
        )
    recorded = found.descriptor(_STREAM)["data_keys"] if _STREAM in found.streams else {}
    if lacking := [name for name in motors if name not in recorded]:
        raise XTagValueError(
            f"run {found.uid} has no {', '.join(lacking)} in its stream {_STREAM!r}: resume a run that moved them"
        )
    places = found.table(_STREAM, list(motors))
    scores, accepted = table.scores(list(names)), table.accepted()
    people = table.rows[table.decided_by()].to_list()
    points = []
    for row, (number, status) in enumerate(zip(table["frame_seq_num"], table["status"], strict=True)):
        if number not in places.index or (status != "ok" and people[row] == MODEL):
            continue
        place = {name: float(places.at[number, name]) for name in motors}
        if people[row] == MODEL:
            seen = {name: round(float(scores[name].iloc[row]), 4) for name in names}
        else:
            seen = {name: float(name in accepted[row]) for name in names}
        points.append(place | seen)
    return points


def read_known_places(
    tagger: Tagger, runs: Any, motors: Sequence[str], names: Sequence[str]
) -> Generator[Msg, Any, list[Point]]:
    """Return what runs know, see `known_places`; the RunEngine goes on while they are read.

    Parameters
    ----------
    tagger : Tagger
        Has the catalogue that `install` was given.
    runs : sequence of str, int or stored run, or None
        Uids of runs, or their first digits; scan_ids; numbers that count from the newest run that is not derived, such
        as -1; or the runs themselves.
    motors, names
        As in `known_places`.

    Raises
    ------
    XTagValueError
        A run is not there, or does not fit.
    """
    if runs is None:
        return []
    if isinstance(runs, str) or not isinstance(runs, Sequence) or not runs:
        raise XTagValueError(f"resume={runs!r} is not a list of runs: give their uids, or for example [-1]")
    found: list[Point] = []
    trouble: list[Exception] = []  # the RunEngine does not raise it

    def read() -> None:
        try:
            for run in runs:
                found.extend(known_places(_find(tagger, run), motors, names))
        except Exception as error:
            trouble.append(error)

    yield from bps.wait_for([lambda: asyncio.to_thread(read)])
    for error in trouble:
        if isinstance(error, NoTagsError):
            raise XTagValueError(f"resume: {error}") from error
        raise error
    return found


def _find(tagger: Tagger, run: Any) -> Run:
    if not isinstance(run, str | int):
        return as_run(run)
    if tagger.catalog is None:
        raise XTagValueError(
            f"resume={run!r} names a run, but the tagger has no catalogue: call install(RE, catalog=catalog), or give "
            "the run itself, resume=[catalog[-1]]"
        )
    try:
        return find_run(tagger.catalog, run)
    except XTagValueError as error:
        raise XTagValueError(f"resume: {error}") from error
