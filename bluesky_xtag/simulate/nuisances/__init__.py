"""What spoils frames, one by one: each nuisance changes a scene, by chance as in training or to a stated level.

A nuisance never touches what the others do, so any of them can be left out; the ranges are those that beamlines
show. `NUISANCES` holds them by name, in the order in which they are applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .detector import DETECTOR
from .geometry import GEOMETRY
from .nuisance import Nuisance
from .photons import PHOTONS
from .shadows import SHADOWS

__all__ = ["NUISANCES", "Nuisance"]

NUISANCES: Mapping[str, Nuisance] = MappingProxyType(
    {nuisance.name: nuisance for nuisance in (*PHOTONS, *SHADOWS, *DETECTOR, *GEOMETRY)}
)
