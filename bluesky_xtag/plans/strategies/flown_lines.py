"""Lines along the last motor, as the last one is the fastest in bluesky's own grids: where they lie, and the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import XTagValueError
from .axes import Axis, travel
from .region import Region

__all__ = ["Lines"]

_CANDIDATES = 96
"""Lines that are compared for a suggestion."""
_SAMPLES = 16
"""Places of a line at which its use is looked at, unless it has fewer frames."""
_TOPS, _AROUND, _STEP = 4, 8, 0.015
"""Of how many of the best lines the neighbours are looked at, how many, and how far away, in units of the ranges."""
_DRAWS = 11
"""Sets of lines that are drawn, each twice as large as the one before, until enough lie within the region."""


@dataclass(frozen=True)
class Lines:
    """The lines of one length that can be flown; each is given by its lower end, (axes,) in units of the ranges.

    Parameters
    ----------
    axes : sequence of Axis
        The motors; the last one flies.
    region : Region
        Where frames may be taken: lines lie in it with all their frames.
    frames : int
        Frames of a line, evenly spread.
    length : float
        Of a line, in units of the last motor's range, up to 1.
    """

    axes: Sequence[Axis]
    region: Region
    frames: int
    length: float

    def places(self, lower: np.ndarray, count: int) -> np.ndarray:
        """Return places in the middles of `count` equal parts of lines, (lines, count, axes); `lower` (lines, axes)."""
        found = np.repeat(lower[:, None], count, axis=1)
        found[..., -1] += self.length * (np.arange(count) + 0.5) / count
        return found

    def spread(self, count: int, seed: int) -> np.ndarray:
        """Return lines that are spread evenly, (count, axes)."""
        return self._drawn(count, lambda attempt: self.region.spread(count << attempt, seed))[:count]

    def best(
        self, rng: np.random.Generator, use: Callable[[np.ndarray], np.ndarray], begin: np.ndarray | None
    ) -> np.ndarray:
        """Return the line of the most use for its time, (axes,).

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws the lines that are compared.
        use : callable
            Returns how useful a frame is at each place, (n,); given places (n, axes) in units of the ranges.
        begin : numpy.ndarray or None
            Where the motors are, (axes,).
        """
        lines = self._drawn(_CANDIDATES, lambda attempt: rng.random((_CANDIDATES << min(attempt, 6), len(self.axes))))
        worth = self._worth(lines, use, begin)
        tops = lines[np.argsort(-worth, kind="stable")[:_TOPS]]
        steps = rng.normal(0, _STEP, (len(tops), _AROUND, len(self.axes)))
        near = self._fitting((tops[:, None] + steps).reshape(-1, len(self.axes)))
        near = near[self._allowed(near)]
        lines, worth = np.concatenate([lines, near]), np.concatenate([worth, self._worth(near, use, begin)])
        return lines[int(np.argmax(worth))]

    def ends(self, lower: np.ndarray, begin: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return where a line begins and ends, each (axes,): it begins at the end that is sooner reached."""
        upper = lower.copy()
        upper[-1] += self.length
        if begin is None:
            return lower, upper
        first, second = travel(self.axes, begin, np.stack([lower, upper]))
        nearer = first < second if first != second else np.abs(lower - begin).sum() <= np.abs(upper - begin).sum()
        return (lower, upper) if nearer else (upper, lower)

    def _worth(
        self, lines: np.ndarray, use: Callable[[np.ndarray], np.ndarray], begin: np.ndarray | None
    ) -> np.ndarray:
        if not len(lines):
            return np.empty(0)
        places = self.places(lines, min(self.frames, _SAMPLES))
        useful = use(places.reshape(-1, len(self.axes))).reshape(places.shape[:2]).mean(axis=1)
        upper = lines.copy()
        upper[:, -1] += self.length
        moved = np.minimum(travel(self.axes, begin, lines), travel(self.axes, begin, upper)) - 1
        return useful * self.frames / (self.frames + moved)

    def _drawn(self, count: int, draw: Callable[[int], np.ndarray]) -> np.ndarray:
        """Return lines that may be flown, `count` or more of them, or what there is after many draws."""
        found = np.empty((0, len(self.axes)))
        for attempt in range(_DRAWS):
            lines = self._fitting(draw(attempt), shrink=True)
            found = np.concatenate([found, lines[self._allowed(lines)]])
            if len(found) >= count:
                break
        if not len(found):
            raise XTagValueError(
                f"no line of {self.length:.0%} of the range of {self.axes[-1].name} fits into the region: give a "
                "smaller span"
            )
        return found

    def _fitting(self, lines: np.ndarray, shrink: bool = False) -> np.ndarray:
        """Return lines whose ends are within the limits: all starts evenly (`shrink`), or moved there."""
        last = lines[:, -1:] * (1 - self.length) if shrink else np.clip(lines[:, -1:], 0, 1 - self.length)
        return np.concatenate([np.clip(lines[:, :-1], 0, 1), last], axis=1)

    def _allowed(self, lines: np.ndarray) -> np.ndarray:
        """Return which lines lie in the region with all their frames, (lines,) bool."""
        if self.region.is_everything or not len(lines):
            return np.ones(len(lines), bool)
        allowed = np.ones(len(lines), bool)
        for count in (min(self.frames, 3), self.frames):  # most of those that leave the region are seen at once
            places = self.places(lines[allowed], count)
            inside = self.region.allows(places.reshape(-1, len(self.axes))).reshape(places.shape[:2])
            allowed[allowed] = inside.all(axis=1)
        return allowed
