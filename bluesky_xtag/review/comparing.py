"""The frames on which two taggings of the same stored runs disagree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..catalog import Catalog, StoredCatalog, as_catalog, plain_rows, read_pixels
from ..documents import PLACE, describes, score_tags
from ..errors import NoTagsError, XTagValueError
from ..frames import NamedRoots, Roots
from ..search import find_rows, hint_at_models, known_models

if TYPE_CHECKING:
    from rich.table import Table

    from ..model import TagModel

__all__ = ["Comparison", "compare", "draw_disputed", "label"]

_DRAWN = 6  # frames
_WHERE = ["run", "scan_id", "row", *PLACE]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two taggings of the same frames.

    Parameters
    ----------
    models : (str, str)
        The two models, each with its name, its version, and the first digits of its hash.
    tags : pandas.DataFrame
        One row for each tag that both models know, index `tag`. The columns `both`, `only_first`, `only_second` and
        `neither` count the frames by the models that gave the tag. `kappa` is the agreement beyond chance (Cohen's; NaN
        if one model gave the tag to all frames or to none).
    frames : pandas.DataFrame
        One row for each frame on whose tags the models disagree, the largest difference of a score first: `run` (uid),
        `scan_id`, `row` (in `tags(run)`), `key`, `seq_num` and `index` of the frame, `only_first` and `only_second`
        (tags, separated by spaces), `tag` (that of the largest difference among these), `first` and `second` (its
        scores).
    compared : int
        How many frames both models scored.
    left_out : int
        How many frames only one of the models scored.
    """

    models: tuple[str, str]
    tags: pd.DataFrame
    frames: pd.DataFrame
    compared: int
    left_out: int

    def tables(self, frames: int = 20) -> list[Table]:
        """Return the comparison as tables for a terminal: by tag, and the first frames on which the models disagree."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        from ..view import disarm

        first, second = self.models
        about = (
            f"A: {disarm(first)}\nB: {disarm(second)}\n{self.compared} frames, {len(self.frames)} with different tags"
        )
        if self.left_out:
            about += f"; {self.left_out} left out, because only one of them scored these"
        by_tag = Table("tag", box=SIMPLE_HEAD, title=about, title_justify="left", title_style="")
        for heading in ("both", "only A", "only B", "neither", "kappa"):
            by_tag.add_column(heading, justify="right")
        for tag, row in self.tags.iterrows():
            counts = [str(row[key]) for key in ("both", "only_first", "only_second", "neither")]
            by_tag.add_row(disarm(str(tag)), *counts, "" if np.isnan(row["kappa"]) else f"{row['kappa']:.2f}")
        by_frame = Table("scan", "run", "row", "image", "only A", "only B", "A", "B", box=SIMPLE_HEAD)
        for row in self.frames.head(frames).to_dict("records"):
            image = f"{row['key']} {row['seq_num']}:{row['index']}"
            scores = [f"{row['tag']} {row[side]:.2f}" for side in ("first", "second")]
            where = (str(row["scan_id"]), row["run"][:8], str(row["row"]))
            cells = (*where, image, row["only_first"], row["only_second"], *scores)
            by_frame.add_row(*map(disarm, cells))
        return [by_tag, by_frame] if len(self.frames) else [by_tag]


def compare(catalog: StoredCatalog, first: str | TagModel, second: str | TagModel, *, last: int = 100) -> Comparison:
    """Compare the tags that two models gave to the same frames, without people's corrections.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        A catalogue of Tiled or databroker. To look at certain runs only, narrow it first with `search`.
    first, second : str or TagModel
        The models: each a name, a name and a version, or at least the first eight digits of the sha256, as in
        `bluesky_xtag.search.tags`; so is "shadow", the model that looked on while a run was taken, and "own", the one
        that gave its tags.
    last : int
        How many runs to look at, counted from the newest.

    Raises
    ------
    XTagValueError
        Both are the same model.
    NoTagsError
        None of these runs has tags by both models. The message names the models that you may mean.
    """
    pairs, models = [], (set[str](), set[str]())
    whole = None
    for run in as_catalog(catalog).newest(last):
        whole = whole or run.catalog  # `catalog` may have been narrowed to runs without their derived ones
        try:
            both = [find_rows(run, model, catalog=whole) for model in (first, second)]
        except NoTagsError:
            continue
        for (named, _), names in zip(both, models, strict=True):
            names.add(label(named))
        pairs.append([plain_rows(rows, run) for _, rows in both])
    if not pairs:
        raise NoTagsError(
            f"none of the newest {last} runs has tags by both {_model_name(first)} and {_model_name(second)}: "
            f"{_advise(whole, first, second)}"
        )
    if models[0] == models[1]:
        raise XTagValueError(
            f"{_model_name(first)} and {_model_name(second)} are one model, {'; '.join(models[0])}: name two"
        )
    shown = tuple("; ".join(sorted(names)) for names in models)
    return _compare_tables((shown[0], shown[1]), *map(pd.concat, zip(*pairs, strict=True)))


def draw_disputed(
    catalog: StoredCatalog, comparison: Comparison, path: str | Path, *, roots: NamedRoots = None
) -> None:
    """Draw a comparison: how often the models disagree on each tag, and the frames on which they disagree most.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        The catalogue that has the runs.
    comparison : Comparison
        From `compare`.
    path : str or Path
        The file to write; its suffix decides the format.
    roots : str, Path or an iterable of these, optional
        Directories below which files may be read, as in `bluesky_xtag.replay.replay`: other frames are left out.
        If None, all files are read.

    Raises
    ------
    XTagValueError
        A root is not a directory.
    """
    from ..view import Disputed, draw_comparison

    first = comparison.frames.head(_DRAWN)
    images = read_pixels(as_catalog(catalog), first, Roots.of(roots))
    disputed = [
        Disputed(
            title=f"scan {row['scan_id']}, row {row['row']}",
            pixels=image,
            tag=row["tag"],
            scores=(row["first"], row["second"]),
            only=(row["only_first"], row["only_second"]),
        )
        for row, image in zip(first.to_dict("records"), images, strict=True)
        if image is not None
    ]
    counts = {str(tag): (int(row["only_first"]), int(row["only_second"])) for tag, row in comparison.tags.iterrows()}
    draw_comparison(path, comparison.models, counts, comparison.compared, disputed)


def label(named: Mapping[str, Any]) -> str:
    """Return how people read which model it is, from the entries of a summary that identify it."""
    return "{model} {model_version}, sha256 {model_sha256:.12}".format_map(named)


def _advise(catalog: Catalog | None, *models: str | TagModel) -> str:
    """Return the remedy if no run has tags by all models: correct a name that no summary has, or tag runs."""
    known = known_models(catalog) if catalog is not None else []
    unknown = [model for model in models if not any(describes(model, each) for each in known)]
    hints = [f"{_model_name(model)} is in no summary, {hint_at_models(model, known)}" for model in unknown if known]
    return "; ".join(hints) or "tag some with both first"


def _model_name(model: str | TagModel) -> str:
    return repr(model) if isinstance(model, str) else model.name


def _compare_tables(models: tuple[str, str], first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
    """Compare two taggings with plain names, frame by frame."""
    from sklearn.metrics import cohen_kappa_score

    tags = [tag for tag in score_tags(first) if tag in score_tags(second)]
    known, other = (_number_frames(table) for table in (first, second))
    joined = known.merge(other, on=["run", *PLACE, "nth"], suffixes=("_a", "_b"))
    scored = (joined["status_a"] == "ok") & (joined["status_b"] == "ok")
    left_out = sum(int((table["status"] == "ok").sum()) for table in (known, other)) - 2 * int(scored.sum())
    joined = joined.loc[scored].rename(columns={"scan_id_a": "scan_id", "row_a": "row"})
    given = [
        np.array([[tag in held for tag in tags] for held in joined[side].str.split()], bool).reshape(
            len(joined), len(tags)
        )
        for side in ("tags_a", "tags_b")
    ]
    a, b = given
    by_tag = pd.DataFrame(
        {
            "both": (a & b).sum(0),
            "only_first": (a & ~b).sum(0),
            "only_second": (~a & b).sum(0),
            "neither": (~a & ~b).sum(0),
            "kappa": [
                cohen_kappa_score(*pair) if all(np.unique(side).size == 2 for side in pair) else np.nan
                for pair in zip(a.T, b.T, strict=True)
            ],
        },
        index=pd.Index(tags, name="tag"),
    )
    scores = [joined[[f"p_{tag}_{side}" for tag in tags]].to_numpy(float) for side in "ab"]
    frames = pd.DataFrame(list(_disagreements(joined, tags, given, scores)), columns=pd.Index(_COLUMNS))
    frames = frames.sort_values("first", key=lambda each: -(each - frames["second"]).abs(), kind="stable")
    return Comparison(models, by_tag, frames.reset_index(drop=True), len(joined), left_out)


_COLUMNS = [*_WHERE, "only_first", "only_second", "tag", "first", "second"]


def _number_frames(table: pd.DataFrame) -> pd.DataFrame:
    """Return a tagging with the number of each frame among those of its place: streams may share key and number."""
    return table.assign(nth=table.groupby(["run", *PLACE]).cumcount())


def _disagreements(
    joined: pd.DataFrame, tags: list[str], given: list[np.ndarray], scores: list[np.ndarray]
) -> Iterator[tuple[Any, ...]]:
    for number, where in enumerate(joined[_WHERE].itertuples(index=False, name=None)):
        a, b = (side[number] for side in given)
        if (a == b).all():
            continue
        only = [" ".join(tag for tag, held in zip(tags, side, strict=True) if held) for side in (a & ~b, ~a & b)]
        p, q = (side[number] for side in scores)
        most = int(np.where(a != b, np.abs(p - q), -1).argmax())
        yield (*where, *only, tags[most], float(p[most]), float(q[most]))
