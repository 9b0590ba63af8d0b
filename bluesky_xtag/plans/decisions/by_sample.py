"""Decides which sample of a tray gets the next frame: one of those that still differ from the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...documents import TagRow
from ...errors import XTagValueError
from ..conditions import Condition, parse
from .by_change import INTERVAL
from .decision import Action, Decision, Missing

__all__ = ["BySample"]


class BySample:
    """Goes round the samples that still differ from the target, and leaves out those that have met it.

    A sample is done when its frames have met the target as often in a row as the condition says. Each round takes a
    frame of every sample that is not done, in their order.

    Parameters
    ----------
    motors : sequence of str
        Names of the motors.
    samples : mapping of str to sequence of float
        The place of each sample: a position for each motor.
    target : Condition
        What a sample has to meet, and in how many frames in a row.
    tags : sequence of str
        The names of the model's tags.
    interval : float
        Seconds from the start of one round to the start of the next, at least.
    max_frames : int
        The largest number of frames.
    on_missing : str
        See `Missing`. A frame that is left out neither counts for its sample nor against it.

    Raises
    ------
    XTagValueError
        An argument does not fit.
    """

    strategy = "compare_samples"

    def __init__(
        self,
        motors: Sequence[str],
        samples: Mapping[str, Sequence[float]],
        target: Condition,
        tags: Sequence[str],
        *,
        interval: float = 0.0,
        max_frames: int = 100,
        on_missing: str = "repeat",
    ) -> None:
        if isinstance(max_frames, bool) or not isinstance(max_frames, int) or max_frames < 1:
            raise XTagValueError(f"max_frames={max_frames!r}: give a whole number of frames from 1 up")
        if not 0 <= interval < math.inf:
            raise XTagValueError(f"interval={interval!r}: give the seconds of a round, 0 or more")
        if INTERVAL in motors:
            raise XTagValueError(f"a motor is called {INTERVAL!r}, as the seconds of a round are: give it another name")
        self.tag = target.tags[0] if target.tags else ""
        self.names = (*motors, INTERVAL)
        self._samples = {name: dict(zip(motors, map(float, place), strict=True)) for name, place in samples.items()}
        self._target, self._interval, self._most = target, float(interval), max_frames
        self._missing = Missing(on_missing)
        self._settings = {
            "decider": self.strategy,
            "motors": list(motors),
            "samples": {name: list(map(float, place)) for name, place in samples.items()},
            "target": target.text,
            "tags": list(tags),
            "interval": float(interval),
            "max_frames": max_frames,
            "on_missing": on_missing,
            "known": target.parsed,
        }
        self._numbers = {name: number for number, name in enumerate(samples, 1)}
        self._left = list(samples)  # that still differ
        self._round: list[str] = []  # of this round, still to come
        self._rounds = 0
        self._frames = 0
        self._at = ""
        self._held = dict.fromkeys(samples, 0)
        self._taken = dict.fromkeys(samples, 0)
        self.met: dict[str, int | None] = dict.fromkeys(samples)
        """How many frames each sample took until it met the target; None if it did not."""

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> BySample:
        """Return the decider as it was when it was new, from its `settings`."""
        kept = {key: settings[key] for key in ("interval", "max_frames", "on_missing")}
        target = parse(settings["target"], settings["tags"])
        return cls(settings["motors"], settings["samples"], target, settings["tags"], **kept)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return self._settings

    def first(self) -> Decision:
        """See `Decider`."""
        return self._onward(TagRow(), "move", f"{len(self._left)} samples")

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        name = self._at
        if seen.missing:
            decision = self._missing.decide(self._numbers[name], seen, self._samples[name])
            if decision.action == "skip":
                return self._onward(seen, "skip", f"{name}: {decision.reason}")
            if decision.action == "stop":
                return decision
            if self._frames >= self._most:
                return self._stop(seen, f"{name}: {decision.reason}")
            self._frames += 1
            return decision
        self._missing.over()
        self._taken[name] += 1
        shown, needed = self._target.in_words(seen), self._target.frames
        if not self._target.holds(seen):
            self._held[name] = 0
            return self._onward(seen, "move", f"{name}: not {shown}, differs")
        self._held[name] += 1
        if self._held[name] < needed:
            return self._onward(seen, "move", f"{name}: {shown}, in {self._held[name]} of {needed} frames")
        self._left.remove(name)
        self.met[name] = self._taken[name]
        return self._onward(seen, "move", f"{name}: {shown}, done with frame {self._taken[name]}")

    def _onward(self, seen: TagRow, action: Action, reason: str) -> Decision:
        """Return the decision to go to the next sample, or to stop."""
        if not self._left:
            return self._stop(seen, reason)
        if self._frames >= self._most:
            return self._stop(seen, f"{reason}; {self._frames} frames, as many as asked for")
        begins = not self._round
        if begins:
            self._round, self._rounds = list(self._left), self._rounds + 1
        number = self._numbers.get(self._at, 0)
        self._at = self._round.pop(0)
        self._frames += 1
        values = dict(self._samples[self._at])
        if begins:
            values[INTERVAL] = self._interval if self._rounds > 1 else 0.0
        then = f"next {self._at}, round {self._rounds}, {len(self._left)} left"
        return Decision(number, seen, action, f"{reason}; {then}", values)

    def _stop(self, seen: TagRow, reason: str) -> Decision:
        left = (
            f"{len(self._left)} still differ: {', '.join(self._left)}" if self._left else "all samples meet the target"
        )
        return Decision(self._numbers[self._at], seen, "stop", f"{reason}; {left}")
