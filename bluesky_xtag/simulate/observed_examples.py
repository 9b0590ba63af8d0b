"""Scenes without and with each effect that measured frames show, to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

import numpy as np

from ..errors import XTagValueError
from .dataset import make_scene, raw
from .examples import mean_counts
from .scene.nuisances import NUISANCES
from .scene.observed import OBSERVED, Effect
from .scene.scenes import Scene
from .truth.labels import TAGS

__all__ = ["ObservedPair", "observed_pairs"]

_PLAIN = ("gaps", "noise", "psf", "beamstop")
_PHOTONS, _FAINT = 3e7, 3e4
_IN_THE_DARK = ("readout", "dark")  # what light would hide


@dataclass(frozen=True, eq=False)
class ObservedPair:
    """A scene without an effect and with it.

    Parameters
    ----------
    effect : Effect
    plain, changed : numpy.ndarray
        (rows, columns) float, mean counts per pixel on the working grid; NaN where no pixel is valid.
    tags : tuple of str
        That hold with the effect.
    """

    effect: Effect
    plain: np.ndarray
    changed: np.ndarray
    tags: tuple[str, ...]


def observed_pairs(seed: int = 0, effects: Iterable[str] | None = None) -> list[ObservedPair]:
    """Return scenes without and with effects of `OBSERVED`, in the order in which these are applied.

    Parameters
    ----------
    seed : int
        Of the scenes.
    effects : iterable of str, optional
        Names of the effects; all if not given.

    Raises
    ------
    XTagValueError
        An effect is not known.
    """
    wanted = set(OBSERVED if effects is None else effects)
    if unknown := sorted(wanted - set(OBSERVED)):
        raise XTagValueError(f"no observed effect {', '.join(unknown)}; known: {', '.join(OBSERVED)}")
    shown = ((number, effect) for number, (name, effect) in enumerate(OBSERVED.items()) if name in wanted)
    return [_pair(effect, seed, first=37 * number) for number, effect in shown]


def _pair(effect: Effect, seed: int, first: int) -> ObservedPair:
    drawn = (_expose(make_scene(seed, index, nuisances=_PLAIN), effect) for index in count(first))
    base = next(scene for scene in drawn if _is_framed(scene) and effect.fits(scene))
    changed = effect.draw(base, np.random.default_rng([seed, first]))
    exposed = [raw(scene, np.random.default_rng([seed, first, 1]), observed=True) for scene in (base, changed)]
    plain, shown = (mean_counts(image, mask) for image, _, mask in exposed)
    tags = tuple(name for name, label in zip(TAGS.names, exposed[1][1], strict=True) if label == 1)
    return ObservedPair(effect, plain, shown, tags)


def _expose(scene: Scene, effect: Effect) -> Scene:
    photons = sum(part.photons for part in scene.parts)
    wanted = _FAINT if effect.name in _IN_THE_DARK else _PHOTONS
    return NUISANCES["exposure"].at(scene, wanted / max(photons, 1e-9), np.random.default_rng(0))


def _is_framed(scene: Scene) -> bool:
    """Tell whether a scene shows a sample on a detector like a square, the beam not far from its middle."""
    rows, columns = scene.layout.shape
    x, y = scene.geometry.beam_centre
    near = max(abs(x / columns - 0.5), abs(y / rows - 0.5)) < 0.3
    return near and 0.7 < columns / rows < 1.4 and rows < 2200 and len(scene.parts) > 1
