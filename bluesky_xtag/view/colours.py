"""One colour per tag, the same in the terminal and in pictures, and which of several tags says most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..model import DEFAULT_TAXONOMY

__all__ = ["colour", "group", "most_specific", "ordered"]

# Middle tones, readable on dark and on light ground.
_COLOURS = {
    "spots": "#e4572e",
    "oriented": "#e0a100",
    "ring": "#2a9d8f",
    "halo": "#8e6bd8",
    "higher_orders": "#4cc38a",
    "many_rings": "#1d7f6e",
    "form_factor": "#c2569b",
    "symmetry_4": "#d98324",
    "symmetry_6": "#b8862b",
    "bragg_rods": "#c0392b",
    "diffuse_low_q": "#3f88c5",
    "diffuse_high_q": "#6fa8dc",
    "weak_scattering": "#a98467",
    "strong_scattering": "#d1495b",
    "empty": "#8d99ae",
    "grazing_incidence": "#9c6644",
    "high_background": "#b5838d",
    "parasitic_streak": "#bc4b51",
    "saturated": "#e63946",
}
_OTHER = "#7a828e"
_SPECIFIC = (
    "bragg_rods",
    "spots",
    "oriented",
    "symmetry_6",
    "symmetry_4",
    "ring",
    "form_factor",
    "halo",
    "grazing_incidence",
    "higher_orders",
    "many_rings",
    "empty",
    "diffuse_low_q",
    "diffuse_high_q",
    "weak_scattering",
)
_GROUPS = {tag.name: tag.group for tag in DEFAULT_TAXONOMY.tags}


def colour(tag: str) -> str:
    """Return the colour of a tag as "#rrggbb"; tags without a colour of their own are grey."""
    return _COLOURS.get(tag, _OTHER)


def group(tag: str) -> str:
    """Return the group of a tag, "" for a tag that is not in the default taxonomy."""
    return _GROUPS.get(tag, "")


def most_specific(tags: Iterable[str]) -> str | None:
    """Return the tag that says most about the sample; None if none of them speaks of the sample."""
    held = set(tags)
    return next((tag for tag in _SPECIFIC if tag in held), None)


def ordered(scores: Mapping[str, float]) -> list[str]:
    """Return tags in the order in which they are shown: on structure, on intensity, on the instrument.

    Within each of these the highest score comes first.
    """
    late = {"intensity": 1, "instrument": 2}
    return sorted(scores, key=lambda tag: (late.get(group(tag), 0), -scores[tag]))
