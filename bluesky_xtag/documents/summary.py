"""The run summary: what the start document says about a run's tags, under the key `xtag`, so that searches find it.

A catalogue's server cannot filter rows, but it can filter start documents. Only there the same query works in
databroker's Mongo layout and in Tiled on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from .table import TagTable

if TYPE_CHECKING:
    from ..model import ServedModel

__all__ = ["KEY", "Source", "describes", "identity", "model_keys", "summarise"]

KEY = "xtag"  # of the start document

Source = Literal["live", "replay", "human"]
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_NAME_AND_VERSION = re.compile(r"(?P<name>.+) (?P<version>\d\S*)")


def summarise(
    table: pd.DataFrame, configuration: Mapping[str, Any], *, source: Source = "live", derived: bool = False
) -> dict[str, Any]:
    """Return the summary of a tagging of a run.

    Parameters
    ----------
    table : pandas.DataFrame
        The rows of the stream "tags", one for each frame, with the columns of `bluesky_xtag.documents.data_keys`. Other
        columns are ignored.
    configuration : mapping
        The configuration of the stream's descriptor, see `bluesky_xtag.documents.configuration`.
    source : {"live", "replay", "human"}
        Where the tags come from: a tagger during the scan, a replay of the stored run, or a person.
    derived : bool
        Whether the summary belongs to a derived run instead of the run that has the frames.

    Returns
    -------
    dict
        Plain JSON:

        - ``max_p``: the largest score of each tag (float), without tags that have no score;
        - ``count``: how many frames have each tag (int);
        - ``fraction``: ``count`` divided by the number of all frames of the run, also those without scores (float);
        - ``frames`` and ``failed``: how many frames there are, and how many have a status other than "ok" (int);
        - ``model``, ``model_version``, ``model_sha256``, and ``name``, the first part of the column names (str);
        - ``source`` and ``derived``, as given.
    """
    rows = TagTable(table)
    taxonomy = [str(tag) for tag in configuration[rows.column("taxonomy")]]
    frames = len(table)
    largest = rows.scores(taxonomy).astype("float64").max().to_list()
    accepted = rows["tags"].str.split().explode().value_counts()
    count = {tag: int(accepted.get(tag, 0)) for tag in taxonomy}
    return {
        # Numbers must be float, not int: SQLite compares what is stored as the type of what is asked.
        "max_p": {tag: float(score) for tag, score in zip(taxonomy, largest, strict=True) if score == score},
        "count": count,
        "fraction": {tag: number / frames if frames else 0.0 for tag, number in count.items()},
        "frames": frames,
        "failed": int((rows["status"] != "ok").sum()),
        **identity(configuration),
        "name": rows.name,
        "source": source,
        "derived": derived,
    }


def identity(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return the model's part of a summary, from the configuration of the stream's descriptor."""
    mark = "_model_sha256"
    (name,) = [key.removesuffix(mark) for key in configuration if key.endswith(mark)]
    keys = ("model", "model_version", "model_sha256")
    return {key: str(configuration[f"{name}_{key}"]) for key in keys}


def model_keys(model: str | ServedModel) -> dict[str, str]:
    """Return the entries of a summary that identify this model: `model`, `model_version`, or `model_sha256`.

    `model_sha256` may be only the first digits of the fingerprint.
    """
    if not isinstance(model, str):
        return {"model_sha256": model.sha256}
    if _FINGERPRINT.fullmatch(model):
        return {"model_sha256": model}
    if found := _NAME_AND_VERSION.fullmatch(model):
        return {"model": found["name"], "model_version": found["version"]}
    return {"model": model}


def describes(model: str | ServedModel, summary: Mapping[str, Any]) -> bool:
    """Return whether a summary describes a tagging by this model."""
    return all(
        str(summary[key]).startswith(value) if key == "model_sha256" else summary[key] == value
        for key, value in model_keys(model).items()
    )
