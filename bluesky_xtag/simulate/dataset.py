"""Labelled frames: scenes by their number, exposed for training or as raw frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..model import Inputs, Preparation
from .scene.sampler import draw_scene
from .scene.scenes import Rendering, Scene, expose_binned, expose_full, make_mask, render
from .truth.labels import label

__all__ = ["at_grid", "expose_raw", "make_scene", "prepare_scene", "raw", "render_both", "sample"]


def make_scene(seed: int, index: int, held_out: bool = False, nuisances: Iterable[str] | None = None) -> Scene:
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
    """
    rng = np.random.default_rng([seed, index, int(held_out)])
    same = index - 1 if index % 6 == 5 else index
    return draw_scene(rng, held_out, nuisances, np.random.default_rng([seed, same, int(held_out), 1]))


def prepare_scene(
    scene: Scene, rng: np.random.Generator, preparation: Preparation | None = None
) -> tuple[Inputs, np.ndarray]:
    """Expose a scene straight on the working grid and prepare it.

    Returns
    -------
    Inputs
        What the network sees.
    numpy.ndarray
        (len(TAGS),) int8: 1 holds, 0 does not, -1 ignored.
    """
    preparation = preparation or Preparation()
    rendering, judged = render_both(scene, preparation.grid)
    binned = expose_binned(rendering, rng)
    at_limit = binned.at_limit if binned.maximum >= scene.defects.limit else 0
    labels = label(judged, at_limit)
    if not binned.valid.any():  # nothing at all can be seen: such a frame is refused before it reaches a network
        binned.valid[...] = 1
    return preparation.views(binned, scene.told_centre), labels


def raw(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
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
    return expose_raw(*render_both(scene), rng)


def expose_raw(
    rendering: Rendering, judged: Rendering, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Expose what `render_both` gives at full resolution; returns what `raw` does."""
    image = expose_full(rendering, rng)
    mask = make_mask(rendering)
    limited = Preparation().bin(image, mask)
    at_limit = limited.at_limit if limited.maximum >= rendering.scene.defects.limit else 0
    return image, label(judged, at_limit), mask


def sample(
    seed: int,
    index: int,
    held_out: bool = False,
    preparation: Preparation | None = None,
    nuisances: Iterable[str] | None = None,
) -> tuple[Inputs, np.ndarray]:
    """Simulate, expose and prepare one frame: `prepared` of `scene`; the same (seed, index) gives the same sample."""
    rng = np.random.default_rng([seed, index, int(held_out), 2])
    return prepare_scene(make_scene(seed, index, held_out, nuisances), rng, preparation)


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
