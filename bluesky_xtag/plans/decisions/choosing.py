"""Which strategy decides: one that a plan names, or one that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import XTagError, XTagValueError
from .. import strategies
from ..strategies import Axis, Motion, Strategy

__all__ = ["check_revision", "choose_strategy"]


def choose_strategy(
    strategy: str | Strategy,
    axes: Mapping[str, Sequence[float]],
    tags: Sequence[str],
    tag: str | None,
    initial_points: int | None,
    motions: Mapping[str, Motion],
    region: Mapping[str, Any] | None,
) -> Strategy:
    """Return the strategy that a plan was given, or make the one that it named.

    Parameters
    ----------
    strategy, axes, tags, tag, initial_points, motions, region
        As of `ByStrategy`.

    Raises
    ------
    XTagValueError
        An argument does not fit.
    """
    if isinstance(strategy, str):
        options: dict[str, Any] = {} if initial_points is None else {"initial": initial_points}
        options |= {} if region is None else {"region": region}
        limits = {name: Axis(name, *map(float, pair), motion=motions.get(name)) for name, pair in axes.items()}
        return strategies.make(strategy, limits, tags=tags, tag=tag, **options)
    if motions:
        raise XTagValueError("motion belongs to a strategy by name: give it to the axes of the strategy that you made")
    if region is not None:
        raise XTagValueError("region belongs to a strategy by name: give it to the strategy that you made")
    if isinstance(strategy, type) or not isinstance(strategy, Strategy):
        raise XTagValueError(f"{strategy!r} is not a strategy: name one of {', '.join(strategies.NAMES)}, or give one")
    if initial_points is not None:
        raise XTagValueError("initial_points belongs to a strategy by name: give it to the strategy that you made")
    own = getattr(strategy, "axes", None)
    if own is not None and {axis.name for axis in own} != set(axes):
        raise XTagValueError(
            f"the strategy moves {', '.join(axis.name for axis in own)}, the plan {', '.join(axes)}: give the same"
        )
    for axis in own or ():
        if (axis.low, axis.high) != tuple(axes[axis.name][:2]):
            raise XTagValueError(
                f"the strategy moves {axis.name} from {axis.low:g} to {axis.high:g}, the plan from "
                f"{axes[axis.name][0]:g} to {axes[axis.name][1]:g}: give the same limits"
            )
    looks_for = getattr(strategy, "tag", None)
    if None not in (tag, looks_for) and tag != looks_for:
        raise XTagValueError(f"the strategy looks for {looks_for!r}, the plan for {tag!r}: leave tag out")
    if tag is not None and tag not in tags:
        raise XTagValueError(f"no tag {tag!r}; known tags: {', '.join(tags)}")
    return strategy


def check_revision(recipe: Mapping[str, Any]) -> None:
    """Raise XTagError if the strategy of a recipe decides in another way in this version."""
    # Random places and grids are the same in every revision.
    if recipe["name"] not in ("grid", "random") and recipe.get("revision", 1) != strategies.REVISION:
        raise XTagError(
            f"these decisions are of revision {recipe.get('revision', 1)} of the strategies, and here is revision "
            f"{strategies.REVISION}: install the version of bluesky_xtag that decision_package_version names"
        )
