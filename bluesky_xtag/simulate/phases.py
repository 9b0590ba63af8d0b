"""The phases of the simulated sample: what each scatters and which tags hold where it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .patterns import Component, Halo, Rings, Spots, Textured

__all__ = ["PHASES", "TURNS", "Phase", "component"]

TURNS = 12
"""How many directions of the fibres, and settings of the crystals, are told apart."""


@dataclass(frozen=True)
class Phase:
    """What a place of the sample may be.

    Parameters
    ----------
    name : str
        Its name.
    photons : float
        Peak of its pattern, photons per pixel and second where the film is thickest.
    present : tuple of str
        Tags that hold where the phase is visible.
    possible : tuple of str
        Tags that may or may not hold there.
    """

    name: str
    photons: float = 0.0
    present: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()


PHASES = (
    Phase("empty"),
    Phase("amorphous", 40.0, ("halo",)),
    Phase("powder", 150.0, ("ring", "higher_orders"), ("many_rings",)),
    Phase("oriented", 250.0, ("oriented", "higher_orders"), ("ring", "spots")),
    Phase("crystalline", 4000.0, ("spots",), ("higher_orders", "many_rings", "oriented", "ring")),
)


def component(name: str, turn: int) -> Component:
    """Return what a phase scatters.

    Parameters
    ----------
    name : str
        One of the names of `PHASES`, but not "empty".
    turn : int
        Direction or setting, 0 to `TURNS` - 1; without effect on amorphous and powder.
    """
    angle = np.pi * turn / TURNS
    match name:
        case "amorphous":
            return Halo(q0=1.45, width=0.22)
        case "powder":
            ratios = (1.0, 3**0.5, 2.0, 7**0.5)
            return Rings(q0=0.85, ratios=ratios, amplitudes=(1.0, 0.45, 0.35, 0.25), width=0.02)
        case "oriented":
            layers = Rings(q0=0.62, ratios=(1.0, 2.0, 3.0), amplitudes=(1.0, 0.4, 0.2), width=0.035)
            return Textured(layers, eta=0.75, fold=2, angle=angle)
        case _:
            return _crystal(angle, np.random.default_rng(turn))


def _crystal(angle: float, rng: np.random.Generator) -> Spots:
    """Return the spots of a slightly bent crystal: a square net of reciprocal lattice points, 0.55 1/angstrom."""
    h, k = np.mgrid[-5:6, -5:6]
    points = 0.55 * (h + 1j * k).ravel() * np.exp(1j * angle / 2)
    points = points[np.abs(points) > 0.3]
    points += rng.normal(0, 0.006, (points.size, 2)) @ (1, 1j)
    heights = np.exp(rng.normal(-1.2, 0.9, points.size) - 0.25 * np.abs(points) ** 2)
    return Spots(
        q=tuple(np.abs(points)),
        chi=tuple(np.angle(points)),
        amplitudes=tuple(np.minimum(heights, 1.0)),
        width_q=0.009,
        width_chi=0.01,
    )
