"""bluesky-adaptive's Ax agent on the task `boundary`, for comparison where it is installed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

__all__ = ["SAMPLES", "AxPlaces", "available"]

SAMPLES = 3
"""How many samples it maps at most: it thinks for seconds about each frame."""
_AT_ONCE = 5  # frames between two looks at the score, as for our own strategies
_OUTCOME = "doubt"


def available() -> bool:
    """Return whether bluesky-adaptive, Ax and PyTorch are installed."""
    return all(find_spec(name) is not None for name in ("bluesky_adaptive", "ax", "torch"))


class AxPlaces:
    """Places where an Ax agent wants frames, to find the boundary of a tag.

    Ax maximises one outcome and knows no boundaries. It is told the doubt, 1 - abs(2 p - 1) of the probability
    p of the tag: 1 where the tag is as probable as not, 0 where the model is sure.

    Parameters
    ----------
    axes : mapping
        Lowest and highest position by name.
    tag : str
    seed : int
        Of Ax' choices.
    """

    def __init__(self, axes: Mapping[str, tuple[float, float]], tag: str, seed: int) -> None:
        from ax.utils.common.logger import set_ax_logger_levels  # pyright: ignore[reportMissingImports]
        from bluesky_adaptive.ax import Agent, Objective, RangeDOF

        set_ax_logger_levels(logging.WARNING)  # else it tells of each trial
        self._axes, self._tag = tuple(axes), tag
        self._agent = Agent(
            sensors=[],
            dofs=[RangeDOF(name=name, bounds=bounds, parameter_type="float") for name, bounds in axes.items()],
            objectives=[Objective(name=_OUTCOME, minimize=False)],
            evaluation_function=self._outcomes,
            client_kwargs={"random_seed": seed},
        )
        self._asked: Sequence[Mapping[str, Any]] = ()

    def suggest(self, most: int) -> np.ndarray:
        """Return the next places, (n, axes), `most` at most."""
        self._asked = self._agent.suggest(min(_AT_ONCE, most))
        return np.array([[point[name] for name in self._axes] for point in self._asked])

    def ingest(self, seen: Sequence[Mapping[str, float] | None]) -> None:
        """Tell the agent what was seen at the places that it suggested last; None where there are no tags."""
        self._agent.ingest(self._outcomes(seen, self._asked))

    def _outcomes(
        self, uid: Sequence[Mapping[str, float] | None], suggestions: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the suggestions that have tags, each with its outcome: the agent's evaluation function.

        Frames need no uid to be found by here: what was seen is given itself.
        """
        return [
            dict(suggestion) | {_OUTCOME: 1 - abs(2 * tags[self._tag] - 1)}
            for suggestion, tags in zip(suggestions, uid, strict=True)
            if tags is not None
        ]
