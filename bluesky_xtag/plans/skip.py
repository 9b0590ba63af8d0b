"""skip_empty: a short probe frame at each point of any plan, and the full exposure only where it is not empty."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.preprocessors import set_run_key_wrapper
from bluesky.protocols import Movable
from bluesky.utils import Msg, MsgGenerator, ensure_generator

from ..documents import STREAM as TAGS
from ..documents import TagRow
from ..errors import XTagValueError
from ..tagger import Plan, Tagger, accompany, exposure_of
from .arguments import a_number, a_signal, a_tagger
from .conditions import Condition, condition
from .decisions import STREAM, DecisionLog, SkipEmpty, TagsWatch
from .steps import queueable, read_tags, write

__all__ = ["skip_empty"]


@queueable
def skip_empty(
    plan: Iterable[Msg],
    tagger: Tagger,
    probe_exposure: float,
    *,
    exposure: Movable | None = None,
    empty: str | Callable[[TagRow], Any] = "empty",
    probes: int = 1,
) -> MsgGenerator[Any]:
    """Take a short probe frame at each point of a plan first, and the full exposure only where it is not empty.

    Both frames are events of the plan's own stream. Each event also holds its exposure, under the name of the signal.
    If a probe has no tags, the full exposure follows, so that nothing is lost. At the end the plan restores the
    exposure.

    Parameters
    ----------
    plan : iterable of Msg
        Any plan that triggers and reads its detectors, such as ``bp.grid_scan([det], ...)``. It receives the readings
        of the probes.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    probe_exposure : float
        Seconds of the probe.
    exposure : signal, optional
        The signal that sets the exposure in seconds. If None, ``cam.acquire_time`` or
        ``driver.acquire_time`` of each detector that has it, as
        ophyd's area detectors do. The full exposure is the value of the signal at the first point.
    empty : str or callable
        The condition on tags that an empty place meets, see `bluesky_xtag.plans.conditions`.
    probes : int
        The number of frames that must be empty before a place is left out. The place is exposed as soon as half as many
        (rounded down, and at least one) are not empty, or have no tags. If one frame in twenty is tagged wrongly, one
        probe loses one place in twenty, and four probes lose one in 33,000.

    Raises
    ------
    XTagValueError
        No signal of the exposure is found, or an argument does not fit.
    """
    if not a_number(probe_exposure, "probe_exposure") > 0:
        raise XTagValueError(f"probe_exposure={probe_exposure} must be a number of seconds above 0")
    if not isinstance(plan, Iterable) or (isinstance(plan, list) and not all(isinstance(each, Msg) for each in plan)):
        raise XTagValueError(f"{plan!r} is not a plan: give one such as bp.scan([det], motor, 0, 1, 11)")
    tagger = a_tagger(tagger)
    exposure = exposure if exposure is None else a_signal(exposure, "exposure")
    judge = condition(empty, tagger.model.taxonomy.names, of_one_frame=True)
    SkipEmpty(judge, tagger.model.taxonomy.names, probes)  # so that what does not fit is told before the scan
    probing = _Probing(tagger, float(probe_exposure), exposure, judge, probes)
    return (
        yield from bpp.subs_wrapper(
            bpp.finalize_wrapper(probing.follow(ensure_generator(plan)), probing.restore), probing.watch
        )
    )


_DECIDING = frozenset(
    {"tag_adaptive_scan", "tag_adaptive_fly", "scan_until", "expose_until", "watch", "compare_samples"}
)
_REPEATED = frozenset({"trigger", "wait", "create", "read", "save"})


class _Point:
    """What a plan did at its present point, from the first trigger on."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []
        self.signals: list[Any] = []
        self.keys: set[str] = set()  # that were read into the event


class _Run:
    """An open run of the plan."""

    def __init__(self, uid: str, log: DecisionLog, decider: SkipEmpty) -> None:
        self.uid = uid
        self.log = log
        self.decider = decider
        self.point = _Point()


