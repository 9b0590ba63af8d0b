"""The bars of `xtag bench adaptive`, and whether figures reach them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .tasks import RASTER, SEEK_FRAMES, SEEK_WITHIN, TASKS
from .travels import MOTIONS

__all__ = ["DOSE", "MORE", "SEEK_SHARE", "THINKING_MS", "TRAVEL", "VERY_FAULTY", "Row", "rows"]

MORE = 1.5
"""By how much more frames, or dose, may be used where 5 % of the tags are wrong and 5 % are missing."""
VERY_FAULTY = 100
"""Frames to the border where 10 % of the tags are wrong and 10 % are missing."""
SEEK_EARLY, SEEK_SHARE = 30, 0.9
"""After so many frames the best place must be found in this share of the samples; in all after the last one."""
DOSE = 0.4
"""Of the plain raster, that skip_empty may use."""
TRAVEL = 1.3
"""Time of a map over that of the best order of its places, known in hindsight."""
THINKING_MS = {200: 100, 1_000: 20, 10_000: 100}
"""Of the processor, that a strategy may take for the next point after so many, p95."""
MEGABYTES = 500
"""Memory of a process with a strategy that has seen 10 000 points."""

_SCORES = {"boundary": "overlap with the truth", "phases": "adjusted Rand index"}
_Found = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True)
class Row:
    """A figure: of which task, in words, what was reached, what is asked for, and whether it holds (None: no bar)."""

    task: str
    what: str
    reached: str
    bar: str = ""
    holds: bool | None = None


def rows(found: _Found) -> list[Row]:
    """Return the bars, and the figures next to them, in words.

    Parameters
    ----------
    found : mapping
        By task and kind the outcome of each seed, as of `bluesky_xtag.cli.bench.adaptive_bench`.
    """
    made: list[Row] = []
    for task, kinds in found.items():
        if task == "skip_empty":
            made += _doses(kinds)
        elif task == "seek":
            made += _seeks(kinds)
        elif task == "travel":
            made += _travels(kinds)
        elif task == "suggestion":
            made += _suggestions(kinds)
        else:
            made += _maps(task, kinds)
    return made


def _maps(name: str, kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Row]:
    task, frames = TASKS[name], {kind: [one["frames"] for one in kinds[kind]] for kind in kinds}
    median = {kind: _median(frames[kind]) for kind in kinds}
    to = f"frames to {_SCORES[name]} >= {task.bar:g}"
    yield Row(name, to, _spread(frames["adaptive"]), f"<= {task.frames}", median["adaptive"] <= task.frames)
    if "faulty" in kinds:
        with_faults = math.floor(MORE * task.frames)
        holds = median["faulty"] <= with_faults
        yield Row(name, f"{to}, 5 % wrong and 5 % missing", _spread(frames["faulty"]), f"<= {with_faults}", holds)
    if "very_faulty" in kinds:
        told, holds = f"{to}, 10 % wrong and 10 % missing", median["very_faulty"] <= VERY_FAULTY
        yield Row(name, told, _spread(frames["very_faulty"]), f"<= {VERY_FAULTY}", holds)
    if math.isfinite(median.get("faulty", math.inf)):
        ratio = median["faulty"] / median["adaptive"]
        yield Row(name, "the same, in units of the frames without faults", f"{ratio:.2f}")
    for kind, told in (("random", "random places, same map made of them"), ("grid", "coarse grid, interpolated")):
        if kind not in kinds:
            continue
        fewer = median["adaptive"] < median[kind]
        if name == "boundary":
            yield Row(name, f"{to}: {told}", _spread(frames[kind]), f"> {_number(median['adaptive'])}", fewer)
        else:
            yield Row(name, f"{to}: {told}", _spread(frames[kind]))
    if "ax" in kinds:
        told = f"bluesky-adaptive's Ax agent, same map made of its places, {len(kinds['ax'])} samples"
        scores = [one["score"] for one in kinds["ax"]]
        yield Row(name, f"{to}: {told}", _spread(frames["ax"]))
        yield Row(name, f"{_SCORES[name]} at {task.budget} frames: {told}", _spread(scores))
    yield Row(name, f"{_SCORES[name]} at {task.budget} frames", _spread([one["score"] for one in kinds["adaptive"]]))
    for kind, told in (("adaptive", ""), ("faulty", ", 5 % wrong and 5 % missing")):
        if kind not in kinds:
            continue
        stopped = [one["stopped"] for one in kinds[kind]]
        scores = [one["score_at_stop"] for one in kinds[kind] if one["stopped"] is not None]
        yield Row(name, f"frames at which it stops by itself{told}", _spread(stopped))
        if scores:
            yield Row(name, f"{_SCORES[name]} then{told}", _spread(scores))
    yield Row(name, "frames of the raster", str(RASTER**2))


def _seeks(kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Row]:
    told = {
        "adaptive": f"{SEEK_FRAMES} frames",
        "faulty": f"{math.floor(MORE * SEEK_FRAMES)} frames, 5 % wrong and 5 % missing",
        "random": f"{SEEK_FRAMES} frames at random places",
        "grid": "36 frames on a grid",
    }
    for kind, words in told.items():
        if kind not in kinds:
            continue
        near = [-one["score"] <= SEEK_WITHIN for one in kinds[kind]]
        wanted = len(near)
        if kind == "adaptive":
            early = [-dict(one["trace"]).get(SEEK_EARLY, -1) <= SEEK_WITHIN for one in kinds[kind]]
            least = math.ceil(SEEK_SHARE * len(early))
            told_early = f"best place within {SEEK_WITHIN:.0%} after {SEEK_EARLY} frames"
            yield Row(
                "seek", told_early, f"{sum(early)} of {len(early)}", f">= {least} of {len(early)}", sum(early) >= least
            )
        bar = (f">= {wanted} of {len(near)}", sum(near) >= wanted) if kind in ("adaptive", "faulty") else ("", None)
        yield Row("seek", f"best place within {SEEK_WITHIN:.0%} after {words}", f"{sum(near)} of {len(near)}", *bar)
        errors = [-100 * one["score"] for one in kinds[kind]]
        yield Row("seek", "its distance, % of the range", _spread(errors))


def _doses(kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Row]:
    for kind, words, most in (("adaptive", "", DOSE), ("faulty", ", 5 % wrong and 5 % missing", MORE * DOSE)):
        doses, lost = [one["dose"] for one in kinds[kind]], [one["lost"] for one in kinds[kind]]
        holds = statistics.median(doses) <= most
        yield Row("skip_empty", f"dose, of the plain raster{words}", _spread(doses), f"<= {most:g}", holds)
        places = _number(statistics.median(one["places"] for one in kinds[kind]))
        yield Row("skip_empty", f"places lost, of {places}{words}", _spread(lost), "0", max(lost) == 0)


def _travels(kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Row]:
    for kind, runs in kinds.items():
        task, _, stage = kind.partition(", ")
        motion = MOTIONS[stage]
        told = f"{task}, {motion.velocity:g} mm/s, frames of {motion.frame:g} s"
        ratios = [one["seconds"] / one["best"] for one in runs]
        holds = statistics.median(ratios) <= TRAVEL
        what = f"{told}: time of the map over that of the best order in hindsight"
        yield Row("travel", what, _spread(ratios), f"<= {TRAVEL:g}", holds)
        yield Row("travel", f"{told}: frames", _spread([one["frames"] for one in runs]))
        saved = [one["seconds"] / one["unaware"] for one in runs]
        yield Row("travel", f"{told}: time over that without knowing the motors", _spread(saved))


def _suggestions(kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Row]:
    for name, times in kinds.items():
        for one in times:
            points, most = one["points"], THINKING_MS[one["points"]]
            reached = f"{one['busy']:.1f} (by the clock {one['p95']:.0f})"
            what = f"{name}: ms of the processor to the next point after {points}, p95"
            yield Row("suggestion", what, reached, f"<= {most}", one["busy"] <= most)
            if points == max(THINKING_MS):
                what, held = f"{name}: MB of the process after {points} points", one["megabytes"] <= MEGABYTES
                yield Row("suggestion", what, f"{one['megabytes']:.0f}", f"<= {MEGABYTES}", held)


def _median(values: Iterable[float | None]) -> float:
    return statistics.median(math.inf if value is None else value for value in values)


def _spread(values: Iterable[float | None]) -> str:
    """Return median and spread in words; what was never reached counts as without end."""
    told = [math.inf if value is None else value for value in values]
    return f"{_number(statistics.median(told))} ({_number(min(told))} to {_number(max(told))})"


def _number(value: float) -> str:
    if math.isinf(value):
        return "not reached"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"
