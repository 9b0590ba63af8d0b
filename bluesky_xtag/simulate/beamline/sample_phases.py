"""The phases of the simulated sample: what each of them scatters."""

from __future__ import annotations

import numpy as np

from ..scene.patterns import Component, Halo, PowerLaw, Rings, Spots, Textured
from ..scene.scenes import Part

__all__ = ["PHASES", "TURNS", "parts"]

PHASES = ("empty", "amorphous", "powder", "oriented", "crystalline")

TURNS = 12
"""How many directions of the fibres, and settings of the crystals, are told apart."""

# The rise towards the beam that films of grains or fibres show.
_POROSITY = PowerLaw(exponent=3.2, q_min=0.06)


def parts(phase: str, turn: int) -> tuple[Part, ...]:
    """Return what a phase scatters; photons are those of one second where the film is thickest.

    Parameters
    ----------
    phase : str
        One of `PHASES`.
    turn : int
        Direction of the fibres or setting of the crystal, 0 to `TURNS` - 1; the other phases have none.
    """
    angle = np.pi * turn / TURNS
    match phase:
        case "amorphous":
            return (Part("halo", Halo(q0=1.45, width=0.22), 2e7),)
        case "powder":
            ratios, heights = (1.0, 3**0.5, 2.0, 7**0.5), (1.0, 0.45, 0.35, 0.25)
            rings = Rings(q0=0.85, ratios=ratios, amplitudes=heights, width=0.02)
            return Part("rings", rings, 7e6), Part("low_q", _POROSITY, 3e5)
        case "oriented":
            layers = Rings(q0=0.62, ratios=(1.0, 2.0, 3.0), amplitudes=(1.0, 0.4, 0.2), width=0.035)
            return (Part("rings", Textured(layers, eta=0.75, fold=2, angle=angle), 3e6), Part("low_q", _POROSITY, 3e5))
        case "crystalline":
            return (Part("spots", _crystal(angle / 2, np.random.default_rng(turn)), 2.5e6),)
        case _:
            return ()


def _crystal(angle: float, rng: np.random.Generator) -> Component:
    """Return the spots of a slightly bent crystal: a square net of reciprocal lattice points, 0.55 1/angstrom apart."""
    h, k = np.mgrid[-5:6, -5:6]
    points = 0.55 * (h + 1j * k).ravel() * np.exp(1j * angle)
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
