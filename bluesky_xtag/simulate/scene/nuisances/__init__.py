"""What spoils frames, one by one: each nuisance changes a scene, by chance as in training or to a stated level.

A nuisance never touches what the others do, so any of them can be left out; the ranges are those that beamlines
show. `NUISANCES` holds them by name, in the order in which they are applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ....errors import XTagValueError
from .nuisance import Nuisance
from .of_detector import DETECTOR
from .of_geometry import GEOMETRY
from .of_photons import PHOTONS
from .of_shadows import SHADOWS

__all__ = ["NUISANCES", "Nuisance", "select_nuisances"]

NUISANCES: Mapping[str, Nuisance] = MappingProxyType(
    {nuisance.name: nuisance for nuisance in (*PHOTONS, *SHADOWS, *DETECTOR, *GEOMETRY)}
)


def select_nuisances(names: Iterable[str] | None) -> tuple[Nuisance, ...]:
    """Return nuisances by name, in the order in which they are applied; all for None.

    Raises
    ------
    XTagValueError
        A nuisance is not known.
    """
    wanted = set(NUISANCES if names is None else names)
    if unknown := sorted(wanted - set(NUISANCES)):
        raise XTagValueError(f"no nuisance {', '.join(unknown)}; known: {', '.join(NUISANCES)}")
    return tuple(nuisance for name, nuisance in NUISANCES.items() if name in wanted)
