"""The tags of one stored run, by the tagger during the scan or by a later replay with another model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..catalog import Catalog, Run, StoredCatalog, StoredRun, as_catalog, as_run
from ..documents import SHADOW, STREAM, Correction, describes, identity, in_order, overlay, read_said
from ..errors import NoTagsError
from .models import hint_at_models, known_models, model_label
from .tagged_runs import configuration, derived_runs, has_shadow, has_tags, own_tags, summary_of

if TYPE_CHECKING:
    from ..model import TagModel

logger = logging.getLogger("bluesky_xtag")

__all__ = ["find_rows", "find_tagging", "read_corrections", "tags"]

_Found = tuple[Run, pd.DataFrame, str]  # the run that holds a tagging, its rows, and their stream


def tags(run: StoredRun, model: str | TagModel = "latest", *, catalog: StoredCatalog | None = None) -> pd.DataFrame:
    """Return the tags of a stored run as a table, one row for each frame.

    A run is tagged while it is taken. It can be tagged again later, with any model; then the catalogue also holds
    derived runs.

    Parameters
    ----------
    run : BlueskyRun or Header
        A run of a Tiled catalogue (``catalog[-1]``) or of databroker (``catalog[-1]``, ``broker[-1]``); for a derived
        run, its own tags are returned.
    model : str or TagModel
        Which tags: "latest" for the newest tagging; "own" for the stream of the run itself, without looking for derived
        runs; "shadow" for those of the model that looked on, see `bluesky_xtag.install`; or a model: its name
        ("default"), its name and version ("default 0.3.1"), or its sha256 or at least the first eight digits of it.
    catalog : CatalogOfBlueskyRuns, Container or Broker, optional
        Where to look for derived runs. If None, the run's own catalogue.

    Returns
    -------
    pandas.DataFrame
        Index ``seq_num``; first column ``time`` (seconds since 1970), then the columns of the stream in their order:
        scores as float64 (NaN unless the status is "ok"), numbers as int64, text as str. If the RunEngine took a point
        again after a pause, the last row counts. Last column ``<name>_decided_by``: "model", or the person who
        corrected the frame's tags last.

    Raises
    ------
    NoTagsError
        The run has no tags, or none by that model. The message then names the models that you may mean.
    XTagValueError
        The arguments are not a run and a catalogue.
    """
    run = as_run(run)
    place = None if catalog is None else as_catalog(catalog)
    if model == "own" or run.is_derived:
        return overlay(own_tags(run), [])
    derived = derived_runs(run, place)
    found = (run, own_tags(run, SHADOW), SHADOW) if model == "shadow" else _choose(run, model, derived)
    if found is None:
        shadow = [_shadow_identity(run)] if has_shadow(run) else []
        known = [*(_model_of(each) for each in (run, *derived)), *shadow, *known_models(place or run.catalog)]
        hint = hint_at_models(model, [each for each in known if each["model"]])
        raise NoTagsError(f"run {run.uid} has no tags by the model {model_label(model)!r}: {hint}")
    return overlay(found[1], _read(derived))


def find_tagging(
    run: Run, model: str | TagModel = "latest", *, catalog: Catalog | None = None
) -> tuple[Run, pd.DataFrame]:
    """Return the stored run that holds a tagging of a run, a derived run or the run itself, and its rows.

    People's corrections are not taggings of a model, so they are ignored.

    Parameters
    ----------
    run : Run
        The run with the frames, or a derived run, which is returned as it is.
    model, catalog
        As in `tags`.

    Raises
    ------
    NoTagsError
        There is no tagging by that model.
    """
    if model == "own" or run.is_derived:
        return run, own_tags(run)
    found = _choose(run, model, derived_runs(run, catalog))
    if found is None or found[2] == SHADOW:
        raise NoTagsError(f"run {run.uid} has no tags by the model {model_label(model)!r}")
    return found[:2]


def find_rows(
    run: Run, model: str | TagModel, *, catalog: Catalog | None = None
) -> tuple[Mapping[str, Any], pd.DataFrame]:
    """Return which model gave a tagging of a run, as a summary names it, and the rows, without people's corrections.

    Unlike `find_tagging`, this also finds the rows of a shadow model, by its name or by "shadow".

    Parameters
    ----------
    run, model, catalog
        As in `find_tagging`.

    Raises
    ------
    NoTagsError
        There is no tagging by that model.
    """
    if model == "own" or run.is_derived:
        found: _Found | None = run, own_tags(run), STREAM
    elif model == "shadow":
        found = run, own_tags(run, SHADOW), SHADOW
    else:
        found = _choose(run, model, derived_runs(run, catalog))
    if found is None:
        raise NoTagsError(f"run {run.uid} has no tags by the model {model_label(model)!r}")
    held, rows, stream = found
    return identity(configuration(held, stream)), rows


def _choose(run: Run, model: str | TagModel, derived: Sequence[Run]) -> _Found | None:
    """Return the tagging and its rows; a derived run that says that it is one, but holds no rows, is passed over.

    The rows of a shadow come last: whoever asks for a model by its name means its rows wherever they are.
    """
    for each in reversed(derived):
        summary = summary_of(each)
        if summary and summary["source"] != "human" and (model == "latest" or describes(model, summary)):
            try:
                recorded = identity(configuration(each))
                if any(summary[key] != value for key, value in recorded.items()):
                    raise NoTagsError("its summary names another model than its stream")
                return each, own_tags(each), STREAM
            except NoTagsError as error:
                logger.warning("The tags of run %s in run %s are passed over: %s", run.uid, each.uid, error)
    if model == "latest" or describes(model, _own_identity(run)):
        return run, own_tags(run), STREAM
    if has_shadow(run) and describes(model, _shadow_identity(run)):
        return run, own_tags(run, SHADOW), SHADOW
    return None


def _model_of(run: Run) -> Mapping[str, Any]:
    return (summary_of(run) if run.is_derived else None) or _own_identity(run)


def read_corrections(run: Run, catalog: Catalog | None = None) -> list[Correction]:
    """Return everything that people said about the frames of a stored run, in the order in which it counts."""
    return _read(derived_runs(run, catalog, source="human"))


def _read(derived: Sequence[Run]) -> list[Correction]:
    return in_order(said for each in derived for said in read_said(each.start))


def _own_identity(run: Run) -> Mapping[str, Any]:
    """Return which model gave the tags that a run holds itself. If the run has a summary, this needs no request."""
    summary = summary_of(run)
    if summary and summary["source"] == "live":
        return summary
    if has_tags(run):
        with suppress(NoTagsError):  # a stream of somebody else
            return identity(configuration(run))
    return {"model": "", "model_version": "", "model_sha256": ""}


def _shadow_identity(run: Run) -> Mapping[str, Any]:
    """Return which model looked on when a run was taken."""
    with suppress(NoTagsError):  # a stream of somebody else
        return identity(configuration(run, SHADOW))
    return {"model": "", "model_version": "", "model_sha256": ""}
