"""Write the summaries of stored runs, so that they can be found by tag: `xtag summarise`.

A summary is written in one request to the catalogue, so a run has a complete summary or none. Runs that have a summary
are skipped, so the same call finishes a call that was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalog import Catalog, Moment, Run, StoredCatalog, as_catalog, began_between, catalog_errors
from ..documents import KEY, STREAM, began, summarise
from ..errors import NoTagsError, XTagError, XTagValueError
from .tagged_runs import ForeignTagsError, configuration, own_tags, summary_of

__all__ = ["SummariseReport", "summarise_runs", "write_if_complete", "write_summary"]


@dataclass(frozen=True)
class SummariseReport:
    """The result of `summarise_runs`.

    Parameters
    ----------
    runs : int
        How many runs were looked at.
    written : tuple of str
        Uids of the runs that got their summary. After a dry run, uids of the runs that lack one.
    had : int
        How many runs had a summary before.
    untagged : int
        How many runs have no tags.
    unfinished : int
        How many runs have no stop document: they are still being taken, or were never finished.
    troubles : mapping of str to str
        For each run that could not be summarised, by its uid, the reason.
    """

    runs: int = 0
    written: tuple[str, ...] = ()
    had: int = 0
    untagged: int = 0
    unfinished: int = 0
    troubles: Mapping[str, str] = field(default_factory=dict)


def summarise_runs(
    catalog: StoredCatalog,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    dry_run: bool = False,
    name: str = "given",
    track: Callable[[list[Run]], Iterable[Run]] = iter,
) -> SummariseReport:
    """Write the summary of each tagged run of a catalogue that lacks one.

    If a run has no tags of its own, but was replayed, it gets the summary of its newest replay.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        A catalogue of Tiled or databroker that you may write to.
    since, until : float, str or datetime, optional
        Only runs that began between these times, see `runs_with_tag`.
    dry_run : bool
        Write nothing; only report what would be written.
    name : str
        The catalogue's name, for messages.
    track : callable
        Takes the list of runs to summarise and yields the runs one by one, for a progress bar.

    Raises
    ------
    CatalogError
        The catalogue does not answer, or cannot be written. The summaries written before stay. The same call continues
        from there.
    """
    place = as_catalog(catalog)
    with catalog_errors(name, "read"):
        runs = list(place.search(*began_between(since, until)).runs())
    replays = _replays(runs)
    had = [run for run in runs if summary_of(run) is not None]
    lacking = [run for run in runs if summary_of(run) is None]
    finished = [run for run in lacking if run.stop]
    tagged = [run for run in finished if _counts_tags(run) or run.uid in replays]
    written, untagged, troubles = [], len(finished) - len(tagged), {}
    for run in track(tagged):
        uid = run.uid
        try:
            with catalog_errors(name, "read"):
                found = _summary(run, replays.get(uid))
        except Exception as error:  # noqa: BLE001 - rows that are not a tagger's, damaged, or not there any more
            with catalog_errors(name, "read"):
                place.count()  # if the catalogue does not even answer this, no other run can be read either
            troubles[uid] = (
                str(error) if isinstance(error, XTagError | KeyError) else f"{type(error).__name__}: {error}"
            )
            continue
        if found is None:
            untagged += 1
            continue
        try:
            with catalog_errors(name, "written to"):
                if not dry_run:
                    write_summary(run, found)
        except XTagValueError as error:
            troubles[uid] = str(error)
        else:
            written.append(uid)
    return SummariseReport(len(runs), tuple(written), len(had), untagged, len(lacking) - len(finished), troubles)


def write_summary(run: Run, found: Mapping[str, Any]) -> None:
    """Write a summary into the start document of a stored run, in one request.

    Raises XTagValueError if the start document uses the key for something else.
    """
    if KEY in run.start and summary_of(run) is None:
        raise XTagValueError(f"the key {KEY!r} of its start document holds something else: {run.start[KEY]!r}")
    run.update_start({KEY: dict(found)})


def write_if_complete(catalog: Catalog, uid: str, found: Mapping[str, Any] | None) -> bool:
    """Write the summary of a run if the catalogue holds it with its stop document; return whether it does.

    Before that it would be too early: while the run is being written, one writer could undo the other. If `found` is
    None, the rows are counted that the catalogue holds.
    """
    run = catalog.get(uid)
    if run is None or not run.stop:
        return False
    if found is None and (found := _summary(run, None)) is None:
        raise XTagValueError(f"run {uid} has no rows to count in this catalogue")
    write_summary(run, found)
    return True


def _summary(run: Run, replay: Run | None) -> dict[str, Any] | None:
    try:
        table = own_tags(run)
    except NoTagsError as error:
        if replay is None:
            if isinstance(error, ForeignTagsError):
                raise
            return None
        # From its rows, since its summary may be anybody's.
        return summarise(own_tags(replay), configuration(replay), source="replay")
    return summarise(table, configuration(run), source="replay" if run.is_derived else "live", derived=run.is_derived)


def _replays(runs: Iterable[Run]) -> dict[str, Run]:
    """Return the newest complete replay of each run that has one, by the run's uid."""
    replays = [
        run for run in runs if (summary_of(run) or {}).get("source") == "replay" and run.is_derived and run.is_complete
    ]
    return {run.original_uid: run for run in sorted(replays, key=lambda replay: began(replay.start))}


def _counts_tags(run: Run) -> bool:
    """Return whether a run may have tags; its stop document usually tells, without another request."""
    return not run.num_events or bool(run.num_events.get(STREAM))
