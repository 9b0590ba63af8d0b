"""Labelled frames: scenes by their number, exposed for training or as raw frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..prepare import Inputs, Preparation
from .labels import label
from .sampler import draw_scene
from .scenes import Scene, expose_binned, expose_full, render, told_mask

__all__ = ["prepared", "raw", "sample", "scene"]


def scene(seed: int, index: int, held_out: bool = False, nuisances: Iterable[str] | None = None) -> Scene:
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


def prepared(
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
    rendering = render(scene, _factor(scene, preparation))
    binned = expose_binned(rendering, rng)
    at_limit = binned.at_limit if binned.maximum >= scene.defects.limit else 0
    labels = label(_at_grid(rendering, scene), at_limit)
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
    rendering = render(scene)
    image = expose_full(rendering, rng)
    full = (image >= scene.defects.limit) & (image < np.iinfo(image.dtype).max)
    labels = label(render(scene, _factor(scene, Preparation())), int(full.sum()))
    return image, labels, told_mask(rendering)


def sample(
    seed: int,
    index: int,
    held_out: bool = False,
    preparation: Preparation | None = None,
    nuisances: Iterable[str] | None = None,
) -> tuple[Inputs, np.ndarray]:
    """Simulate, expose and prepare one frame: `prepared` of `scene`; the same (seed, index) gives the same sample."""
    rng = np.random.default_rng([seed, index, int(held_out), 2])
    return prepared(scene(seed, index, held_out, nuisances), rng, preparation)


def _factor(scene: Scene, preparation: Preparation) -> int:
    return max(1, -(-max(scene.layout.shape) // preparation.grid))


def _at_grid(rendering, scene):
    """Return the rendering on the default working grid, on which labels are judged."""
    factor = _factor(scene, Preparation())
    return rendering if rendering.factor == factor else render(scene, factor)


def simulate(out: str | Path, frames: int, seed: int = 0, held_out: bool = True) -> Path:
    """Write raw simulated frames with their truth to an HDF5 file.

    The layout: a data set a frame (int32, raw counts), attributes `truth` (1, 0, -1 uncertain, in the order of the
    file's attribute `tags`) and, where the metadata would tell it, `beam_centre_xy`.

    Parameters
    ----------
    out : path
        File to write; must not exist.
    frames : int
        How many.
    seed : int
        The same seed gives the same frames.
    held_out : bool
        Use the detectors and q ranges that training never sees.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    XTagValueError
        The file exists already, or `frames` is less than one.
    """
    import h5py
    import hdf5plugin
    from rich.progress import track

    out = Path(out)
    if out.exists():
        raise XTagValueError(f"{out} exists: choose another name or remove it first")
    if frames < 1:
        raise XTagValueError(f"at least one frame is needed, but got {frames}")
    with h5py.File(out, "w") as file:
        file.attrs["tags"] = list(TAGS.names)
        for index in track(range(frames), description=f"Simulating {out.name}"):
            rng = np.random.default_rng([seed, index, int(held_out)])
            scene = draw_scene(rng, held_out)
            image = expose_full(render(scene), rng)
            coarse = render(scene, max(1, math.ceil(max(image.shape) / Preparation().grid)))
            full = (image >= scene.defects.limit) & (image < np.iinfo(image.dtype).max)
            data = file.create_dataset(f"{index:06d}", data=image, **hdf5plugin.Bitshuffle(cname="lz4"))
            data.attrs["truth"] = label(coarse, int(full.sum()))
            data.attrs["detector"] = scene.layout.name or f"{image.shape[1]} x {image.shape[0]}"
            if scene.told_centre is not None:
                data.attrs["beam_centre_xy"] = np.array(scene.told_centre, np.float32)
    return out
