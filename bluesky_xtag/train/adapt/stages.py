"""Adapts in stages: calibration, a correction of the last layer, one that simulated frames hold. Each only if it helps.

A stage is tried at several strengths of its penalty. Each is judged on frames of sources that it was not fitted to,
and the stage is left out unless one of them makes fewer errors a frame than the model without it (see
`judging.choose`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .calibration import Calibration, fit_calibration
from .judging import choose, divide, entropy, errors
from .last_layer import Examples, correct, enough

__all__ = ["CALIBRATION", "LAST_LAYER", "STAGES", "Correction", "Recipe", "labelled_enough", "learn", "validate"]

CALIBRATION = (10.0, 3.0, 1.0, 0.3)  # strengths that are tried
LAST_LAYER = (1.0, 0.3, 0.1, 0.03)
STAGES = ("before", "calibration", "head", "network")
OUTER_FOLDS, INNER_FOLDS = 10, 5


@dataclass(frozen=True, eq=False)
class Recipe:
    """How firmly the parts of the model are held; infinite for a part that stays as it is.

    Parameters
    ----------
    calibration : float
        Strength of the penalty on slopes and offsets, see `fit_calibration`.
    last_layer : numpy.ndarray
        (tags,) strengths of the penalty on the weights, see `correct`.
    known : numpy.ndarray
        (tags,) bool: the network knows the tag; other tags have nothing to calibrate.
    held : bool
        Whether simulated frames hold the last layer.
    """

    calibration: float
    last_layer: np.ndarray
    known: np.ndarray
    held: bool = False

    def fit(self, examples: Examples, replay: Examples | None) -> Correction:
        """Fit to labelled frames and, if `held`, to simulated ones."""
        may = self.known & labelled_enough(examples.labels, examples.sources)
        labels = np.where(may, examples.labels, -1).astype(np.int8)
        calibration = fit_calibration(examples.margins, labels, self.calibration)
        calibrated = examples.with_margins(calibration(examples.margins))
        holding = replay.with_margins(calibration(replay.margins)) if replay is not None and self.held else None
        return Correction(calibration, correct(calibrated, holding, self.last_layer), self)


@dataclass(frozen=True, eq=False)
class Correction:
    """What was learned: calibrated margins plus delta . (features, 1), delta being (width + 1, tags)."""

    calibration: Calibration
    delta: np.ndarray
    recipe: Recipe

    def __call__(self, examples: Examples) -> np.ndarray:
        """Return corrected margins (n, tags)."""
        return self.calibration(examples.margins) + examples.features @ self.delta[:-1] + self.delta[-1]

    @property
    def changed(self) -> np.ndarray:
        """(tags,) bool: the tag's scores are others than before."""
        return (self.calibration.slopes != 1) | (self.calibration.offsets != 0) | self.weighed

    @property
    def weighed(self) -> np.ndarray:
        """(tags,) bool: the tag's weights are others, not their scale alone."""
        return np.any(self.delta != 0, axis=0)

    def stages(self, known: np.ndarray) -> tuple[str, ...]:
        """Return the stages that the known tags have been through."""
        weighed = bool(self.weighed[known].any())
        used = (True, np.isfinite(self.recipe.calibration), weighed and not self.recipe.held, self.recipe.held)
        return tuple(stage for stage, through in zip(STAGES, used, strict=True) if through)


def learn(examples: Examples, replay: Examples | None, known: np.ndarray, last: str = STAGES[-1]) -> Correction:
    """Choose how far to go on sources that the fit has not seen, then fit to all frames.

    Parameters
    ----------
    examples : Examples
        The labelled frames.
    replay : Examples or None
        Simulated frames; without them there is no stage "network".
    known : numpy.ndarray
        (tags,) bool: the network knows the tag. The known tags share their strengths, every other tag has its own.
    last : str
        The last of `STAGES` that may be tried.
    """
    parts, tags = divide(examples.sources, INNER_FOLDS), known.size
    allowed = STAGES[: STAGES.index(last) + 1]
    may = known & enough(examples.labels, examples.sources)

    def held_out(recipe: Recipe) -> np.ndarray:
        found = np.empty(examples.margins.shape)
        for part in parts:
            found[part] = recipe.fit(examples.rows(~part), replay)(examples.rows(part))
        return found

    def best(first: Recipe, others: list[Recipe]) -> Recipe:
        recipes = [first, *others]
        margins = np.array([held_out(recipe)[:, known] for recipe in recipes])
        return recipes[choose(margins, examples.labels[:, known], examples.sources)]

    recipe = Recipe(np.inf, np.full(tags, np.inf), known)
    if "calibration" in allowed and known.any():
        recipe = best(recipe, [replace(recipe, calibration=strength) for strength in CALIBRATION])
    for stage, held in (("head", False), ("network", True)):
        if stage in allowed and may.any() and not (held and replay is None):
            layers = [np.where(may, strength, np.inf) for strength in LAST_LAYER]
            recipe = best(recipe, [replace(recipe, last_layer=layer, held=held) for layer in layers])
    if not known.all():
        layers = [np.where(known, np.inf, strength) for strength in LAST_LAYER]
        found = np.array([held_out(Recipe(np.inf, layer, known)) for layer in layers])
        losses = [np.nansum(entropy(each, examples.labels), axis=0) for each in found]
        own = np.array(LAST_LAYER)[np.argmin(losses, axis=0)]
        recipe = replace(recipe, last_layer=np.where(known, recipe.last_layer, own))
    return recipe.fit(examples, replay)


def validate(
    examples: Examples, replay: Examples | None, known: np.ndarray, last: str = STAGES[-1]
) -> dict[str, np.ndarray]:
    """Repeat `learn` without some of the sources in turn, up to each stage; the arguments are those of `learn`.

    Returns
    -------
    dict
        Of each stage that may serve the (n, tags) margins of each frame, by a correction that has seen no frame of its
        source. A stage that makes more errors on them than the one before it is left out, and all that follow.
    """
    found: dict[str, np.ndarray] = {}
    wrong = np.inf
    for stage in STAGES[: STAGES.index(last) + 1]:
        if stage == "network" and replay is None:
            continue
        margins = np.empty(examples.margins.shape)
        for part in divide(examples.sources, OUTER_FOLDS):
            margins[part] = learn(examples.rows(~part), replay, known, stage)(examples.rows(part))
        number = errors(margins[:, known], examples.labels[:, known]).sum()
        if number > wrong:
            break
        found[stage], wrong = margins, number
    return found


def labelled_enough(labels: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Return (tags,) bool: frames of two sources or more are labelled, so that a known tag can be calibrated."""
    return np.array([np.unique(sources[rows]).size >= 2 for rows in (labels >= 0).T])
