"""Labelled frames: scenes by their number, exposed for training or as raw frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import FrameError
from ..model import Inputs, Preparation
from .forms import draw_form
from .scene.observed import draw_observed
from .scene.sampler import draw_scene
from .scene.scenes import Rendering, Scene, expose_binned, expose_full, make_mask, render
from .truth.labels import label, truth
from .truth.observed_labels import ObservedJudge

__all__ = [
    "Example",
    "at_grid",
    "draw_example",
    "expose_raw",
    "make_scene",
    "prepare_example",
    "prepare_scene",
    "raw",
    "render_both",
    "sample",
]

_FORM, _OBSERVED = 4, 5  # of the numbers, apart from those of the scene and its exposures


@dataclass(frozen=True, eq=False)
class Example:
    """A frame as the network sees it, and the truth about it.

    Parameters
    ----------
    inputs : Inputs
        What the network sees.
    labels : numpy.ndarray
        (len(TAGS),) int8: 1 holds, 0 does not, -1 ignored.
    strengths : numpy.ndarray
        (len(STRENGTHS),) float32, log10 of the signal-to-noise ratio of each component, see
        `bluesky_xtag.simulate.truth.labels.truth`.
    """

    inputs: Inputs
    labels: np.ndarray
    strengths: np.ndarray


def make_scene(
    seed: int, index: int, held_out: bool = False, nuisances: Iterable[str] | None = None, observed: float = 0.0
) -> Scene:
    """Return a scene by its number.

    Every sixth shows the sample of the one before under other conditions, above all another exposure.

    Parameters
    ----------
    seed, index : int
        Name the scene.
    held_out : bool
        Use the detectors and q ranges that training never sees.
    nuisances : iterable of str, optional
        Which of `NUISANCES` are drawn; all if not given.
    observed : float
        Rate, 0 to 1, of what measured frames show beyond these, see `bluesky_xtag.simulate.scene.observed`. All else
        about a scene does not depend on it.
    """
    rng = np.random.default_rng([seed, index, int(held_out)])
    same = index - 1 if index % 6 == 5 else index
    scene = draw_scene(rng, held_out, nuisances, np.random.default_rng([seed, same, int(held_out), 1]))
    if not observed:
        return scene
    return draw_observed(scene, np.random.default_rng([seed, index, int(held_out), _OBSERVED]), observed)


def prepare_scene(
    scene: Scene, rng: np.random.Generator, preparation: Preparation | None = None, observed: bool = False
) -> tuple[Inputs, np.ndarray]:
    """Expose a scene straight on the working grid and prepare it.

    Parameters
    ----------
    scene : Scene
    rng : numpy.random.Generator
        Chance of the exposure.
    preparation : Preparation, optional
        The default one if not given.
    observed : bool
        Judge by the rules of scenes with observed effects, `bluesky_xtag.simulate.truth.observed_labels`.

    Returns
    -------
    Inputs
        What the network sees.
    numpy.ndarray
        (len(TAGS),) int8: 1 holds, 0 does not, -1 ignored.
    """
    example = prepare_example(scene, rng, preparation, observed)
    return example.inputs, example.labels


def prepare_example(
    scene: Scene, rng: np.random.Generator, preparation: Preparation | None = None, observed: bool = False
) -> Example:
    """Expose and prepare a scene as `prepare_scene` does, and return all that is known about it."""
    preparation = preparation or Preparation()
    rendering, judged = render_both(scene, preparation.grid)
    binned = expose_binned(rendering, rng)
    at_limit = binned.at_limit if binned.maximum >= scene.defects.limit else 0
    known = truth(judged, at_limit, ObservedJudge if observed else None)
    if not binned.valid.any():  # nothing at all can be seen: such a frame is refused before it reaches a network
        binned.valid[...] = 1
    return Example(preparation.views(binned, scene.told_centre), *known)


def raw(
    scene: Scene, rng: np.random.Generator, observed: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Expose a scene at full resolution.

    Returns
    -------
    numpy.ndarray
        (rows, columns) int32, as the detector writes it.
    numpy.ndarray
        (len(TAGS),) int8 labels.
    numpy.ndarray or None
        (rows, columns) bool, the mask that is told apart from the image, if any.
    """
    return expose_raw(*render_both(scene), rng, observed)


