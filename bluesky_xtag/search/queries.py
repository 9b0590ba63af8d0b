"""Find runs by tag, narrowed by the catalogue's server."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..catalog import client
from ..documents import KEY, model_keys
from ..errors import XTagValueError
from ..model import DEFAULT_TAXONOMY
from .tagged_runs import summary_of

if TYPE_CHECKING:
    from tiled.queries import Comparison

    from ..model import TagModel

__all__ = ["HasTag", "Moment", "of_model", "runs_with_tag", "within"]

Moment = float | str | datetime


def HasTag(tag: str, at_least: float = 0.9) -> Comparison:  # noqa: N802, reads like the ecosystem's own queries
    """Return a query for runs with a frame whose score of a tag is at least this: ``catalog.search(HasTag("ring"))``.

    It is one of Tiled's own queries, so any catalogue takes it, a databroker one included, before and after others.
    """
    from tiled.queries import Key

    return Key(f"start.{KEY}.max_p.{tag}") >= _share("at_least", at_least)


def runs_with_tag(
    catalog: Any,
    tag: str,
    at_least: float = 0.9,
    *,
    fraction: float | None = None,
    model: str | TagModel | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Any:
    """Return the catalogue of those runs in which a tag was seen.

    Only summaries are looked at (see `bluesky_xtag.documents.summary`): runs without one, which `xtag summarise` gives
    them, are not found.

    Parameters
    ----------
    catalog : catalogue or Broker
        A Tiled catalogue, the result of a search in one, or databroker's.
    tag : str
        Name of the tag.
    at_least : float
        The score, 0 to 1, that one frame or more must have reached.
    fraction : float, optional
        Also: the share of all frames of the run, 0 to 1, that must have the tag accepted.
    model : str or TagModel, optional
        Whose tags: a model's name, name and version, or fingerprint, as in `tags`. Then derived runs are found as well,
        since that is where a replay with that model puts them; ``start["original_run_uid"]`` tells of which run. If
        None, the runs themselves are found.
    since, until : float, str or datetime, optional
        Only runs that began then or later, and before then: seconds since 1970, or a date as `TimeRange` of Tiled takes
        it, such as "2026-03-01".

    Returns
    -------
    catalogue
        Like the one given (of a Broker its `v2`), narrowed on the server; search on in it.

    Raises
    ------
    XTagValueError
        If no run of the catalogue was tagged by a model that knows the tag, or an argument does not fit.
    """
    from tiled.queries import Key

    catalog = client(catalog)
    query = HasTag(tag, at_least)
    if fraction is not None:
        fraction = _share("fraction", fraction)
    if tag not in DEFAULT_TAXONOMY.names:
        _check_known(catalog, tag)
    found = within(catalog.search(query), since, until)
    if fraction is not None:
        found = found.search(Key(f"start.{KEY}.fraction.{tag}") >= fraction)
    if model is not None:
        return of_model(found, model)
    return found.search(Key(f"start.{KEY}.derived") == False)  # noqa: E712, this makes a query


def of_model(catalog: Any, model: str | TagModel) -> Any:
    """Return the catalogue of the runs, derived ones included, that hold tags by a model."""
    from tiled.queries import Key

    for key, value in model_keys(model).items():
        if key == "model_sha256" and len(value) < 64:
            # No query for beginnings is known to all catalogues. Digits are 0 to f, so "g" is above all that follow.
            catalog = catalog.search(Key(f"start.{KEY}.{key}") >= value).search(Key(f"start.{KEY}.{key}") < value + "g")
        else:
            catalog = catalog.search(Key(f"start.{KEY}.{key}") == value)
    return catalog.search(Key(f"start.{KEY}.source") != "human")


def within(catalog: Any, since: Moment | None, until: Moment | None) -> Any:
    """Return the catalogue of the runs that began in a time, see `runs_with_tag`."""
    from bluesky_tiled_plugins.queries import TimeRange
    from tiled.queries import Key

    try:
        range_ = TimeRange(since=since, until=until)
    except (TypeError, ValueError) as error:
        raise XTagValueError(
            f"since={since!r}, until={until!r}: {error}; give dates such as '2026-03-01' or '2026-03-01 17:30', "
            "or seconds since 1970"
        ) from error
    if range_.since is not None:
        catalog = catalog.search(Key("start.time") >= float(range_.since))
    if range_.until is not None:
        catalog = catalog.search(Key("start.time") < float(range_.until))
    return catalog


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise XTagValueError(f"{name}={value} is no share: give a number from 0 to 1")
    return float(value)  # SQLite would compare with an integer as integers


def _check_known(catalog: Any, tag: str) -> None:
    """Raise XTagValueError, with what may be meant, unless a run was tagged by a model with this tag."""
    from tiled.queries import Key

    if len(catalog.search(Key(f"start.{KEY}.count.{tag}") >= 0)):
        return
    tagged = catalog.search(Key(f"start.{KEY}.frames") >= 0)
    newest = summary_of(tagged.values().last()) if len(tagged) else None
    known = dict.fromkeys([*(newest["count"] if newest else ()), *DEFAULT_TAXONOMY.names])
    near = difflib.get_close_matches(tag, known, n=3)
    meant = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known tags: {', '.join(known)}"
    raise XTagValueError(f"no run of this catalogue was tagged by a model with a tag {tag!r}; {meant}")
