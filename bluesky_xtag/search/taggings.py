"""The tags of one stored run: of the tagger beside the scan, or of a later replay with another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..catalog import start_of
from ..documents import Correction, describes, identity, overlay
from ..errors import NoTagsError
from .tagged_runs import configuration, derived_runs, has_tags, own_tags, summary_of

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["said_of", "tagging", "tags"]


def tags(run: Any, model: str | TagModel = "latest", *, catalog: Any = None) -> pd.DataFrame:
    """Return the tags of a stored run as a table, a row per frame.

    A run is tagged while it is taken, and may be tagged again later, with any model: then the catalogue holds derived
    runs beside it.

    Parameters
    ----------
    run : BlueskyRun or Header
        A run of a Tiled catalogue (``catalog[-1]``) or of databroker (``catalog[-1]``, ``broker[-1]``); of a derived
        run, its own tags are returned.
    model : str or TagModel
        Whose tags: "latest" for the newest tagging; "own" for the stream of the run itself, without looking for
        derived runs; or a model: its name ("default"), name and version ("default 0.3.1"), its sha256 or the first
        eight digits or more of that.
    catalog : catalogue or Broker, optional
        Where to look for derived runs; the run's own catalogue if None.

    Returns
    -------
    pandas.DataFrame
        Index ``seq_num``; first column ``time`` (seconds since 1970), then the columns of the stream in their order:
        scores as float64 (NaN unless the status is "ok"), numbers as int64, text as str. Where the RunEngine took a
        point again after a pause, the last row counts. Last column ``<name>_decided_by``: "model", or who corrected
        the frame's tags last.

    Raises
    ------
    NoTagsError
        If the run has no tags, or none by that model.
    """
    if model == "own" or "original_run_uid" in start_of(run):
        return overlay(own_tags(run), [])
    derived = derived_runs(run, catalog)
    return overlay(own_tags(_tagging(run, model, derived)), _said(derived))


def tagging(run: Any, model: str | TagModel = "latest", *, catalog: Any = None) -> Any:
    """Return the stored run that holds a tagging of a run: a derived run, or the run itself. Arguments as of `tags`.

    People's corrections are not taggings of a model, so they are left aside.
    """
    if model == "own" or "original_run_uid" in start_of(run):
        return run
    return _tagging(run, model, derived_runs(run, catalog))


def _tagging(run: Any, model: str | TagModel, derived: Sequence[Any]) -> Any:
    for each in reversed(derived):
        summary = summary_of(each)
        if summary and summary["source"] != "human" and (model == "latest" or describes(model, summary)):
            return each
    if model == "latest" or describes(model, _own_identity(run)):
        return run
    name = model if isinstance(model, str) else model.name
    raise NoTagsError(f"run {start_of(run)['uid']} holds no tags by the model {name!r}: tag it with that model first")


def said_of(run: Any, catalog: Any = None) -> list[Correction]:
    """Return everything that people said of the frames of a stored run, oldest first."""
    return _said(derived_runs(run, catalog, source="human"))


def _said(derived: Sequence[Any]) -> list[Correction]:
    return [said for each in derived if "said" in (summary_of(each) or ()) for said in Correction.read(start_of(each))]


def _own_identity(run: Any) -> Mapping[str, Any]:
    """Return which model gave the tags that a run holds itself; its summary tells without a request, if it has one."""
    summary = summary_of(run)
    if summary and summary["source"] == "live":
        return summary
    if has_tags(run):
        return identity(configuration(run))
    return {"model": "", "model_version": "", "model_sha256": ""}
