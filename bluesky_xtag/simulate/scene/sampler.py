"""Draws scenes: samples in all mixtures on detectors of all kinds, then what spoils their frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .geometry import Geometry
from .layouts import HELD_OUT, Layout, draw_layout
from .nuisances import NUISANCES, select_nuisances
from .patterns import (
    BraggRods,
    Component,
    Compton,
    DebyeBueche,
    Guinier,
    Halo,
    HighQ,
    OrnsteinZernike,
    PowerLaw,
    Rings,
    Sphere,
    Spots,
    Textured,
    Yoneda,
)
from .scenes import Part, Scene
from .shadows import FlightTube, Polarisation

__all__ = ["draw_scene"]

STRUCTURES = {
    "lamellar": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0),
    "hexagonal": (1.0, 3**0.5, 2.0, 7**0.5, 3.0, 12**0.5),
    "bcc": (1.0, 2**0.5, 3**0.5, 2.0, 5**0.5, 6**0.5, 7**0.5),
    "fcc": (1.0, (4 / 3) ** 0.5, (8 / 3) ** 0.5, (11 / 3) ** 0.5, 2.0, (16 / 3) ** 0.5, (19 / 3) ** 0.5),
    "cubic": (1.0, 2**0.5, 3**0.5, 2.0, 5**0.5, 6**0.5, 8**0.5, 3.0),
}
# Bands of q_max (1/angstrom) that only held-out scenes have.
HELD_OUT_Q = ((0.12, 0.25), (1.2, 2.0))


def draw_scene(
    rng: np.random.Generator,
    held_out: bool = False,
    nuisances: Iterable[str] | None = None,
    sample: np.random.Generator | None = None,
) -> Scene:
    """Draw one scene.

    Every nuisance has its own chance: leaving one out changes nothing else.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all chance.
    held_out : bool
        Use the detectors and the q ranges that training never sees, instead of those it does.
    nuisances : iterable of str, optional
        Which of `NUISANCES` are drawn; all if not given, none of them for a clean scene.
    sample : numpy.random.Generator, optional
        Chance of the sample and the detector alone, to see one sample with nuisances drawn anew.

    Raises
    ------
    XTagValueError
        A nuisance is not known.
    """
    wanted = {nuisance.name for nuisance in select_nuisances(nuisances)}
    own, *chances = rng.spawn(1 + len(NUISANCES))
    scene = _Draw(sample or own, held_out).scene()
    for nuisance, chance in zip(NUISANCES.values(), chances, strict=True):
        if nuisance.name in wanted:
            scene = nuisance.draw(scene, chance)
    return scene if "gaps" in wanted else replace(scene, layout=replace(scene.layout, name="", modules=(1, 1, 0)))


class _Draw:
    """One draw; holds the chance and the reach of the detector in q."""

    def __init__(self, rng: np.random.Generator, held_out: bool) -> None:
        self.rng = rng
        self.layout = HELD_OUT[rng.integers(len(HELD_OUT))] if held_out else draw_layout(rng)
        self.grazing = rng.random() < 0.13
        self.geometry = self._geometry(self.layout, held_out)
        corners = [(x, y) for x in (0, self.layout.shape[1]) for y in (0, self.layout.shape[0])]
        x, y = self.geometry.beam_centre
        far = max(np.hypot(cx - x, cy - y) for cx, cy in corners)
        near = np.hypot(max(-x, 0, x - self.layout.shape[1]), max(-y, 0, y - self.layout.shape[0]))
        self.near, self.far = float(near), float(far)
        self.bins = (far - near) / max(self.layout.shape) * 200

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def log_uniform(self, low: float, high: float) -> float:
        return float(low * (high / low) ** self.rng.random())

    def reach(self, low: float, high: float) -> float:
        """Return q somewhere between these shares of the detector's radial range."""
        radius = self.near + (self.far - self.near) * self.rng.uniform(low, high)
        two_theta = np.arctan(radius * self.geometry.pixel_size / self.geometry.distance)
        return float(4 * np.pi / self.geometry.wavelength * np.sin(two_theta / 2))

    @property
    def q_far(self) -> float:
        return self.reach(1, 1)

    def _centre(self, layout: Layout) -> tuple[float, float]:
        """Return the beam centre, from -20 to 120 % of the frame and at times far outside."""
        rng, (rows, columns) = self.rng, layout.shape
        if self.grazing:
            share = rng.uniform(0.05, 0.95), rng.uniform(0.75, 1.03) if self.chance(0.7) else rng.uniform(0.5, 0.9)
        elif self.chance(0.7):
            share = 0.5 + 0.13 * rng.standard_normal(), 0.5 + 0.13 * rng.standard_normal()
        elif self.chance(0.8):
            share = rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 1.2)
        else:
            share = rng.uniform(-1.0, 2.0), rng.uniform(-0.5, 1.5)
        if columns > 2 * rows and self.chance(0.4):
            share = float(rng.choice([-1, 1])) * rng.uniform(0.45, 0.95) + 0.5, rng.uniform(0.1, 0.9)
        return share[0] * columns, share[1] * rows

    def _geometry(self, layout: Layout, held_out: bool) -> Geometry:
        rows, columns = layout.shape
        centre = self._centre(layout)
        far = np.hypot(max(centre[0], columns - centre[0]), max(centre[1], rows - centre[1]))
        while True:
            q_max = self.log_uniform(0.05, 5)
            if held_out == any(low <= q_max < high for low, high in HELD_OUT_Q):
                break
        wavelength = min(self.log_uniform(0.15, 1.6), 4 * np.pi * 0.33 / q_max)
        two_theta = 2 * np.arcsin(q_max * wavelength / (4 * np.pi))
        return Geometry(
            layout.shape,
            layout.pixel_size,
            float(far * layout.pixel_size / np.tan(two_theta)),
            wavelength,
            centre,
        )

    def scene(self) -> Scene:
        """Return the sample well exposed on a detector without faults, the beam centre known."""
        photons = self.log_uniform(1e6, 1e8)
        sample = [] if self.chance(0.11) else self._sample()
        weights = np.array([self.log_uniform(0.05, 1) for _ in sample])
        if self.grazing and len(sample) > 1 and self.chance(0.4):  # no Yoneda band to speak of: the horizon alone
            weights[0] *= self.log_uniform(1e-3, 0.1)
        weights *= photons / max(weights.sum(), 1e-9)
        parts = [
            Part(kind, component, float(weight)) for (kind, component), weight in zip(sample, weights, strict=True)
        ]
        level = 1e-3 * photons if sample else self.log_uniform(1, 1e6)
        parts.append(Part("background", HighQ(0.0, 1.0), level))
        disc = [FlightTube(self._middle(), float(self.rng.uniform(0.44, 0.5)))] if self.layout.round else []
        field = Polarisation(float(self.rng.uniform(0.9, 1)) if self.chance(0.8) else 0.5)
        return Scene(self.layout, self.geometry, tuple(parts), (*disc, field), told_centre=self.geometry.beam_centre)

    def _middle(self) -> tuple[float, float]:
        rows, columns = self.layout.shape
        return columns / 2 / max(rows, columns), rows / 2 / max(rows, columns)

    def _sample(self) -> list[tuple[str, Component]]:
        if self.grazing:
            return self._grazing_sample()
        if self.chance(0.06):
            return [("spots", self._fibre()), *([self._make("low_q")] if self.chance(0.7) else [])]
        if self.chance(0.14):
            more = [kind for kind in ("halo", "low_q") if self.chance(0.35)]
            return [("spots", self._crystal()), *map(self._make, more)]
        kinds = {"low_q": 0.46, "halo": 0.33, "rings": 0.42, "grains": 0.18, "sphere": 0.22, "high_q": 0.13}
        picked = [kind for kind, share in kinds.items() if self.chance(share)]
        sample = [self._make(kind) for kind in picked or [str(self.rng.choice(list(kinds)))]]
        powders = [component for _, component in sample if isinstance(component, Rings)]
        if powders and self.chance(0.25):  # some large grains in a fine powder
            sample.append(("spots", self._grains(powders[0])))
        return sample

    def _make(self, kind: str) -> tuple[str, Component]:
        makers = {
            "low_q": ("low_q", self._low_q),
            "sphere": ("low_q", self._sphere),
            "high_q": ("high_q", self._high_q),
            "halo": ("halo", self._halo),
            "rings": ("rings", self._rings),
            "grains": ("spots", self._grains),
        }
        name, make = makers[kind]
        return name, make()

    def _grazing_sample(self) -> list[tuple[str, Component]]:
        band = self.reach(0.04, 0.25) if self.chance(0.6) else self.reach(0.008, 0.08)
        sample: list[tuple[str, Component]] = [
            (
                "grazing",
                Yoneda(
                    band,
                    band * self.rng.uniform(0.1, 0.3),
                    self.reach(0.1, 0.6),
                    self.reach(0.05, 0.3),
                    float(self.rng.normal(0, 0.02)),
                    self.log_uniform(0.01, 0.3),
                ),
            )
        ]
        if self.chance(0.45):
            first = self.reach(0.05, 0.3)
            orders = tuple(first * ratio for ratio in (1, 3**0.5, 2, 7**0.5)[: self.rng.integers(1, 5)])
            sample.append(
                (
                    "rods",
                    BraggRods(orders, max(first * self.log_uniform(0.02, 0.12), self._step()), self.reach(0.2, 0.9)),
                )
            )
        for kind, share in {"halo": 0.35, "rings": 0.4, "low_q": 0.35, "grains": 0.2, "high_q": 0.05}.items():
            if self.chance(share):
                sample.append(self._make(kind))
        return sample

    def _step(self) -> float:
        """Return half a working bin in q."""
        return 0.5 * (self.q_far - self.reach(0, 0)) / self.bins

    def _texture(self, component: Component, share: float) -> Component:
        if not self.chance(share):
            return component
        eta = self.rng.uniform(0.17, 0.4) if self.chance(0.35) else self.rng.uniform(0.4, 0.88)
        fold = int(self.rng.choice([2, 4, 6], p=[0.5, 0.25, 0.25]))
        return Textured(component, float(eta), fold, float(self.rng.uniform(0, 2 * np.pi)))

    def _low_q(self) -> Component:
        kind = self.rng.integers(4)
        if kind == 0:
            law = PowerLaw(float(self.rng.uniform(1.8, 4.5)), self.reach(0.003, 0.06))
        elif kind == 1:
            law = Guinier(1.7 / self.reach(0.06, 0.4))
        elif kind == 2:
            law = OrnsteinZernike(1 / self.reach(0.03, 0.3))
        else:
            law = DebyeBueche(1 / self.reach(0.04, 0.4))
        return self._texture(law, 0.2)

    def _high_q(self) -> Component:
        if self.chance(0.4):
            return self._texture(Compton(1 / self.reach(0.2, 0.8)), 0.1)
        return self._texture(HighQ(self.log_uniform(0.4, 3), self.q_far), 0.1)

    def _sphere(self) -> Component:
        spread = self.rng.uniform(0.0, 0.1) if self.chance(0.8) else self.rng.uniform(0.2, 0.3)
        return Sphere(10.9 / self.reach(0.15, 0.8), float(spread))

    def _halo(self) -> Component:
        return self._texture(Halo(self.reach(0.15, 0.9), float(self.rng.uniform(0.2, 0.4))), 0.12)

    def _ratios(self, limit: int) -> tuple[float, ...]:
        kind = self.rng.integers(7)
        if kind == 0:
            return (1.0,)
        if kind == 1:
            steps = self.rng.uniform(0.05, 0.5, self.rng.integers(4, limit))
            return tuple(float(ratio) for ratio in 1 + np.cumsum(steps) - steps[0])
        ratios = STRUCTURES[str(self.rng.choice(list(STRUCTURES)))]
        return ratios[: self.rng.integers(2, len(ratios) + 1)]

    def _heights(self, ratios: tuple[float, ...]) -> tuple[float, ...]:
        fall = np.exp(-self.rng.uniform(0, 1.2) * (np.array(ratios) - 1))
        return tuple(float(height) for height in fall * np.exp(self.rng.normal(0, 0.5, len(ratios))))

    def _rings(self) -> Component:
        ratios = self._ratios(20)
        q0 = self.reach(0.06, 0.8 if len(ratios) == 1 else 0.45)
        thin = 2 * self._step() * self.log_uniform(0.5, 3) / q0
        width = thin if self.chance(0.6) else max(self.log_uniform(0.006, 0.09), self._step() / q0)
        rings = Rings(q0, ratios, self._heights(ratios), min(width, 0.1), self.chance(0.3))
        return self._texture(rings, 0.4)

    def _grains(self, powder: Rings | None = None) -> Component:
        ratios = powder.ratios[:12] if powder else self._ratios(10)[:8]
        q0 = powder.q0 if powder else self.reach(0.1, 0.6)
        if powder or self.chance(0.4):  # not every ring is spotty
            ratios = tuple(self.rng.choice(ratios, self.rng.integers(1, len(ratios) + 1), replace=False))
        per_ring = int(self.log_uniform(3, 25 if self.chance(0.7) else max(26, 240 / len(ratios))))
        q = np.repeat(q0 * np.array(ratios), per_ring)
        return self._spots(q, self.rng.uniform(-np.pi, np.pi, q.size), self.log_uniform(0.004, 0.03) * q0)

    def _crystal(self) -> Component:
        """Return one orientation of a plane lattice, some of its spots missing."""
        a, b = self.reach(0.06, 0.3), self.reach(0.06, 0.3)
        angle, turn = self.rng.uniform(0.9, 2.0), self.rng.uniform(0, 2 * np.pi)
        missing = self.rng.uniform(0, 0.8)
        if regular := self.rng.choice([0, 4, 6], p=[0.4, 0.3, 0.3]):
            b, angle, missing = a, 2 * np.pi / regular, missing if self.chance(0.3) else 0.2 * missing
        h, k = np.meshgrid(np.arange(-9, 10), np.arange(-9, 10))
        across, up = h * a + k * b * np.cos(angle), k * b * np.sin(angle)
        q, chi = np.hypot(across, up).ravel(), (np.arctan2(up, across) + turn).ravel()
        keep = (q > 0) & (q < self.q_far) & (self.rng.random(q.size) >= missing)
        order = np.flatnonzero(keep)[np.argsort(q[keep])][:140]
        return self._spots(q[order], chi[order], self.log_uniform(0.004, 0.05) * min(a, b), 0.6 if regular else 1.6)

    def _fibre(self) -> Component:
        """Return reflections along one axis through the beam, both sides alike, and weaker ones on layer lines."""
        first, layer = self.reach(0.04, 0.3), self.reach(0.05, 0.3)
        along = first * np.sort(self.rng.uniform(1, 6, self.rng.integers(2, 8)))
        aside = layer * np.arange(self.rng.integers(1, 5))
        x, y = (grid.ravel() for grid in np.meshgrid(along, aside))
        keep = (y == 0) | (self.rng.random(x.size) < 0.3)
        x, y = x[keep], y[keep]
        x, y = np.concatenate([x, -x, x, -x]), np.concatenate([y, y, -y, -y])
        q, chi = np.hypot(x, y), np.arctan2(y, x) + self.rng.uniform(0, 2 * np.pi)
        return self._spots(q, chi, self.log_uniform(0.01, 0.1) * first)

    def _spots(self, q: np.ndarray, chi: np.ndarray, width: float, spread: float = 1.6) -> Spots:
        heights = np.exp(self.rng.normal(0, self.rng.uniform(0.2, spread), q.size))
        width, widest = max(width, self._step()), np.radians(2.1)
        if self.chance(0.5):  # as wide as they are long, down to a single bin
            across = min(width / float(np.mean(q)) * self.log_uniform(0.8, 2), widest)
        else:
            across = np.radians(self.log_uniform(0.3, 2.1))
        return Spots(tuple(map(float, q)), tuple(map(float, chi)), tuple(map(float, heights)), width, float(across))
