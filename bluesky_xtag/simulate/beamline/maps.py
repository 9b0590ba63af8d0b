"""Maps of simulated samples whose truth is known everywhere: what adaptive scans are measured on.

A map says how much of each phase stands in the beam at a place. Places are in mm, from 0 to `SIZE` along x and y.
The beam is a square of `BEAM` mm, so that a sharp border between two phases is crossed within that width.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from ...model import Inputs, Preparation
from ..dataset import at_grid
from ..scene.exposure_limits import check_seconds
from ..scene.patterns import Halo, PowerLaw, Rings, Sphere
from ..scene.scenes import Part, Rendering, expose_binned
from .sample import SIZE, film
from .sample_phases import parts

__all__ = ["BEAM", "SIZE", "Domains", "Exposed", "Islands", "Map", "Peaks", "Region"]

"""Width and height of every map, mm."""

BEAM = 0.05
"""Width of the beam, mm."""

_RINGS = Rings(q0=0.85, ratios=(1.0, 3**0.5, 2.0), amplitudes=(1.0, 0.45, 0.35), width=0.02)
_HALO = Halo(q0=1.45, width=0.22)
_PHASES: dict[str, tuple[Part, ...]] = {
    "empty": (),
    "amorphous": (Part("halo", _HALO, 2e7),),
    "powder": (Part("rings", _RINGS, 7e6), Part("low_q", PowerLaw(3.2, 0.06), 3e5)),
    "oriented": parts("oriented", 2),
    "crystalline": parts("crystalline", 5),
    "porous": (Part("low_q", PowerLaw(3.2, 0.15), 5e6),),
    "spheres": (Part("low_q", Sphere(radius=15.0, polydispersity=0.03), 2e7),),
}


class Map(Protocol):
    """What stands where."""

    phases: tuple[str, ...]
    """Names of the phases."""

    def fractions(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Return how much of each phase stands in the beam, (len(phases), ...) float64."""
        ...


class Region:
    """A powder with a curved, closed border within a glass: the tag `ring` holds inside.

    Parameters
    ----------
    seed : int
        Decides place and shape of the region; it covers about a third of the map.
    """

    phases: tuple[str, ...] = ("amorphous", "powder")

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self._centre = rng.uniform(4.2, 5.8, 2)
        self._folds, self._turns = np.array([1, 2, 3]), rng.uniform(0, 2 * np.pi, 3)
        self._waves = rng.uniform(0.5, 1, 3) * (0.08, 0.2, 0.12)

    def fractions(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Return the shares of glass and powder."""
        dx, dy = np.asarray(x, float) - self._centre[0], np.asarray(y, float) - self._centre[1]
        waves = np.cos(np.multiply.outer(np.arctan2(dy, dx), self._folds) + self._turns) @ self._waves
        powder = _share(3.1 * (1 + waves) - np.hypot(dx, dy))
        return np.stack([1 - powder, powder])


class Domains:
    """A library of four to six phases, each in a domain with bent borders.

    Parameters
    ----------
    seed : int
        Decides which phases there are, and where.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        count = int(rng.integers(4, 7))
        others = [name for name in _PHASES if name != "empty"]
        self.phases = tuple(str(name) for name in rng.permutation(others)[:count])
        self._sites = _apart(rng, count, 3.2)
        self._vectors, self._turns = rng.normal(0, 0.5, (2, 4, 2)), rng.uniform(0, 2 * np.pi, (2, 4))

    def fractions(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Return the shares of the phases: that of the nearest site, mixed with the next one at the border."""
        at = np.stack(np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)), axis=-1)
        angles = np.einsum("cwd,...d->...cw", self._vectors, at) + self._turns
        at = at + 0.35 * np.sin(angles).sum(axis=-1)
        squares = ((at[..., None, :] - self._sites) ** 2).sum(axis=-1)
        first, second = np.moveaxis(np.argsort(squares, axis=-1)[..., :2], -1, 0)
        apart = np.linalg.norm(self._sites[first] - self._sites[second], axis=-1)
        near, far = (np.take_along_axis(squares, each[..., None], -1)[..., 0] for each in (first, second))
        share = _share((far - near) / (2 * apart))
        names = np.arange(len(self.phases)).reshape(-1, *[1] * first.ndim)
        return (names == first) * share + (names == second) * (1 - share)


class Peaks:
    """A glass with a powder that is densest at one place and has two lesser maxima.

    Parameters
    ----------
    seed : int
        Decides where the maxima are.

    Attributes
    ----------
    best : numpy.ndarray
        (2,) float64, the place (x, y) where there is most of the powder, mm.
    """

    phases: tuple[str, ...] = ("amorphous", "powder")
    _heights = (0.3, 0.15, 0.1)
    _width = 1.0

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 3])
        self._sites = _apart(rng, 3, 3.5)
        step = np.linspace(-0.3, 0.3, 121)
        x, y = np.meshgrid(*(self._sites[0] + 0.0)[:, None] + step)
        top = np.argmax(self.fractions(x, y)[1])
        self.best = np.array([x.flat[top], y.flat[top]])

    def fractions(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Return the shares of glass and powder."""
        at = np.stack(np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)), axis=-1)
        squares = ((at[..., None, :] - self._sites) ** 2).sum(axis=-1)
        powder = np.exp(-squares / (2 * self._width**2)) @ np.array(self._heights)
        return np.stack([1 - powder, powder])


