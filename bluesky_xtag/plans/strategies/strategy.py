"""What plans and bluesky-adaptive expect of a strategy."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

__all__ = ["Point", "Stop", "Strategy"]

Point = dict[str, Any]
"""`_id` (int), a float by the name of each motor, and, where it was seen, a probability by the name of each tag."""


class Stop(NamedTuple):
    """Whether to stop, and why, in words. Its truth value is the answer; bluesky-adaptive unpacks it."""

    stop: bool
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.stop


@runtime_checkable
class Strategy(Protocol):
    """Proposes where to look next from the tags seen so far.

    It has the shape of an `Optimizer` of bluesky-adaptive 1.0, with `SupportsStoppingCriteria`. The strategies of this
    package are `TrialFaultAware`, too. A strategy is deterministic: the same arguments and the same calls give the same
    points. Points consist of plain numbers, so that they can be stored.
    """

    def suggest(self, num_points: int | None = None) -> list[Point]:
        """Return the places to look at next, each with its own `_id`. If no number is given, return one place.

        There are fewer places if nothing is left to look at.
        """
        ...

    def ingest(self, points: list[Point]) -> None:
        """Take in what was seen: the probability of each tag (0..1), by the tag's name, at each place.

        A point has the `_id` of its suggestion. Its motor positions may be missing, or differ from the suggested ones.
        A point that was not suggested has positions and no `_id`. A point whose tags are NaN is skipped.
        """
        ...

    def skip(self, points: list[Point]) -> None:
        """Take in that these places gave no tags; they are not suggested again."""
        ...

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return the places that answer the question best, the best first.

        Each place has the `_id` of its suggestion (None if it was not suggested), the motors' positions and the tags'
        probabilities. A strategy that looks for one tag returns one place.
        """
        ...

    def should_stop(self) -> Stop:
        """Return whether more frames would tell little, by the strategy's stopping rule, and why."""
        ...
