"""Tags and their definitions.

A tag is a named property that a frame may have. Several tags can hold at once. "Visible" means a matched-filter
signal-to-noise ratio of at least 5 over the valid, unsaturated pixels (`bluesky_xtag.simulate.truth.labels`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import XTagValueError

__all__ = ["DEFAULT_TAXONOMY", "Tag", "Taxonomy"]

# Tag names become parts of column names and of dotted search keys, so no dot, space or capital may occur.
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Tag:
    """A named property that a frame may have.

    Parameters
    ----------
    name : str
        Lower-case identifier (letters, digits, underscores).
    group : str
        What the tag is about: frame, intensity, instrument, geometry, diffuse, peaks, orientation, grazing.
    definition : str
        When the tag holds.
    colour : str
        Colour of the tag on pictures and in the terminal, "#rrggbb". If not given, grey. Not stored with a model.
    graded : bool
        The model estimates how strong the tag's component is, too: log10 of its signal-to-noise ratio.
    rank : int
        The tag of a frame with the lowest rank above 0 describes the frame best. Tags of rank 0 say nothing about the
        sample. Not stored with a model.
    """

    name: str
    group: str
    definition: str
    colour: str = field(default="#7a828e", compare=False)
    rank: int = field(default=0, compare=False)
    graded: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise XTagValueError(
                f"tag name {self.name!r} is not usable: start with a lower-case letter and use only "
                "lower-case letters, digits and underscores"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what a model's card stores about the tag."""
        stored = {"name": self.name, "group": self.group, "definition": self.definition}
        return stored | {"graded": True} if self.graded else stored


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of tags. Scores are arrays in this order.

    Parameters
    ----------
    tags : tuple of Tag
        The tags, each name once.
    """

    tags: tuple[Tag, ...]

    def __post_init__(self) -> None:
        names = [tag.name for tag in self.tags]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise XTagValueError(f"a taxonomy holds each tag once, but got twice: {', '.join(twice)}")

    def __len__(self) -> int:
        return len(self.tags)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tags, in order."""
        return tuple(tag.name for tag in self.tags)

    @property
    def graded(self) -> tuple[str, ...]:
        """The names of the tags with a strength, in order. Strengths are arrays in this order."""
        return tuple(tag.name for tag in self.tags if tag.graded)

    def grade(self, names: Collection[str]) -> Taxonomy:
        """Return these tags, of which the named ones have a strength."""
        return Taxonomy(tuple(replace(tag, graded=tag.name in names) for tag in self.tags))

    def index(self, name: str) -> int:
        """Return the position of a tag. If there is no such tag, XTagValueError names the known ones."""
        try:
            return self.names.index(name)
        except ValueError:
            raise XTagValueError(f"no tag {name!r}; known tags: {', '.join(self.names)}") from None

    def subset(self, names: Iterable[str]) -> Taxonomy:
        """Return the taxonomy of the named tags, in the order of this taxonomy."""
        positions = sorted(self.index(name) for name in names)
        return Taxonomy(tuple(self.tags[position] for position in positions))

    def accepted(self, scores: Iterable[float], thresholds: Iterable[float]) -> tuple[str, ...]:
        """Return the names of the tags whose score reaches its threshold (NaN never does)."""
        return tuple(
            name for name, score, threshold in zip(self.names, scores, thresholds, strict=True) if score >= threshold
        )


# Colours are middle tones, readable on dark and on light ground.
DEFAULT_TAXONOMY = Taxonomy(
    (
        Tag(
            "empty",
            "frame",
            "no component of the sample is visible: dark, shutter closed, sample missed",
            colour="#8d99ae",
            rank=12,
        ),
        Tag("saturated", "frame", "at least 20 valid pixels at the counter's limit", colour="#e63946"),
        Tag(
            "high_background",
            "frame",
            "structureless background of at least the visible sample's photons inside its own support",
            colour="#b5838d",
        ),
        Tag(
            "parasitic_streak",
            "frame",
            "slit or beamstop flare: a visible line through the beam centre, length/width at least 10",
            colour="#bc4b51",
        ),
        Tag("weak_scattering", "intensity", "the strongest component has an SNR of 5 to 20", colour="#a98467", rank=15),
        Tag("strong_scattering", "intensity", "the strongest component has an SNR of at least 500", colour="#d1495b"),
        Tag("beamstop", "instrument", "an absorber's shadow (round, bar, wedge, arm) is in the frame"),
        Tag("detector_gaps", "instrument", "module gaps or masked regions cross the frame"),
        Tag("beam_off_image", "instrument", "the direct beam falls outside the frame"),
        Tag(
            "grazing_incidence",
            "geometry",
            "sample horizon and Yoneda band: GISAXS or GIWAXS",
            colour="#9c6644",
            rank=9,
        ),
        Tag(
            "diffuse_low_q",
            "diffuse",
            "power law, Guinier, Ornstein-Zernike or Debye-Bueche, falling from the beam",
            colour="#3f88c5",
            rank=13,
        ),
        Tag("diffuse_high_q", "diffuse", "rises or stays flat to the edge of the frame", colour="#6fa8dc", rank=14),
        Tag("halo", "peaks", "a broad ring, sigma_q/q0 at least 0.20: amorphous, liquid", colour="#8e6bd8", rank=8),
        Tag(
            "ring",
            "peaks",
            "a sharp ring, sigma_q/q0 at most 0.10, visible over 30 degrees or more, continuous in azimuth",
            colour="#2a9d8f",
            rank=6,
        ),
        Tag(
            "spots",
            "peaks",
            "at least 3 discrete spots, each visible, azimuthal FWHM at most 5 degrees: crystal, coarse grains",
            colour="#e4572e",
            rank=2,
        ),
        Tag("higher_orders", "peaks", "at least 2 peaks of the same structure visible", colour="#4cc38a", rank=10),
        Tag("many_rings", "peaks", "at least 5 distinct radii visible", colour="#1d7f6e", rank=11),
        Tag("form_factor", "peaks", "at least 2 resolved minima of the form factor P(q)", colour="#c2569b", rank=7),
        Tag(
            "oriented",
            "orientation",
            "two-fold azimuthal contrast of at least 0.3 at 5 sigma or more: fibre, texture, flow",
            colour="#e0a100",
            rank=3,
        ),
        Tag(
            "symmetry_4",
            "orientation",
            "the four-fold azimuthal harmonic dominates at 5 sigma or more",
            colour="#d98324",
            rank=5,
        ),
        Tag(
            "symmetry_6",
            "orientation",
            "the six-fold azimuthal harmonic dominates at 5 sigma or more",
            colour="#b8862b",
            rank=4,
        ),
        Tag("bragg_rods", "grazing", "rods extended along qz, aspect at least 5", colour="#c0392b", rank=1),
    )
)