class _Probing:
    """Passes a plan's messages on, and repeats those of a point with the full exposure if the decider says so."""

    def __init__(self, tagger: Tagger, probe: float, exposure: Any, empty: Condition, probes: int) -> None:
        self.watch = TagsWatch(tagger.name, tagger.model.taxonomy.names)
        self._tagger = tagger
        self._probe = probe
        self._exposure = exposure
        self._empty = empty
        self._probes = probes
        self._full: dict[Any, float] = {}
        self._runs: dict[Any, _Run] = {}  # by the run key of the messages

    def follow(self, plan: Plan) -> Plan:
        """Pass every message on, and add the messages for the probes."""
        return (yield from accompany(plan, self._before, self._after))

    def restore(self) -> Plan:
        """Set every exposure as it was before."""
        for signal, seconds in self._full.items():
            yield from bps.mv(signal, seconds)

    def _before(self, msg: Msg) -> Plan:
        if msg.command == "open_run" and msg.kwargs.get("plan_name") in _DECIDING:
            raise XTagValueError(f"{msg.kwargs['plan_name']} already decides by tags: give skip_empty another plan")
        if msg.command == "create" and msg.kwargs.get("name") == STREAM:
            raise XTagValueError(
                f"the plan writes the stream {STREAM!r} itself, as plan stubs do: give skip_empty another plan, or "
                "leave the condition or the fallback out"
            )
        run = self._runs.get(msg.run)
        if run is None:
            return
        point = run.point
        if msg.command == "trigger" and msg.obj is not self._tagger:
            signal = exposure_of(msg.obj) if self._exposure is None else self._exposure
            if signal is not None and signal not in point.signals:
                point.signals.append(signal)
                yield from self._expose(signal, self._probe)
            point.messages.append(msg)
        elif msg.command == "save" and point.messages:
            if not point.signals:
                raise XTagValueError(
                    f"none of {_names(point.messages)} has a signal cam.acquire_time or "
                    "driver.acquire_time for the exposure of the probe: "
                    "name the signal, skip_empty(plan, tagger, probe_exposure, exposure=signal)"
                )
            for signal in point.signals:
                if signal.name not in point.keys:
                    read = Msg("read", signal, run=msg.run)
                    point.messages.append(read)
                    yield read
        elif msg.command == "close_run" and self._tagger.unwritten(run.uid):
            yield from self._in_run(bps.trigger_and_read([self._tagger], name=TAGS), msg.run)

    def _after(self, msg: Msg, response: Any) -> Plan:
        if msg.command == "open_run":
            decider = SkipEmpty(self._empty, self._tagger.model.taxonomy.names, self._probes)
            log = DecisionLog(decider, self._tagger.name, self._tagger.deadline)
            self._runs[msg.run] = _Run(response, log, decider)
        run = self._runs.get(msg.run)
        if run is None:
            return
        if msg.command == "close_run":
            del self._runs[msg.run]
        elif msg.command == "drop":
            run.point = _Point()
        elif run.point.messages and msg.command in _REPEATED - {"trigger"}:
            run.point.messages.append(msg)
            if msg.command == "read":
                run.point.keys.update(response or ())
            elif msg.command == "save":
                yield from self._judge(run, msg.run)

    def _judge(self, run: _Run, key: Any) -> Plan:
        """Decide from the probe's tags; probe again or take the full exposure if the decider says so."""
        point, run.point = run.point, _Point()
        while True:
            seen: list[TagRow] = yield from self._in_run(read_tags(self._tagger, self.watch, run.uid), key)
            decision = run.decider.decide(seen[-1])
            yield from self._in_run(write(run.log, decision), key)
            if decision.action != "repeat":
                break
            yield from ensure_generator(point.messages)
        if decision.action == "expose":
            for signal in point.signals:
                yield from self._expose(signal, self._full[signal])
            yield from ensure_generator(point.messages)

    def _expose(self, signal: Any, seconds: float) -> Plan:
        if signal not in self._full:
            full = yield from bps.rd(signal)
            if self._probe >= full:
                raise XTagValueError(
                    f"the probe of {self._probe:g} s is not shorter than the exposure of {full:g} s that {signal.name} "
                    "holds: set the full exposure first, or give a shorter probe"
                )
            self._full[signal] = full
        yield from bps.mv(signal, seconds)

    def _in_run(self, plan: Plan, key: Any) -> Generator[Msg, Any, Any]:
        return (yield from plan if key is None else set_run_key_wrapper(plan, key))


def _names(messages: Iterable[Msg]) -> str:
    return ", ".join(str(getattr(msg.obj, "name", msg.obj)) for msg in messages if msg.command == "trigger")
