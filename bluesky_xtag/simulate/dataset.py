"""Labelled frames: prepared samples for training, and HDF5 files of raw frames."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import XTagValueError
from ..prepare import Inputs, Preparation
from .labels import TAGS, label
from .sampler import draw_scene
from .scenes import expose_binned, expose_full, render

__all__ = ["sample", "simulate"]


def sample(
    seed: int, index: int, held_out: bool = False, preparation: Preparation | None = None
) -> tuple[Inputs, np.ndarray]:
    """Simulate, expose and prepare one frame; the same (seed, index) gives the same sample.

    Parameters
    ----------
    seed, index : int
        Name the sample.
    held_out : bool
        Use the detectors and q ranges that training never sees.
    preparation : Preparation, optional
        The default one if not given.

    Returns
    -------
    Inputs
        What the network sees.
    numpy.ndarray
        (len(TAGS),) int8: 1 holds, 0 does not, -1 ignored.
    """
    preparation = preparation or Preparation()
    rng = np.random.default_rng([seed, index, int(held_out)])
    scene = draw_scene(rng, held_out)
    rendering = render(scene, max(1, -(-max(scene.layout.shape) // preparation.grid)))
    binned = expose_binned(rendering, rng)
    if not binned.valid.any():
        return sample(seed, index + 2**40, held_out, preparation)
    return preparation.views(binned, scene.told_centre), label(rendering, _at_limit(binned, scene))


def _at_limit(binned: Any, scene: Any) -> int:
    return binned.at_limit if binned.maximum >= scene.defects.limit else 0


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
