"""Find runs by tag. The catalogue's server does the search."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from ..catalog import Catalog, Moment, StoredCatalog, TiledQuery, Where, as_catalog, began_between, tiled_query
from ..documents import KEY
from ..errors import XTagValueError
from ..model import DEFAULT_TAXONOMY
from .models import TAGGED, check_model, search_model
from .tagged_runs import newest_summary

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["HasTag", "find_runs", "runs_with_tag"]

_MOST = 2**53  # frames


def HasTag(tag: str, at_least: float = 0.9) -> TiledQuery:  # noqa: N802, reads like the ecosystem's own queries
    """Return a query for runs with a frame whose score of a tag is high enough: ``catalog.search(HasTag("ring"))``.

    It is one of Tiled's own queries, so every catalogue accepts it, also one of databroker, and it can be combined with
    others.
    """
    return tiled_query(_max_p(tag, at_least))


def runs_with_tag(
    catalog: StoredCatalog,
    tag: str,
    at_least: float = 0.9,
    *,
    fraction: float | None = None,
    model: str | TagModel | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Any:
    """Return the catalogue of the runs in which a tag was seen.

    The search looks only at summaries (see `bluesky_xtag.documents.summary`). Runs without a summary are not found;
    `xtag summarise` writes the missing summaries. The server compares what is there, whoever wrote it:
    `frames_with_tag` also checks it, and reads the rows.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        A Tiled catalogue, the result of a search in one, or a catalogue of databroker.
    tag : str
        Name of the tag.
    at_least : float
        The score, 0 to 1, that at least one frame must have reached.
    fraction : float, optional
        The share of all frames of the run, 0 to 1, that must have the tag accepted, in addition.
    model : str or TagModel, optional
        The model that gave the tags: its name, its name and version, or its fingerprint, as in `tags`. Then derived
        runs are found as well, because a replay with that model stores its tags there; ``start["original_run_uid"]``
        names the original run. If None, only the runs themselves are found.
    since, until : float, str or datetime, optional
        Only runs that began at `since` or later, and before `until`. Each is in seconds since 1970, or a date as
        `TimeRange` of Tiled takes it, such as "2026-03-01".

    Returns
    -------
    CatalogOfBlueskyRuns or Container
        Like the catalogue given (for a Broker, its `v2`), narrowed on the server. You can search further in it.

    Raises
    ------
    XTagValueError
        No run of the catalogue was tagged by the model, or by a model that knows the tag; or an argument does not fit.
    """
    return find_runs(
        as_catalog(catalog), tag, at_least, fraction=fraction, model=model, since=since, until=until
    ).native


def find_runs(
    catalog: Catalog,
    tag: str,
    at_least: float = 0.9,
    *,
    fraction: float | None = None,
    model: str | TagModel | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Catalog:
    """Return the runs in which a tag was seen, with the arguments of `runs_with_tag`."""
    # The limits leave out what strangers wrote there: text and truth are above all numbers in some stores.
    limits = [Where(f"{KEY}.max_p.{tag}", "<=", 1.0), TAGGED]
    conditions = [_max_p(tag, at_least), *limits, *began_between(since, until)]
    if fraction is not None:
        conditions.append(Where(f"{KEY}.fraction.{tag}", ">=", _share("fraction", fraction)))
    if tag not in DEFAULT_TAXONOMY.names:
        _check_known(catalog, tag)
    if model is None:
        return catalog.search(*conditions, Where(f"{KEY}.derived", "==", False))
    check_model(catalog, model)
    return search_model(catalog.search(*conditions), model)


def _max_p(tag: str, at_least: float) -> Where:
    return Where(f"{KEY}.max_p.{tag}", ">=", _share("at_least", at_least))


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise XTagValueError(f"{name}={value} is not a share: give a number from 0 to 1")
    return float(value)  # SQLite would compare with an integer as integers


def _check_known(catalog: Catalog, tag: str) -> None:
    """Raise XTagValueError, with a hint, unless a run was tagged by a model with this tag."""
    known = Where(f"{KEY}.count.{tag}", ">=", 0), Where(f"{KEY}.count.{tag}", "<=", _MOST)  # text is above all numbers
    if catalog.search(*known).count():
        return
    summary = newest_summary(catalog.search(TAGGED))
    known = dict.fromkeys([*(summary["count"] if summary else ()), *DEFAULT_TAXONOMY.names])
    near = difflib.get_close_matches(tag, known, n=3)
    meant = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known tags: {', '.join(known)}"
    raise XTagValueError(f"no run of this catalogue was tagged by a model with a tag {tag!r}; {meant}")
