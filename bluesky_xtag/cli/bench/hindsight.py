"""The order of places in which motors travel for the shortest time, known only when all places are."""

from __future__ import annotations

import numpy as np
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["shortest_seconds"]


def shortest_seconds(seconds: np.ndarray) -> float:
    """Return the time of the shortest way from the first place through all others.

    Parameters
    ----------
    seconds : numpy.ndarray
        (n, n), symmetric: how long the move between two places takes.

    Returns
    -------
    float
        Seconds, exact: the travelling salesman's problem as Dantzig, Fulkerson and Johnson put it ("Solution of a
        large-scale traveling-salesman problem", J. Oper. Res. Soc. Am. 2, 393, 1954), with a constraint for each closed
        way that leaves places out, as soon as one is found.
    """
    places = len(seconds)
    if places < 3:
        return float(seconds[0, -1])
    # A place more, at no distance from all, closes the way; one of its two moves leads to the first place.
    one, other = np.triu_indices(places + 1, 1)
    cost = np.where(other == places, 0.0, seconds[one, np.minimum(other, places - 1)])
    moves = np.arange(len(cost))
    ends = np.zeros((places + 1, len(cost)))
    ends[one, moves] = ends[other, moves] = 1
    low = np.where((one == 0) & (other == places), 1.0, 0.0)
    rules = [LinearConstraint(ends, 2, 2)]
    while True:
        found = milp(cost, integrality=np.ones(len(cost)), bounds=(low, 1), constraints=rules)
        used = found.x > 0.5
        graph = coo_array((np.ones(used.sum()), (one[used], other[used])), shape=(places + 1, places + 1))
        count, ways = connected_components(graph, directed=False)
        if count == 1:
            return float(cost[used].sum())
        for way in range(count):
            inside = ways == way
            rules.append(LinearConstraint((inside[one] & inside[other])[None].astype(float), 0, inside.sum() - 1))
