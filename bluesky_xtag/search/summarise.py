"""Write the summaries of stored runs, so that they can be found by tag: `xtag summarise`.

A summary is written in one request to the catalogue, so a run has all of it or nothing; what was written is skipped the
next time, so an index that was stopped is finished by the same call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalog import asking, client, start_of
from ..documents import KEY, STREAM, summarise
from ..errors import CatalogError, NoTagsError, XTagError, XTagValueError
from .queries import Moment, within
from .tagged_runs import configuration, own_tags, summary_of

__all__ = ["Index", "index", "write_if_complete", "write_summary"]


@dataclass(frozen=True)
class Index:
    """What `index` did.

    Parameters
    ----------
    runs : int
        Runs looked at.
    written : tuple of str
        Uids of the runs that got their summary, or of those that lack one after a dry run.
    had : int
        Runs that had one before.
    untagged : int
        Runs without tags.
    unfinished : int
        Runs without a stop document: still being taken, or never finished.
    troubles : mapping of str to str
        Why runs, by uid, could not be summarised.
    """

    runs: int = 0
    written: tuple[str, ...] = ()
    had: int = 0
    untagged: int = 0
    unfinished: int = 0
    troubles: Mapping[str, str] = field(default_factory=dict)


def index(
    catalog: Any,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    dry_run: bool = False,
    name: str = "given",
    track: Callable[[list[Any]], Iterable[Any]] = iter,
) -> Index:
    """Write the summary of each tagged run of a catalogue that lacks one.

    A run without tags of its own that was replayed gets the summary of its newest replay.

    Parameters
    ----------
    catalog : catalogue or Broker
        A Tiled catalogue or databroker's, which you may write to.
    since, until : float, str or datetime, optional
        Only runs of that time, see `runs_with_tag`.
    dry_run : bool
        Write nothing; tell what would be written.
    name : str
        The catalogue's name, for messages.
    track : callable
        Given the list of the runs to summarise, yields them one by one; for a progress bar.

    Raises
    ------
    CatalogError
        If the catalogue cannot be read or written. The summaries written before stay; the same call goes on from there.
    """
    with asking(name, "read"):
        runs = list(within(client(catalog), since, until).values())
    replays = _replays(runs)
    had = [run for run in runs if summary_of(run) is not None]
    lacking = [run for run in runs if summary_of(run) is None]
    finished = [run for run in lacking if run.metadata.get("stop")]
    tagged = [run for run in finished if _counts_tags(run) or start_of(run)["uid"] in replays]
    written, untagged, troubles = [], len(finished) - len(tagged), {}
    for run in track(tagged):
        uid = start_of(run)["uid"]
        try:
            with asking(name, "read"):
                found = _summary(run, replays.get(uid))
        except CatalogError:
            raise
        except (XTagError, KeyError, ValueError) as error:  # rows that are not a tagger's, or damaged
            troubles[uid] = str(error)
            continue
        if found is None:
            untagged += 1
            continue
        try:
            with asking(name, "written to"):
                if not dry_run:
                    write_summary(run, found)
        except XTagValueError as error:
            troubles[uid] = str(error)
        else:
            written.append(uid)
    return Index(len(runs), tuple(written), len(had), untagged, len(lacking) - len(finished), troubles)


def write_summary(run: Any, found: Mapping[str, Any]) -> None:
    """Write a summary into the start document of a stored run (a Tiled client), in one request.

    Raises XTagValueError if somebody uses the key for something else.
    """
    if KEY in start_of(run) and summary_of(run) is None:
        raise XTagValueError(f"the key {KEY!r} of its start document holds something else: {start_of(run)[KEY]!r}")
    run.update_metadata({"start": {KEY: dict(found)}})


def write_if_complete(catalog: Any, uid: str, found: Mapping[str, Any]) -> bool:
    """Write the summary of a run if the catalogue holds it with its stop document; return whether it does."""
    try:
        run = client(catalog)[uid]
    except KeyError:
        return False
    if not run.metadata.get("stop"):
        return False
    write_summary(run, found)
    return True


def _summary(run: Any, replay: Any) -> dict[str, Any] | None:
    derived = "original_run_uid" in start_of(run)
    try:
        table = own_tags(run)
    except NoTagsError:
        return dict(summary_of(replay) or {}) | {"derived": False} if replay is not None else None
    return summarise(table, configuration(run), source="replay" if derived else "live", derived=derived)


def _replays(runs: Iterable[Any]) -> dict[str, Any]:
    """Return the newest complete replay of each run that has one, by the run's uid."""
    replays = [
        run
        for run in runs
        if (summary_of(run) or {}).get("source") == "replay"
        and "original_run_uid" in start_of(run)
        and (run.metadata.get("stop") or {}).get("exit_status") == "success"
    ]
    return {
        start_of(run)["original_run_uid"]: run for run in sorted(replays, key=lambda replay: start_of(replay)["time"])
    }


def _counts_tags(run: Any) -> bool:
    """Return whether a run may have tags; its stop document usually tells, without another request."""
    events = (run.metadata.get("stop") or {}).get("num_events")
    return not events or bool(events.get(STREAM))
