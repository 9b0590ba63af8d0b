"""Proposes the stored frames that a person should look at first."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from ..catalog import Catalog, StoredCatalog, as_catalog, plain_rows, read_pixels
from ..documents import MODEL, PLACE, score_tags
from ..errors import NoTagsError, XTagValueError
from ..frames import NamedRoots, Roots
from ..search import hint_at_models, known_models, tags

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Order", "doubts", "draw_review", "farthest_first", "review", "review_table"]

Order = Literal["uncertain", "novel", "newest"]

_SHOWN = 3  # doubtful tags named
_WORTH_NAMING = 0.1
_NOTHING = (100, 100)  # drawn grey where pixels cannot be read


def review(
    catalog: StoredCatalog,
    n: int = 20,
    order: Order | str = "uncertain",
    *,
    model: str = "latest",
    last: int = 100,
) -> pd.DataFrame:
    """Return the stored frames that a person should look at first, from the newest runs; without corrected frames.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        A catalogue of Tiled or databroker. To look at certain runs only, narrow it first with `search`.
    n : int
        How many frames.
    order : {"uncertain", "novel", "newest"}
        "uncertain": the frames with the most tags that are probably wrong (see `doubts`). "novel": the frames whose
        scores differ most from those of corrected frames and of frames proposed before them (see `farthest_first`).
        "newest": the frames that were tagged last.
    model : str
        The model that gave the tags, as in `bluesky_xtag.search.tags`.
    last : int
        How many runs to look at, counted from the newest.

    Returns
    -------
    pandas.DataFrame
        One row for each frame, in the chosen order: `run` (uid), `scan_id`, `row` (in `tags(run)`), `key`, `seq_num`
        and `index` of the frame, `time`, `tags`, `doubt` (the expected number of wrong tags), `doubtful` (the tags
        that are most likely wrong with their scores), a column `p_<tag>` for each score, and, for "novel", `novelty`
        (the distance).

    Raises
    ------
    XTagValueError
        `order` is not one of these.
    NoTagsError
        None of these runs has tags.
    """
    if order not in get_args(Order):
        raise XTagValueError(f"order={order!r} is not known: choose one of {', '.join(get_args(Order))}")
    rows = _rows(catalog, model, last)
    names = score_tags(rows)
    scores = rows[[f"p_{name}" for name in names]].to_numpy(float)
    accepted = np.array([[name in given for name in names] for given in rows["tags"].str.split()])
    doubt = doubts(scores, accepted)
    rows["doubt"] = doubt.sum(axis=1)
    rows["doubtful"] = [_doubtful(names, *frame) for frame in zip(doubt, scores, strict=True)]
    scored, decided = (rows["status"] == "ok").to_numpy(), (rows["decided_by"] != MODEL).to_numpy()
    open_ = scored & ~decided
    columns = ["run", "scan_id", "row", *PLACE, "time", "tags", "doubt", "doubtful", *(f"p_{name}" for name in names)]
    if order == "novel":
        vectors = np.nan_to_num(scores)
        first, novelty = farthest_first(vectors[open_], vectors[scored & decided], n)
        chosen = rows[open_].iloc[first].assign(novelty=novelty)
        return chosen.loc[:, [*columns, "novelty"]].reset_index(drop=True)
    worth = rows["doubt" if order == "uncertain" else "time"].to_numpy()
    first = np.argsort(-worth[open_], kind="stable")[:n]
    return rows[open_].iloc[first].loc[:, columns].reset_index(drop=True)


def review_table(proposed: pd.DataFrame) -> Table:
    """Return what `review` proposes as a table for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ..view import disarm

    shown = Table("scan", "run", "row", "image", "tags", "doubt", "doubtful", box=SIMPLE_HEAD)
    if "novelty" in proposed:
        shown.add_column("novelty", justify="right")
    for row in proposed.to_dict("records"):
        image = f"{row['key']} {row['seq_num']}:{row['index']}"
        cells = [str(row["scan_id"]), row["run"][:8], str(row["row"]), image, row["tags"], f"{row['doubt']:.2f}"]
        cells += [row["doubtful"], *([f"{row['novelty']:.2f}"] if "novelty" in row else [])]
        shown.add_row(*map(disarm, cells))
    return shown


