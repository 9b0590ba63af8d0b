"""Which of two models people's corrections prefer, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..catalog import Catalog, Run, StoredCatalog, as_catalog
from ..documents import TagTable, verdicts
from ..errors import NoTagsError, XTagValueError
from ..search import find_rows, read_corrections
from .comparing import label
from .export import corrected_runs, run_source

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["Judgement", "judge_models", "sign_flip_interval"]

_LEVEL = 0.95
_ALL_FLIPS = 14  # sources, up to which all signs are tried
_FLIPS = 20_000  # signs that are drawn for more sources
_FEWEST = 6  # sources: of fewer, the signs of all may be the same by chance, once in 16 times
_HOPELESS = 30  # times the frames that there are: who would need more has two models that are about as good


@dataclass(frozen=True)
class Judgement:
    """What people's corrections say of two models.

    Parameters
    ----------
    models : (str, str)
        The two models, each with its name, its version, and the first digits of its hash.
    frames, sources : int
        How many corrected frames both models scored, and how many samples (or runs, where no sample is named) these are
        of.
    errors : (float, float)
        Errors a frame: tags that a person spoke of, and that the model gave or left out against that.
    right : (int, int)
        Frames on which the model made no such error.
    interval : (float, float)
        Of the difference of the errors a frame, second minus first, with 95 % confidence, see `sign_flip_interval`.
    """

    models: tuple[str, str]
    frames: int
    sources: int
    errors: tuple[float, float]
    right: tuple[int, int]
    interval: tuple[float, float]

    @property
    def difference(self) -> float:
        """Errors a frame of the second model minus those of the first."""
        return self.errors[1] - self.errors[0]

    @property
    def one_sided(self) -> int | None:
        """The model, 0 or 1, that is wrong on every frame that people judged; None if none is.

        They have then looked only at what it got wrong, and that says nothing of how often it is right.
        """
        return next((number for number in (0, 1) if not self.right[number]), None)

    @property
    def better(self) -> int | None:
        """The better model, 0 or 1; None if these corrections cannot tell."""
        low, high = self.interval
        if self.one_sided is not None or low <= 0 <= high:
            return None
        return 0 if low > 0 else 1

    @property
    def more(self) -> int | None:
        """About how many more corrected frames would tell, if they were like these; None if hardly any number would.

        The width of the interval falls with the root of their number.
        """
        if self.better is not None:
            return 0
        if self.sources < _FEWEST:
            return math.ceil(self.frames / self.sources * (_FEWEST - self.sources))
        if not self.difference:
            return None
        reach = self.difference - self.interval[0] if self.difference > 0 else self.interval[1] - self.difference
        more = self.frames * ((reach / self.difference) ** 2 - 1)
        return max(1, math.ceil(more)) if more <= _HOPELESS * self.frames else None

    def lines(self) -> list[str]:
        """Return the judgement in words."""
        counted = f"{self.frames} corrected frames of {self.sources} {'source' if self.sources == 1 else 'sources'}"
        low, high = self.interval
        between = f"between {low:+.2f} and {high:+.2f}" if math.isfinite(high - low) else "not known yet"
        found = [
            f"{letter}: {model}: {errors:.2f} errors a frame, {right} frames without an error"
            for letter, model, errors, right in zip("AB", self.models, self.errors, self.right, strict=True)
        ]
        return [counted, *found, f"B minus A: {self.difference:+.2f} errors a frame; with 95 % confidence {between}"]

    def verdict(self) -> str:
        """Return in words which model is better, or what is missing to tell."""
        if self.better is not None:
            return f"{'AB'[self.better]} is better"
        if self.one_sided is not None:
            wrong = "AB"[self.one_sided]
            return f"{wrong} is wrong on each of these frames: also confirm frames on which it is right, to be fair"
        if self.more is None:
            return "the two are about equally good, as far as corrections like these can tell"
        others = f", from {_FEWEST - self.sources} other samples or runs" if self.sources < _FEWEST else ""
        return f"not enough corrections: {self.more} more needed (about){others}"


def judge_models(catalog: StoredCatalog, first: str | TagModel = "own", second: str | TagModel = "shadow") -> Judgement:
    """Say which of two models people's corrections prefer, over the corrected frames that both have scored.

    Tags that only one of the models knows are left out, as are tags of a frame that nobody spoke of. People mostly
    correct frames on which the model that they see is wrong; unless they also confirm frames on which it is right, the
    other model looks better than it is.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        A catalogue of Tiled or databroker. All its corrected runs are looked at; narrow it first to look at fewer.
    first, second : str or TagModel
        The models, as in `bluesky_xtag.review.compare`.

    Raises
    ------
    NoTagsError
        Both models have scored none of the corrected frames.
    XTagValueError
        Both are the same model.
    """
    place = as_catalog(catalog)
    names: tuple[dict[str, None], dict[str, None]] = {}, {}
    frames: list[tuple[str, int, int]] = []
    for run in corrected_runs(place):
        try:
            found = [find_rows(run, model, catalog=place) for model in (first, second)]
        except NoTagsError:
            continue
        counted = list(_errors(run, found[0][1], found[1][1], place))
        if counted:
            for known, (named, _) in zip(names, found, strict=True):
                known[label(named)] = None
        frames += [(run_source(run.start), *pair) for pair in counted]
    if not frames:
        raise NoTagsError(
            "people have corrected no frame that both models scored: let one look on with install(RE, shadow=...), or "
            "replay corrected runs with it"
        )
    if set(names[0]) & set(names[1]):
        raise XTagValueError(f"both are the model {'; '.join(names[0])}: name two")
    sources, *wrong = (np.array(each) for each in zip(*frames, strict=True))
    _, place_of = np.unique(sources, return_inverse=True)
    numbers = np.bincount(place_of)
    return Judgement(
        models=("; ".join(names[0]), "; ".join(names[1])),
        frames=len(frames),
        sources=len(numbers),
        errors=(float(wrong[0].mean()), float(wrong[1].mean())),
        right=(int((wrong[0] == 0).sum()), int((wrong[1] == 0).sum())),
        interval=sign_flip_interval(np.bincount(place_of, wrong[1] - wrong[0]), numbers),
    )


def _errors(run: Run, first: pd.DataFrame, second: pd.DataFrame, catalog: Catalog) -> Iterator[tuple[int, int]]:
    """Yield the errors of both models on each corrected frame of a run that both have scored."""
    said = read_corrections(run, catalog)
    tables = TagTable(first), TagTable(second)
    tags = set(tables[0].tags) & set(tables[1].tags)
    judged, accepted = [], []
    for table in tables:
        frames, given = table.frames(run.uid), table.accepted()
        scored = [status == "ok" for status in table["status"]]
        of_table = verdicts(frames, said)
        judged.append({frames[row]: of_table[row].truth for row in of_table if scored[row]})
        accepted.append({frames[row]: set(given[row]) for row in of_table})
    for frame, truth in judged[0].items():
        known = {tag: holds for tag, holds in truth.items() if tag in tags}
        if known and frame in judged[1]:
            first_wrong, second_wrong = (
                sum((tag in given[frame]) != holds for tag, holds in known.items()) for given in accepted
            )
            yield first_wrong, second_wrong


def sign_flip_interval(sums: np.ndarray, numbers: np.ndarray, level: float = _LEVEL) -> tuple[float, float]:
    """Return the confidence interval of a mean difference of pairs that come in groups.

    It holds the differences that the exact test by sign flips does not reject: if the true difference is subtracted,
    the sum of each group is as likely to be positive as negative. Pairs of one group may depend on each other. With
    fewer than six groups, nothing can be rejected at 95 %: the interval is infinite.

    R. A. Fisher, The Design of Experiments (1935), section 21; for intervals M. D. Ernst, Permutation Methods: A Basis
    for Exact Inference, Statistical Science 19 (2004) 676-685, section 3.

    Parameters
    ----------
    sums : numpy.ndarray
        (groups,), the sum of the differences of each group.
    numbers : numpy.ndarray
        (groups,), how many pairs each group has.
    level : float
        The confidence.
    """
    groups = len(sums)
    if groups <= _ALL_FLIPS:
        signs = np.array(list(product((1, -1), repeat=groups)))
    else:
        drawn = np.random.default_rng(0).choice((1, -1), (_FLIPS, groups))
        signs = np.vstack([np.ones((1, groups), int), -np.ones((1, groups), int), drawn])
    total, count = sums.sum(), numbers.sum()
    flipped, weights = signs @ sums, signs @ numbers
    # With the difference d subtracted, flips give |flipped - d weights| and the data |total - d count|. The flips are
    # as extreme as the data for d between these two:
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.array([(total - flipped) / (count - weights), (total + flipped) / (count + weights)])
    unflipped = np.abs(weights) == count
    low, high = np.where(unflipped, -np.inf, ends.min(0)), np.where(unflipped, np.inf, ends.max(0))
    allowed = math.floor((1 - level) * len(signs) + 1e-9)  # so many of them may be as extreme
    return float(np.sort(low)[allowed]), float(-np.sort(-high)[allowed])
