"""Draws scenes: samples in all mixtures, over many decades of exposure, seen through imperfect instruments."""

from __future__ import annotations

import numpy as np

from .geometry import Geometry
from .layouts import HELD_OUT, Layout, draw_layout
from .patterns import (
    BraggRods,
    Component,
    DebyeBueche,
    Guinier,
    Halo,
    HighQ,
    OrnsteinZernike,
    PowerLaw,
    Rings,
    Sphere,
    Spots,
    Streak,
    Textured,
    Yoneda,
)
from .scenes import Defects, Part, Scene
from .shadows import Absorber, Beamstop, FlightTube, Polarisation, Slope

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


def draw_scene(rng: np.random.Generator, held_out: bool = False) -> Scene:
    """Draw one scene.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all chance.
    held_out : bool
        Use the detectors and the q ranges that training never sees, instead of those it does.
    """
    return _Draw(rng, held_out).scene()


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

    def _geometry(self, layout: Layout, held_out: bool) -> Geometry:
        rng, (rows, columns) = self.rng, layout.shape
        if self.grazing:
            share = rng.uniform(0.05, 0.95), rng.uniform(0.75, 1.03) if self.chance(0.7) else rng.uniform(0.5, 0.9)
        elif self.chance(0.7):
            share = 0.5 + 0.13 * rng.standard_normal(), 0.5 + 0.13 * rng.standard_normal()
        else:
            share = rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 1.2)
        if columns > 2 * rows and self.chance(0.4):
            share = float(rng.choice([-1, 1])) * rng.uniform(0.45, 0.95) + 0.5, rng.uniform(0.1, 0.9)
        centre = (share[0] * columns, share[1] * rows)
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
        rng = self.rng
        photons = self.log_uniform(20, 3e3) if self.chance(0.2) else self.log_uniform(1e3, 5e8)
        sample = [] if self.chance(0.11) else self._sample()
        weights = np.array([self.log_uniform(0.05, 1) for _ in sample])
        if self.grazing and len(sample) > 1 and self.chance(0.4):  # no Yoneda band to speak of: the horizon alone
            weights[0] *= self.log_uniform(1e-3, 0.1)
        weights *= photons / max(weights.sum(), 1e-9)
        parts = [
            Part(kind, component, float(weight)) for (kind, component), weight in zip(sample, weights, strict=True)
        ]
        level = photons * self.log_uniform(1e-3, 3)
        if not sample:
            level = self.log_uniform(1, 1e3) if self.chance(0.5) else self.log_uniform(1e3, 1e7)
        parts += self._background(level)
        if self.chance(0.12):
            parts.append(Part("streak", self._streak(), photons * self.log_uniform(0.01, 0.3)))
        x, y = self.geometry.beam_centre
        told = None
        if self.chance(0.62):
            error = rng.normal(0, 0.0025 if self.chance(0.8) else 0.006, 2) * max(self.layout.shape)
            told = (float(x + error[0]), float(y + error[1]))
        return Scene(
            self.layout,
            self.geometry,
            tuple(parts),
            self._shadows(),
            self._blind(),
            self._defects(),
            told,
        )

    def _sample(self) -> list[tuple[str, Component]]:
        if self.grazing:
            return self._grazing_sample()
        if self.chance(0.06):
            return [("spots", self._fibre()), *([self._named("low_q")] if self.chance(0.7) else [])]
        if self.chance(0.14):
            more = [kind for kind in ("halo", "low_q") if self.chance(0.35)]
            return [("spots", self._crystal()), *map(self._named, more)]
        kinds = {"low_q": 0.5, "halo": 0.33, "rings": 0.42, "grains": 0.2, "sphere": 0.2}
        chosen = [kind for kind, share in kinds.items() if self.chance(share)]
        sample = [self._named(kind) for kind in chosen or [str(self.rng.choice(list(kinds)))]]
        powders = [component for _, component in sample if isinstance(component, Rings)]
        if powders and self.chance(0.25):  # some large grains in a fine powder
            sample.append(("spots", self._grains(powders[0])))
        return sample

    def _named(self, kind: str) -> tuple[str, Component]:
        makers = {
            "low_q": ("low_q", self._low_q),
            "sphere": ("low_q", self._sphere),
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
                    self.rng.normal(0, 0.02) + (np.pi / 2 if self.chance(0.05) else 0),
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
        for kind, share in {"halo": 0.35, "rings": 0.4, "low_q": 0.35, "grains": 0.2}.items():
            if self.chance(share):
                sample.append(self._named(kind))
        return sample

    def _step(self) -> float:
        """Return half a working bin in q."""
        return 0.5 * (self.q_far - self.reach(0, 0)) / self.bins

    def _textured(self, component: Component, share: float) -> Component:
        if not self.chance(share):
            return component
        eta = self.rng.uniform(0.17, 0.4) if self.chance(0.35) else self.rng.uniform(0.4, 0.88)
        return Textured(component, float(eta), 2, float(self.rng.uniform(0, 2 * np.pi)))

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
        return self._textured(law, 0.2)

    def _sphere(self) -> Component:
        spread = self.rng.uniform(0.0, 0.1) if self.chance(0.8) else self.rng.uniform(0.2, 0.3)
        return Sphere(10.9 / self.reach(0.15, 0.8), float(spread))

    def _halo(self) -> Component:
        return self._textured(Halo(self.reach(0.15, 0.9), float(self.rng.uniform(0.2, 0.4))), 0.12)

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
        return self._textured(rings, 0.35)

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
        h, k = np.meshgrid(np.arange(-9, 10), np.arange(-9, 10))
        across, up = h * a + k * b * np.cos(angle), k * b * np.sin(angle)
        q, chi = np.hypot(across, up).ravel(), (np.arctan2(up, across) + turn).ravel()
        keep = (q > 0) & (q < self.q_far) & (self.rng.random(q.size) < self.rng.uniform(0.2, 1))
        order = self.rng.permutation(np.flatnonzero(keep))[:120]
        return self._spots(q[order], chi[order], self.log_uniform(0.004, 0.05) * min(a, b))

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

    def _spots(self, q: np.ndarray, chi: np.ndarray, width: float) -> Spots:
        heights = np.exp(self.rng.normal(0, self.rng.uniform(0.2, 1.6), q.size))
        width, widest = max(width, self._step()), np.radians(2.1)
        if self.chance(0.5):  # as wide as they are long, down to a single bin
            across = min(width / float(np.mean(q)) * self.log_uniform(0.8, 2), widest)
        else:
            across = np.radians(self.log_uniform(0.3, 2.1))
        return Spots(tuple(map(float, q)), tuple(map(float, chi)), tuple(map(float, heights)), width, float(across))

    def _background(self, level: float) -> list[Part]:
        flat = Part("background", HighQ(0.0, 1.0), level)
        extra = []
        if self.chance(0.3):
            share = self.rng.uniform(0.4, 0.95)  # left of it in the far corner, as of air scatter or fluorescence
            falling = Guinier(float(np.sqrt(3 * np.log(1 / share))) / self.q_far)
            rising = HighQ(float(self.rng.uniform(0.2, 1.5)), self.q_far)
            extra.append(Part("background", falling if self.chance(0.6) else rising, level))
        return [flat, *extra] if self.chance(0.9) else extra

    def _streak(self) -> Component:
        width = max(self.reach(0.004, 0.02), 1.2 * self._step())
        length = max(self.reach(0.05, 0.3), 5 * width)
        return Streak(float(self.rng.uniform(0, 2 * np.pi)), width, length, self.chance(0.6))

    def _shadows(self) -> tuple[Beamstop | FlightTube | Absorber | Polarisation | Slope, ...]:
        shadows: list[Beamstop | FlightTube | Absorber] = []
        if self.chance(0.6):
            shadows.append(self._beamstop())
        rows, columns = self.layout.shape
        size, (x, y) = max(rows, columns), self.geometry.beam_centre
        if self.layout.round:
            outside = 0.0 if self.chance(0.7) else self.log_uniform(0.003, 0.1)
            middle = (columns / 2 / size, rows / 2 / size)
            shadows.append(FlightTube(middle, float(self.rng.uniform(0.44, 0.5)), outside))
        elif self.chance(0.25):
            off = 0.05 * self.rng.standard_normal(2)
            outside = 0.0 if self.chance(0.5) else self.log_uniform(0.001, 0.3)
            centre = (x / size + off[0], y / size + off[1])
            shadows.append(FlightTube(centre, float(self.rng.uniform(0.35, 0.9)), outside))
        if self.chance(0.1):
            angle = float(self.rng.choice([0, np.pi / 2, np.pi, -np.pi / 2])) + self.rng.normal(0, 0.05)
            shadows.append(Absorber(float(self.rng.uniform(0, 0.45)), angle, self.log_uniform(0.02, 0.8)))
        return (*shadows, *self._uneven())

    def _uneven(self) -> list[Polarisation | Slope]:
        """Return what makes a frame uneven round the beam although its sample is not oriented."""
        found: list[Polarisation | Slope] = [Polarisation(float(self.rng.uniform(0.9, 1)))] if self.chance(0.8) else []
        if self.chance(0.2):
            found.append(Slope(float(self.rng.uniform(0, 2 * np.pi)), self.log_uniform(0.03, 1)))
        return found

    def _beamstop(self) -> Beamstop:
        kind = self.rng.integers(5)
        angle = float(self.rng.choice(4) * np.pi / 2 + self.rng.normal(0, 0.03))
        if self.grazing or kind == 4:  # a bar from below
            angle = np.pi / 2 + self.rng.normal(0, 0.03)
        elif self.chance(0.5):
            angle = float(self.rng.uniform(0, 2 * np.pi))
        arm, spread, radius = 0.0, 0.0, self.log_uniform(0.012, 0.07)
        if kind in (1, 2):  # held by an arm or a wire
            arm = radius * self.rng.uniform(0.15, 0.8)
        elif kind == 3:  # a wedge
            arm, spread = radius * self.rng.uniform(0.3, 1), self.rng.uniform(0.02, 0.2)
        elif kind == 4:  # a bar
            arm, radius = radius * 0.8, radius * 0.8
        off = radius * 0.25 * self.rng.standard_normal(2)
        return Beamstop(
            radius,
            float(arm),
            float(angle),
            float(spread),
            (float(off[0]), float(off[1])),
            0.0 if self.chance(0.6) else self.log_uniform(0.003, 0.3),
            0.0 if self.chance(0.4) else self.log_uniform(0.001, 0.01),
        )

    def _blind(self) -> tuple[tuple[float, float, float, float], ...]:
        if not self.chance(0.08):
            return ()
        x0, x1 = np.sort(self.rng.choice([0, 0.25, 0.5, 0.75, 1], 2, replace=False))
        y0, y1 = np.sort(self.rng.choice([0, 0.25, 0.5, 0.75, 1], 2, replace=False))
        if (x1 - x0) * (y1 - y0) > 0.4:
            x1, y1 = x0 + 0.25, y0 + 0.25
        return ((float(x0), float(y0), float(x1), float(y1)),)

    def _defects(self) -> Defects:
        integrating = self.layout.integrating
        limits = (65534.0, 65534.0, 16383.0) if integrating else (2.0**20 - 1, 2.0**16 - 2, 2.0**31 - 2)
        hot = self.log_uniform(1e-6, 1e-3) if self.chance(0.45) else 0.0
        return Defects(
            psf=self.log_uniform(0.5, 2.5) if integrating else 0.0,
            flat_field=self.log_uniform(0.005, 0.05),
            hot=hot,
            zingers=self.log_uniform(1e-6, 2e-4) if self.chance(0.3) else 0.0,
            read_noise=self.log_uniform(0.5, 5) if integrating else 0.0,
            offset=self.log_uniform(1, 100) if integrating else 0.0,
            gain=self.log_uniform(0.3, 4) if integrating or self.chance(0.05) else 1.0,
            limit=float(self.rng.choice(limits)),
            gap_value=0 if self.chance(0.2) else int(self.rng.choice([-1, -2])),
        )
