"""The continuous truth behind the labels: what scatters in a scene, where, and how well it can be seen."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from ..dataset import at_grid
from ..scene.patterns import Component, Spots, Textured
from ..scene.scenes import Scene
from .visibility import Visibility

__all__ = ["continuous_truth"]


def continuous_truth(scene: Scene) -> dict[str, Any]:
    """Return what a file of frames keeps of a scene, as attributes.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    dict
        `true_beam_centre_xy` (pixels), `wavelength` (angstrom), `distance` and `pixel_size` (metres), `tilt`, `swing`
        and `turn` (degrees), and `components`, JSON: a list with the kind of each component, its photons in the
        frame, its SNR on the working grid, and its parameters (q0 in 1/angstrom, width, fold ... as in `patterns`).
    """
    seen, geometry = Visibility(at_grid(scene)), scene.geometry
    components = [
        {"kind": part.kind, "photons": part.photons, "snr": round(snr, 3), **_parameters(part.component)}
        for (part, _), snr in zip(seen.parts, seen.snrs, strict=True)
    ]
    return {
        "true_beam_centre_xy": np.array(geometry.beam_centre),
        "wavelength": geometry.wavelength,
        "distance": geometry.distance,
        "pixel_size": geometry.pixel_size,
        "tilt": float(np.degrees(geometry.tilt)),
        "swing": float(np.degrees(geometry.swing)),
        "turn": float(np.degrees(scene.turn)),
        "components": json.dumps(components),
    }


def _parameters(component: Component) -> dict[str, Any]:
    if isinstance(component, Textured):
        texture = {name: getattr(component, name) for name in ("eta", "fold", "angle")}
        return _parameters(component.component) | texture
    if isinstance(component, Spots):  # hundreds of places would fill the file
        radii = sorted(set(np.round(component.q, 5).tolist()))
        widths = {"width_q": component.width_q, "width_chi": component.width_chi}
        return {"pattern": "Spots", "spots": len(component.q), "radii": radii, **widths}
    return {"pattern": type(component).__name__, **asdict(component)}  # pyright: ignore[reportArgumentType]