def expose_raw(
    rendering: Rendering, judged: Rendering, rng: np.random.Generator, observed: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Expose what `render_both` gives at full resolution; returns what `raw` does."""
    image, at_limit, mask = _expose(rendering, rng)
    return image, label(judged, at_limit, ObservedJudge if observed else None), mask


def _expose(rendering: Rendering, rng: np.random.Generator) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Return the image, how many of its valid pixels are at the counter's limit, and the mask that is told."""
    image = expose_full(rendering, rng)
    mask = make_mask(rendering)
    limited = Preparation().bin(image, mask)
    return image, limited.at_limit if limited.maximum >= rendering.scene.defects.limit else 0, mask


def sample(
    seed: int,
    index: int,
    held_out: bool = False,
    preparation: Preparation | None = None,
    nuisances: Iterable[str] | None = None,
    forms: float = 0.0,
    observed: float = 0.0,
) -> tuple[Inputs, np.ndarray]:
    """Simulate, expose and prepare one frame; the same (seed, index) gives the same sample.

    Parameters
    ----------
    seed, index, held_out, nuisances
        As for `make_scene`.
    preparation : Preparation, optional
        The default one if not given.
    forms : float
        Share of the frames that are exposed at full resolution and come in another form, see
        `bluesky_xtag.simulate.forms`. The other frames do not depend on it. Exposing takes longer then.
    observed : float
        As for `make_scene`. Unless it is 0, the labels follow the rules of
        `bluesky_xtag.simulate.truth.observed_labels`.

    Returns
    -------
    Inputs
        What the network sees.
    numpy.ndarray
        (len(TAGS),) int8 labels.
    """
    example = draw_example(seed, index, held_out, preparation, nuisances, forms, observed)
    return example.inputs, example.labels


def draw_example(
    seed: int,
    index: int,
    held_out: bool = False,
    preparation: Preparation | None = None,
    nuisances: Iterable[str] | None = None,
    forms: float = 0.0,
    observed: float = 0.0,
) -> Example:
    """Simulate, expose and prepare one frame as `sample` does, and return all that is known about it."""
    how = preparation or Preparation()
    rng = np.random.default_rng([seed, index, int(held_out), 2])
    scene = make_scene(seed, index, held_out, nuisances, observed)
    if forms:
        of_form = np.random.default_rng([seed, index, int(held_out), _FORM])
        if of_form.random() < forms:
            return _prepare_form(scene, of_form, how, observed > 0)
    return prepare_example(scene, rng, how, observed > 0)


def _prepare_form(scene: Scene, rng: np.random.Generator, preparation: Preparation, observed: bool) -> Example:
    rendering, judged = render_both(scene)
    image, at_limit, mask = _expose(rendering, rng)
    try:
        binned = preparation.bin(draw_form(image, scene.defects.limit, rng), mask)
    except FrameError:  # a form without a pixel that can be used; the frame itself is refused, or is not
        return prepare_example(scene, rng, preparation, observed)
    known = truth(judged, at_limit, ObservedJudge if observed else None)
    return Example(preparation.views(binned, scene.told_centre), *known)


def at_grid(scene: Scene, grid: int | None = None) -> Rendering:
    """Render a scene on a working grid; that of the default preparation, on which labels are judged, if not given."""
    return render(scene, max(1, -(-max(scene.layout.shape) // (grid or Preparation().grid))))


def render_both(scene: Scene, grid: int | None = None) -> tuple[Rendering, Rendering]:
    """Render a scene to expose it, and on the grid on which labels are judged, with the same photons.

    How many photons a part can bring depends on the resolution where its pattern is sharper than a block and nearly
    hidden. Labels must not speak of photons that the frame lacks, so both have what is possible in both.

    Parameters
    ----------
    scene : Scene
    grid : int, optional
        Working grid to expose on; full resolution if not given.

    Returns
    -------
    Rendering
        To be exposed.
    Rendering
        To be judged; the same object where the grids are the same.
    """
    judged = at_grid(scene)
    if grid == Preparation().grid:
        return judged, judged
    rendering = render(judged.scene) if grid is None else at_grid(judged.scene, grid)
    if rendering.scene.parts != judged.scene.parts:
        judged = at_grid(rendering.scene)
    return rendering, judged