class Islands:
    """Grains of a powder on a clean support: about 70 % of the places are empty.

    Parameters
    ----------
    seed : int
        Decides where the grains are.
    """

    phases: tuple[str, ...] = ("empty", "powder")

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 4])
        self._sites, self._radii = rng.uniform(0, SIZE, (12, 2)), rng.uniform(0.6, 1.4, 12)
        axis = np.linspace(0, SIZE, 101)
        grid = self._depth(*np.meshgrid(axis, axis))
        self._level = np.quantile(grid, 0.7)  # what lies deeper is 30 % of the map

    def fractions(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Return the shares of support and powder."""
        powder = _share(self._depth(np.asarray(x, float), np.asarray(y, float)) - self._level)
        return np.stack([1 - powder, powder])

    def _depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        distances = np.hypot(x[..., None] - self._sites[:, 0], y[..., None] - self._sites[:, 1])
        return (self._radii - distances).max(axis=-1)


class Exposed:
    """A map in front of the detector of the simulated sample; frames are exposed on the working grid and prepared.

    A frame of 1 Mpx that is binned by `Preparation.bin` has the same distribution as what is exposed here, but takes
    a hundred times as long.

    Parameters
    ----------
    what : Map
    seed : int
        Of the counting noise.
    preparation : Preparation
        Of the model that will see the frames.
    """

    def __init__(self, what: Map, seed: int, preparation: Preparation) -> None:
        self.map, self.exposed = what, 0
        self._noise, self._preparation = np.random.default_rng([seed, 5]), preparation

    def __call__(self, x: float, y: float, seconds: float) -> Inputs:
        """Expose a frame at a place in mm, and prepare it; `exposed` counts the seconds.

        Raises
        ------
        XTagValueError
            `seconds` is not from 0 to `LONGEST_EXPOSURE`.
        """
        check_seconds(seconds)
        self.exposed += seconds
        total, stray = 0.0, _pattern(None, self._preparation.grid)
        for name, share in zip(self.map.phases, self.map.fractions(x, y), strict=True):
            for part in _PHASES[name] if share > 0 else ():
                unit = _pattern(part, self._preparation.grid).photons[-1]
                total = total + np.float32(seconds * part.photons * share) * unit
        photons = (np.float32(seconds) * stray.photons[0] + total,)
        binned = expose_binned(replace(stray, photons=photons), self._noise)
        return self._preparation.views(binned, stray.scene.told_centre)


@lru_cache(maxsize=64)
def _pattern(part: Part | None, grid: int) -> Rendering:
    """Return where one photon of a part falls, behind the stray light of one second."""
    return at_grid(film(() if part is None else (replace(part, photons=1.0),), 1.0), grid)


def _share(depth: np.ndarray) -> np.ndarray:
    """Return how much of the beam lies inside, of a place at this depth (mm) behind a straight border."""
    return np.clip(0.5 + depth / BEAM, 0, 1)


def _apart(rng: np.random.Generator, count: int, distance: float) -> np.ndarray:
    """Return places, (count, 2) in mm, at least that far from each other."""
    while True:
        sites = rng.uniform(1.2, SIZE - 1.2, (count, 2))
        gaps = np.linalg.norm(sites[:, None] - sites, axis=-1) + distance * np.eye(count)
        if gaps.min() >= distance:
            return sites
