"""Frames to look at: a tidy one for each tag, and scenes with and without each nuisance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter

import cv2
import numpy as np

from ..model import Preparation, Tag
from .dataset import make_scene, prepare_scene, raw
from .scene.nuisances import NUISANCES, Nuisance, select_nuisances
from .scene.patterns import Halo, Rings, Textured
from .scene.scenes import Scene
from .scene.shadows import FlightTube
from .truth.labels import TAGS

__all__ = ["Example", "Pair", "mean_counts", "nuisance_pairs", "tag_examples"]

Centre = tuple[float, float]

_CALM = ("gaps", "beamstop")
_ROUGH = (*_CALM, "exposure", "background", "streak", "counter_limit")
_OF_SAMPLE = ("geometry", "diffuse", "peaks", "orientation", "grazing")
_FOLDS = {"oriented": 2, "symmetry_4": 4, "symmetry_6": 6}
# Tags of the scenes that take turns in showing nuisances.
_SHOWN = (
    {"spots", "diffuse_low_q"},
    {"spots", "higher_orders", "halo"},
    {"ring", "diffuse_low_q"},
    {"spots", "many_rings"},
)
_PHOTONS, _BRIGHT = 1e8, 1e9
_NEED_LIGHT = ("dead_pixels", "flat_field", "counter_limit")
# Nuisances of single pixels, which the sums over blocks of a whole frame would hide, and of a few pixels.
_CLOSE = ("mask_wrong", "dead_pixels", "flat_field", "psf", "centre_error")
_SIDE = 110  # pixels of a close view


@dataclass(frozen=True, eq=False)
class Example:
    """A frame in which a tag holds.

    Parameters
    ----------
    tag : Tag
    tags : tuple of str
        All tags that hold.
    frame : numpy.ndarray
        (rows, columns) float, mean counts per pixel on the working grid; NaN where no pixel is valid.
    """

    tag: Tag
    tags: tuple[str, ...]
    frame: np.ndarray


@dataclass(frozen=True, eq=False)
class Pair:
    """A scene without a nuisance and with it at the end of its range.

    Parameters
    ----------
    nuisance : Nuisance
    clean, spoiled : numpy.ndarray
        (rows, columns) float, as `Example.frame` or, for what concerns few pixels, some pixels of the frame.
    centres : tuple
        Beam centres that are told for the two, (x, y) in elements of the arrays, None if none is told.
    """

    nuisance: Nuisance
    clean: np.ndarray
    spoiled: np.ndarray
    centres: tuple[Centre | None, Centre | None]


def tag_examples(seed: int = 0, draws: int = 400) -> list[Example]:
    """Return for each tag, in the order of the taxonomy, a frame of its own where it holds and little else is seen.

    Parameters
    ----------
    seed : int
        Of the scenes.
    draws : int
        How many scenes to choose from, at least 1; more are drawn if there is none for a tag among them.
    """
    found: dict[str, list[tuple[float, int, Scene]]] = {name: [] for name in TAGS.names}
    first = 0
    while True:
        for index in range(first, draws):
            _collect(found, seed, index)
        first, draws = draws, 2 * draws
        if not all(found.values()):
            continue
        taken: set[int] = set()
        examples = [_example(tag, sorted(found[tag.name], key=itemgetter(0, 1)), seed, taken) for tag in TAGS.tags]
        shown = [example for example in examples if example is not None]
        if len(shown) == len(TAGS):
            return shown


def _collect(found: dict[str, list[tuple[float, int, Scene]]], seed: int, index: int) -> None:
    """Note a scene for each tag that it could stand for: how cluttered it is, its number, itself."""
    for nuisances, groups in ((_CALM, ("instrument", *_OF_SAMPLE)), (_ROUGH, ("frame", "intensity"))):
        drawn = make_scene(seed, index, nuisances=nuisances)
        labels = _labels(drawn, seed, index)
        for tag in TAGS.tags:
            if labels[tag.name] == 1 and tag.group in groups:
                found[tag.name].append((_clutter(tag, labels, drawn), index, drawn))


def nuisance_pairs(seed: int = 0, nuisances: Iterable[str] | None = None) -> list[Pair]:
    """Return scenes without and with nuisances, in the order in which these are applied.

    Parameters
    ----------
    seed : int
        Of the scenes.
    nuisances : iterable of str, optional
        Names of the nuisances; all if not given.

    Raises
    ------
    XTagValueError
        A nuisance is not known.
    """
    shown = select_nuisances(nuisances)
    scenes = [_clean_scene(seed, sample) for sample in _SHOWN[: len(shown)]]
    return [_pair(nuisance, scenes[number % len(scenes)], seed) for number, nuisance in enumerate(shown)]


def _labels(drawn: Scene, seed: int, index: int) -> dict[str, int]:
    _, labels = prepare_scene(drawn, np.random.default_rng([seed, index]))
    return dict(zip(TAGS.names, labels.tolist(), strict=True))


def _clutter(tag: Tag, labels: Mapping[str, int], drawn: Scene) -> float:
    """Tell how much of a frame distracts from a tag: other tags, a long detector, a pattern at the edge."""
    others = (other for other in TAGS.tags if other.name != tag.name)
    weight = dict.fromkeys(_OF_SAMPLE, 1.0) | {"instrument": 0.6}
    clutter = sum(weight.get(other.group, 0.0) for other in others if labels[other.name] != 0)
    rows, columns = drawn.layout.shape
    x, y = drawn.geometry.beam_centre
    clutter += 2 * abs(np.log2(columns / rows)) + 0.5 * _is_round(drawn)
    if tag.name != "beam_off_image":
        clutter += 5 * max(0.0, abs(x / columns - 0.5) - 0.1, (abs(y / rows - 0.5) - 0.1) * (tag.group != "grazing"))
    if tag.group == "instrument" and labels["strong_scattering"] != 1:
        clutter += 5  # nobody sees a shadow in the dark
    return clutter + sum(_aside(part.component, tag, drawn) for part in drawn.parts)


def _aside(component: object, tag: Tag, drawn: Scene) -> float:
    """Tell how far a component is from being plain to see: its texture faint, its first peak out of the middle."""
    aside = 0.0
    if isinstance(component, Textured):
        if component.fold == _FOLDS.get(tag.name):
            aside += 3 * (1 - component.contrast)
        component = component.component
    if isinstance(component, Halo | Rings):
        radius = drawn.geometry.radius_at(component.q0) / min(drawn.layout.shape)
        aside += 4 * max(0.0, radius - 0.35, 0.15 - radius)
    return aside


def _example(tag: Tag, candidates: Iterable[tuple[float, int, Scene]], seed: int, taken: set[int]) -> Example | None:
    """Expose the tidiest scene that is not taken and has the tag at full resolution, too; None if there is none."""
    for _, index, drawn in candidates:
        if index in taken:
            continue
        image, labels, mask = raw(drawn, np.random.default_rng([seed, index]))
        holding = tuple(name for name, label in zip(TAGS.names, labels, strict=True) if label == 1)
        if tag.name in holding:
            taken.add(index)
            return Example(tag, holding, mean_counts(image, mask))
    return None


def _clean_scene(seed: int, wanted: set[str]) -> Scene:
    """Return the first clean scene in which these tags hold, its beam near the middle of a detector like a square."""
    drawn = ((index, make_scene(seed, index, nuisances=())) for index in count())
    framed = ((index, each) for index, each in drawn if _is_framed(each))
    return next(each for index, each in framed if all(_labels(each, seed, index)[name] == 1 for name in wanted))


def _is_framed(drawn: Scene) -> bool:
    rows, columns = drawn.layout.shape
    x, y = drawn.geometry.beam_centre
    near = max(abs(x / columns - 0.5), abs(y / rows - 0.5)) < 0.2
    return near and 0.8 < columns / rows < 1.25 and 500 < rows < 1600 and not _is_round(drawn)


def _pair(nuisance: Nuisance, base: Scene, seed: int) -> Pair:
    rng = np.random.default_rng
    photons = _BRIGHT if nuisance.name in _NEED_LIGHT else _PHOTONS
    base = NUISANCES["exposure"].at(base, photons / sum(part.photons for part in base.parts), rng(seed))
    if nuisance.name == "mask_wrong":  # it needs gaps
        gaps = NUISANCES["gaps"]
        base = gaps.at(base, gaps.levels[1], rng(seed))
    scenes = [nuisance.at(base, level, rng(seed)) for level in (nuisance.levels[0], nuisance.levels[-1])]
    exposed = [raw(each, rng([seed, 1])) for each in scenes]
    if nuisance.name not in _CLOSE:
        frames = [mean_counts(image, mask) for image, _, mask in exposed]
        factor = max(exposed[0][0].shape) / max(frames[0].shape)
        centres = [each.told_centre and _move(each.told_centre, (0, 0), factor) for each in scenes]
    else:
        corner = _corner(nuisance, base, exposed[0][0])
        frames = [_close(image, mask, corner) for image, _, mask in exposed]
        centres = [each.told_centre and _move(each.told_centre, corner, 1) for each in scenes]
    return Pair(nuisance, frames[0], frames[1], (centres[0], centres[1]))


def _corner(nuisance: Nuisance, base: Scene, image: np.ndarray) -> tuple[int, int]:
    """Return row and column of the close view: where gaps cross, at the beam, at a peak, or where all is bright."""
    x, y = base.geometry.beam_centre
    rows, columns = image.shape
    if nuisance.name == "mask_wrong":
        middle = (rows / 3 if 2 * y < rows else 2 * rows / 3, columns / 3 if 2 * x < columns else 2 * columns / 3)
    elif nuisance.name == "centre_error":
        middle = (y, x)
    else:
        blocks = Preparation().bin(image)
        size = 1 if nuisance.name == "psf" else _SIDE // blocks.factor
        darkest = cv2.erode(blocks.counts, np.ones((size, size)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        row, column = np.unravel_index(darkest.argmax(), darkest.shape)
        middle = (row * blocks.factor, column * blocks.factor)
    down, across = (
        int(np.clip(at - _SIDE / 2, 0, size - _SIDE)) for at, size in zip(middle, (rows, columns), strict=True)
    )
    return down, across


def _move(centre: Centre, corner: Sequence[float], factor: float) -> Centre:
    return (centre[0] - corner[1]) / factor, (centre[1] - corner[0]) / factor


def mean_counts(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return mean counts on the grid that the network's inputs are made of."""
    binned = Preparation().bin(image, mask)
    pixels = binned.valid * binned.factor**2
    return np.divide(binned.counts, pixels, out=np.full_like(pixels, np.nan), where=pixels > 0)


def _close(image: np.ndarray, mask: np.ndarray | None, corner: tuple[int, int]) -> np.ndarray:
    valid = image >= 0 if mask is None else ~mask
    down, across = corner
    return np.where(valid, image, np.nan)[down : down + _SIDE, across : across + _SIDE]


def _is_round(drawn: Scene) -> bool:
    return any(isinstance(shadow, FlightTube) for shadow in drawn.shadows)
