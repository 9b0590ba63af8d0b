"""Strategies choose the next point of a scan from the tags seen so far.

>>> strategy = make("random", {"x": (0, 10), "y": (0, 10)}, tags=["ring", "halo"], seed=1)
>>> (point,) = strategy.suggest()
>>> strategy.ingest([point | {"ring": 0.9, "halo": 0.1}])
"""

from .axes import Axis
from .motion import Motion
from .named import NAMES, REVISION, make, recipe
from .region import Region
from .strategy import Point, Stop, Strategy

__all__ = ["NAMES", "REVISION", "Axis", "Motion", "Point", "Region", "Stop", "Strategy", "make", "recipe"]
