"""Colours of the tags on the live map: those of the taxonomy, moved as far as colour-blind people need it.

On a map, colours lie next to each other without words. The colours of the taxonomy differ too little there for those
who see no red or no green (spots and symmetry_6, ring and form_factor). These were searched for near them, so that any
two differ by 15 or more in CIE L*a*b*, in normal sight, protanopia and deuteranopia alike.
"""

from __future__ import annotations

from ..model import DEFAULT_TAXONOMY

__all__ = ["live_colour"]

_MOVED = {
    "empty": "#96b4d2",
    "weak_scattering": "#c39669",
    "grazing_incidence": "#96694b",
    "diffuse_low_q": "#2d5a87",
    "diffuse_high_q": "#5ab4ff",
    "halo": "#695ad2",
    "ring": "#3ca596",
    "spots": "#e15a2d",
    "higher_orders": "#5ae1a5",
    "many_rings": "#1e6969",
    "form_factor": "#b469c3",
    "oriented": "#ffe100",
    "symmetry_4": "#f0960f",
    "symmetry_6": "#ffd278",
    "bragg_rods": "#a5000f",
}
_KNOWN = {tag.name: tag.colour for tag in DEFAULT_TAXONOMY.tags} | _MOVED
_OTHER = "#7a828e"


def live_colour(tag: str) -> str:
    """Return the colour of a tag on the live map as "#rrggbb"; tags that are not in the default taxonomy are grey."""
    return _KNOWN.get(tag, _OTHER)
