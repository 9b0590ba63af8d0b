"""Frames whose tags are alike, in groups; however many frames there are."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import KDTree
from scipy.spatial.distance import pdist

from .growing_table import GrowingTable

__all__ = ["Groups"]

_ALL = 300
"""Up to so many frames, all are compared with each other. Beyond that, so many of them stand for all."""
_GROWTH = 1.1
"""Those that stand for all are chosen anew whenever there are more frames by this factor."""


class Groups:
    """Puts frames into groups that differ by more than a distance on average (average linkage).

    Among more than 300 frames, 300 at even distances in their order are put into groups. Each other frame joins the
    group of the one that it resembles most; a frame that resembles none within the distance is a group of its own until
    the 300 are chosen anew. So a new frame costs nearly the same at any number of frames, and only small groups are
    found late.

    Parameters
    ----------
    differ : float
        Smallest Euclidean distance between groups.
    """

    def __init__(self, differ: float) -> None:
        self._differ = differ
        self._standing = _ALL
        self._chosen: tuple[KDTree, np.ndarray] | None = None
        self._found = GrowingTable(1)

    def of(self, seen: np.ndarray) -> np.ndarray:
        """Return the number of the group of each frame, (n,) int; `seen` (n, tags), n from 1 on, the oldest first."""
        if len(seen) <= _ALL:
            return self._linked(seen)
        while self._standing * _GROWTH <= len(seen):
            self._standing, self._chosen = int(self._standing * _GROWTH), None
        if self._chosen is None:
            chosen = seen[np.linspace(0, self._standing - 1, _ALL).astype(int)]
            self._chosen, self._found = (KDTree(chosen), self._linked(chosen)), GrowingTable(1)
        tree, group = self._chosen
        known = len(self._found)
        distances, nearest = tree.query(seen[known:])
        alone = group.max() + 1 + np.arange(known, len(seen))
        for each in np.where(distances > self._differ, alone, group[nearest]):
            self._found.append(each)
        return self._found.all[:, 0].astype(int)

    def _linked(self, seen: np.ndarray) -> np.ndarray:
        if len(seen) == 1:
            return np.zeros(1, int)
        return fcluster(linkage(pdist(seen), "average"), self._differ, "distance")