def draw_review(catalog: StoredCatalog, proposed: pd.DataFrame, path: str | Path, *, roots: NamedRoots = None) -> None:
    """Draw what `review` proposes: each frame with its tags and scores, in the order of the table.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        The catalogue that has the runs.
    proposed : pandas.DataFrame
        From `review`.
    path : str or Path
        The file to write; its suffix decides the format.
    roots : str, Path or an iterable of these, optional
        Directories below which files may be read, as in `bluesky_xtag.replay.replay`: other frames stay grey.
        If None, all files are read.

    Raises
    ------
    XTagValueError
        A root is not a directory.
    """
    from ..view import Point, draw_points

    names = score_tags(proposed)
    images = read_pixels(as_catalog(catalog), proposed, Roots.of(roots))
    draw_points(
        path,
        [
            Point(
                title=f"scan {row['scan_id']}, row {row['row']}",
                tags=tuple(row["tags"].split()),
                scores={name: row[f"p_{name}"] for name in names if row[f"p_{name}"] == row[f"p_{name}"]},
                pixels=np.full(_NOTHING, -1) if image is None else image,
            )
            for row, image in zip(proposed.to_dict("records"), images, strict=True)
        ],
        f"{len(proposed)} frames to look at",
    )


def _rows(catalog: StoredCatalog, model: str, last: int) -> pd.DataFrame:
    tables, whole = [], None
    for run in as_catalog(catalog).newest(last):
        whole = whole or run.catalog  # `catalog` may have been narrowed to runs without their derived ones
        with suppress(NoTagsError):
            tables.append(plain_rows(tags(run, model, catalog=whole), run))
    if not tables:
        raise NoTagsError(f"none of the newest {last} runs has tags by the model {model!r}: {_advise(whole, model)}")
    return pd.concat(tables, ignore_index=True)


def _advise(catalog: Catalog | None, model: str) -> str:
    if catalog is None or model in ("latest", "own"):
        return "there is nothing to review"
    return hint_at_models(model, known_models(catalog))


def _doubtful(names: list[str], doubt: np.ndarray, scores: np.ndarray) -> str:
    most = [at for at in np.argsort(-doubt, kind="stable")[:_SHOWN] if doubt[at] >= _WORTH_NAMING]
    return ", ".join(f"{names[at]} {scores[at]:.2f}" for at in most)


def doubts(scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """Return the probability that the model is wrong about each tag of each frame, if its scores are calibrated.

    The sum over the tags of a frame is the expected number of wrong tags.

    Parameters
    ----------
    scores : numpy.ndarray
        (frames, tags) probabilities; NaN for tags that the frame's model does not know.
    accepted : numpy.ndarray
        (frames, tags) bool.

    Returns
    -------
    numpy.ndarray
        (frames, tags), 0 to 1; 0 where there is no score.
    """
    return np.nan_to_num(np.where(accepted, 1 - scores, scores), nan=0.0)


def farthest_first(vectors: np.ndarray, known: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors that are farthest from all known ones and from those chosen before them.

    This is the greedy algorithm for k centres: Gonzalez, *Clustering to minimize the maximum intercluster distance*,
    Theoretical Computer Science 38 (1985); for what to label next, Sener and Savarese, ICLR 2018.

    Parameters
    ----------
    vectors : numpy.ndarray
        (n, size) float.
    known : numpy.ndarray
        (m, size) float. If m is 0, the mean of `vectors` takes its place.
    count : int
        How many, at most n.

    Returns
    -------
    tuple of numpy.ndarray
        (count,) rows of `vectors`, the farthest first, and (count,) their distances as they were chosen.
    """
    from scipy.spatial.distance import cdist

    start = known if len(known) else vectors.mean(axis=0, keepdims=True)
    nearest = cdist(vectors, start).min(axis=1)
    chosen, distances = [], []
    for _ in range(min(count, len(vectors))):
        row = int(nearest.argmax())
        chosen.append(row)
        distances.append(float(nearest[row]))
        nearest = np.minimum(nearest, cdist(vectors, vectors[[row]])[:, 0])
        nearest[row] = -1.0  # not again, even where all others are the same
    return np.array(chosen, int), np.array(distances)
