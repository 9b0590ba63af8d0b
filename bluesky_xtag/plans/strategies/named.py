"""Strategies by name, as plans and the Queue Server give them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import XTagValueError
from .axes import Axes, Axis
from .base import BaseStrategy
from .baselines import Grid, Random
from .boundary import Boundary
from .novelty import Novelty
from .phases import Phases
from .seek import Seek
from .strategy import Strategy

__all__ = ["NAMES", "REVISION", "make", "recipe"]

_KINDS: dict[str, type[BaseStrategy]] = {
    "seek": Seek,
    "boundary": Boundary,
    "phases": Phases,
    "novelty": Novelty,
    "grid": Grid,
    "random": Random,
}

REVISION = 2
"""Of the strategies: raised when the same answers lead to other places than before."""

NAMES = tuple(_KINDS)
"""The names that `make` knows."""


def make(
    name: str,
    axes: Axes | Sequence[Axis],
    *,
    tags: Iterable[str],
    tag: str | None = None,
    seed: int = 0,
    **options: Any,
) -> Strategy:
    """Make a strategy by its name.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    axes : mapping or sequence of Axis
        (low, high) or (low, high, cost) by motor's name, in the motors' units. The cost is the cost of a travel by one
        unit, in frames (see `Axis`). If not given, it is 0.
    tags : iterable of str
        The names of the model's tags, in order.
    tag : str, optional
        The tag to look for. Strategies that look for one tag need it.
    seed : int
        Decides all random numbers: the same seed and the same answers give the same points.
    **options
        Options of that strategy, see its class; and `region`, where frames may be taken, see `Region`.

    Returns
    -------
    Strategy

    Raises
    ------
    XTagValueError
        The name, an axis, a tag or an option is not known or does not fit.
    """
    if name not in _KINDS:
        raise XTagValueError(f"no strategy {name!r}; known strategies: {', '.join(NAMES)}")
    kind = _KINDS[name]
    known = [
        parameter.name
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    known.append("region")
    if unknown := sorted(set(options) - set(known)):
        has = f"its options: {', '.join(known)}" if known else "it has none"
        raise XTagValueError(f"{name} has no option {', '.join(unknown)}; {has}")
    try:
        return kind(axes, tags=tags, tag=tag, seed=seed, **options)
    except TypeError as error:
        raise XTagValueError(f"{name} cannot be made with {options or axes}: {error}") from error


def recipe(strategy: object) -> dict[str, Any] | None:
    """Return what `make` needs to make a strategy again, as it was when it was new.

    Returns
    -------
    dict or None
        Plain and ready for JSON: `name`, `revision` (`REVISION`), `axes` ([low, high, cost] by motor's name, and its
        motion if there is one), `tags`, `tag`, `seed`, `options`.
        None for strategies of other packages.
    """
    name = next((name for name, kind in _KINDS.items() if type(strategy) is kind), None)
    if name is None or not isinstance(strategy, BaseStrategy):
        return None
    arguments = dict(strategy.made_with)
    return {
        "name": name,
        "revision": REVISION,
        "axes": {axis.name: axis.stored() for axis in strategy.axes},
        "tags": list(strategy.tags),
        "tag": strategy.tag,
        "seed": int(arguments.get("seed", 0)),
        "options": {key: value for key, value in arguments.items() if key not in ("axes", "tags", "tag", "seed")},
    }
