"""A plan preprocessor that adds the rows of a tagger to every run of a plan.

The RunEngine itself then emits the stream "tags": sequence numbers, `num_events`, rewinding after a pause and failing
plans come out right because the RunEngine does them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from bluesky import plan_stubs as bps
from bluesky.run_engine import RunEngine
from bluesky.utils import (
    FailedStatus,
    Msg,
    MsgGenerator,
    RunEngineControlException,
    ensure_generator,
)

from ..documents import SHADOW, STREAM, FrameId
from .messages import Plan, accompany
from .row_messages import RowMessages
from .shadow import Shadow
from .tagger import Tagger

__all__ = ["TagPreprocessor", "tag_wrapper"]

logger = logging.getLogger("bluesky_xtag")

_FEW = 8  # rows of a shadow model that are written while devices are on their way
_AT_ONCE = 0.001  # seconds; a wait that takes no longer had nothing to wait for
_BEAT = 0.002  # seconds between two looks whether the shadow model is done
_IN_FLIGHT = 0.02  # seconds; a monitored event that was on its way in another thread has mostly come by then
_LONGEST_FLIGHT = 0.5  # seconds, where a machine is busy
_UNNOTICED = 3.0  # seconds of it of which nothing is said
_LOOK = 0.05  # seconds between two looks


class TagPreprocessor:
    """A plan preprocessor that adds the rows of a tagger to every run of a plan.

    Parameters
    ----------
    tagger : Tagger
        The tagger, subscribed to the same RunEngine.
    RE : RunEngine
        The RunEngine whose preprocessor this is.
    companions : sequence of callable
        Other document callbacks of ours, which are subscribed where the tagger is.
    """

    def __init__(self, tagger: Tagger, RE: RunEngine, companions: Sequence[Callable[[str, Any], Any]] = ()) -> None:
        self.tagger = tagger
        self._RE = RE
        self._callbacks = (tagger, *companions)
        self._tokens: list[int] = []
        self._subscribed = False
        self._said: set[str] = set()

    def __call__(self, plan: Iterable[Msg]) -> Plan:
        """Return the plan with the rows added."""
        if self._RE.preprocessors[-1:] != [self]:
            logger.warning(
                "preprocessors were added to the RunEngine after install(RE): frames that they take may get no row; "
                "call install(RE) last"
            )
        return _TaggedPlan(self.tagger, self._listen_again).follow(ensure_generator(plan))

    def subscribe(self) -> None:
        """Let the tagger and its companions hear the RunEngine's documents; more calls do no harm."""
        self._subscribed = True
        self._tokens += [self._RE.subscribe(callback) for callback in self._callbacks]

    def unsubscribe(self) -> None:
        """Undo `subscribe`."""
        self._subscribed = False
        while self._tokens:
            self._RE.unsubscribe(self._tokens.pop())

    def _listen_again(self, what: str) -> Generator[Msg, Any, Mapping[str, Any] | None]:
        """Subscribe again where the tagger does not hear the RunEngine that runs the plan, and say so.

        Return what is known of the metadata that this RunEngine adds to runs; None if nobody is to listen any more.
        """
        if not self._subscribed:  # uninstalled while the plan runs
            return None
        if self._RE.state == "running":
            self.unsubscribe()
            self.subscribe()
            self._warn(
                "%s did not reach the tagger, because its subscription was removed, as RE.reset() and "
                "RE.unsubscribe_all() do: it is subscribed again",
                what,
                once=False,
            )
            return self._RE.md
        # The list of preprocessors was handed to another RunEngine.
        for callback in self._callbacks:
            yield Msg("subscribe", None, callback, "all")
        self._warn(
            "%s did not reach the tagger, because it comes from another RunEngine than the tagger was installed on: "
            "the tagger listens while a plan runs; call install(RE) for the new RunEngine",
            what,
            once=True,
        )
        return {}

    def _warn(self, message: str, what: str, once: bool) -> None:
        if not once or message not in self._said:
            self._said.add(message)
            logger.warning(message, what)


def guard(messages: Iterable[Msg], tagger: Tagger, problem: str, said: set[str] | None = None) -> Plan:
    """Send messages of ours so that their failure cannot harm the plan.

    What is thrown at them but meant for the plan goes through: abort, stop and failing devices.

    Parameters
    ----------
    messages : iterable of Msg
        The messages.
    tagger : Tagger
        Whose messages they are; it counts the failures.
    problem : str
        Begins the message of the log.
    said : set of str, optional
        What was said before: what fails for one row fails for the next, so the first tells enough.
    """
    try:
        yield from messages
    except (RunEngineControlException, FailedStatus):
        raise
    except Exception:
        tagger.statistics.write_errors += 1
        log = logger.debug if said is not None and problem in said else logger.exception
        log("%s; the scan goes on", problem)
        if said is not None:
            said.add(problem)


ListenAgain: TypeAlias = Callable[[str], Generator[Msg, Any, Mapping[str, Any] | None]]


def tag_wrapper(plan: Iterable[Msg], tagger: Tagger) -> MsgGenerator[Any]:
    """Tag the frames of one plan, where `install` cannot be called because a server owns the RunEngine.

    The tagger listens to the RunEngine until the plan ends, and the rows are part of the plan. If the tagger is
    installed, this does nothing.

    Parameters
    ----------
    plan : iterable of Msg
        Any plan, such as ``bp.scan([det], motor, 0, 1, 11)``.
    tagger : Tagger
        A tagger that is neither subscribed nor, in another RunEngine, in use.

    Returns
    -------
    object
        What the plan returns.
    """
    plan = ensure_generator(plan)
    if tagger.installed:
        return (yield from plan)
    token = yield Msg("subscribe", None, tagger, "all")
    # If the plan fails, the RunEngine unsubscribes the tagger itself, after it has closed the runs that were left open.
    result = yield from _TaggedPlan(tagger, partial(_subscribe_again, tagger)).follow(plan)
    yield Msg("unsubscribe", None, token=token)
    return result


def _subscribe_again(tagger: Tagger, what: str) -> Generator[Msg, Any, Mapping[str, Any]]:
    yield Msg("subscribe", None, tagger, "all")
    logger.warning("%s did not reach the tagger, because its subscription was removed: it is subscribed again", what)
    return {}


class _TaggedPlan:
    """One plan on its way through the RunEngine, with the rows of its runs added."""

    def __init__(self, tagger: Tagger, listen_again: ListenAgain) -> None:
        self._tagger = tagger
        self._listen_again = listen_again
        self._documents = 0  # that had reached the tagger before the event that is being saved
        self._runs: dict[Any, _TaggedRun] = {}  # by the run key of the messages

    def follow(self, plan: Plan) -> Plan:
        """Pass every message on, with ours around it; what the RunEngine answers goes to the plan."""
        try:
            result = yield from accompany(
                plan,
                lambda msg: self._guard(self._before(msg)),
                lambda msg, response: self._guard(self._after(msg, response)),
            )
        except Exception:
            # The plan ends without closing its runs; the RunEngine will, after these last rows.
            yield from self._finish_runs()
            raise
        yield from self._finish_runs()
        return result

    def _before(self, msg: Msg) -> Plan:
        run = self._runs.get(msg.run)
        if msg.command == "open_run":
            yield from self._until_ready()
        if msg.obj is self._tagger:
            if run is not None and msg.command == "trigger":
                yield from run.let_plan_trigger()
            elif run is not None and msg.command == "read":
                yield from run.let_plan_read()
        elif self._tagger.wait == "point":
            for each in self._runs.values():
                yield from each.write_ahead(each.unwritten())
        elif msg.command in ("wait", "sleep"):
            # While devices are on their way the RunEngine has nothing else to do: here rows cost the scan nothing.
            for each in self._runs.values():
                yield from each.write_ahead(each.ready())
        elif run is not None and msg.command == "create":
            # Plans that never wait get their rows here, a point later; the newest may still find a better place.
            yield from run.write_ahead(run.ready()[:-1])
        if self._tagger.shadow is not None and msg.command == "wait":
            for each in self._runs.values():
                yield from each.write_shadow()
        if run is not None and msg.command == "close_run":
            yield from run.finish()
        elif msg.command == "save":
            self._documents = self._tagger.documents

    def _until_ready(self) -> Plan:
        """Wait before a run until frames are scored at once: those that come before would be late.

        All runs together wait so long; a start that takes longer, or never ends, holds up no other run.
        """
        tagger, begin, said = self._tagger, time.monotonic(), False
        left = tagger.start_patience
        while not tagger.is_ready and tagger.start_patience > 0:
            yield from bps.sleep(_LOOK)
            waited = time.monotonic() - begin
            tagger.start_patience = left - waited
            if waited > _UNNOTICED and not said:
                said = True
                logger.warning("a run waits for the model of %s to start, %.0f s at most", tagger.name, left)
        if left > 0 >= tagger.start_patience:
            logger.warning("the model of %s has not started yet: until it has, frames are late", tagger.name)

    def _after(self, msg: Msg, response: Any) -> Plan:
        if msg.command == "wait":
            for each in self._runs.values():
                each.note_wait()
        elif msg.command == "open_run":
            if not self._tagger.heard(response):
                known = yield from self._listen_again(f"the start of run {response}")
                if known is not None:
                    self._tagger("start", {**known, **msg.kwargs, "uid": response})
            self._runs[msg.run] = _TaggedRun(self._tagger, msg.run, uid=response)
        elif msg.command == "checkpoint":
            self._tagger.checkpoint()
        run = self._runs.get(msg.run)
        if run is None:
            return
        if msg.command == "close_run":
            del self._runs[msg.run]
        elif msg.command == "create":
            run.bundling = True
        elif msg.command == "read" and run.bundling:
            run.read_together.append(msg.obj)
        elif msg.command in ("save", "drop"):
            if msg.command == "save" and run.read_together and self._documents == self._tagger.documents:
                yield from self._listen_again(f"an event of run {run.uid}")
            run.end_bundle()
            if self._tagger.wait == "point":
                yield from run.hold(run.unwritten())
        elif msg.command == "collect" and msg.obj is not self._tagger:
            yield from run.end_collect()
        elif msg.command == "monitor":
            run.monitored[msg.obj] = {key: value for key, value in msg.kwargs.items() if key not in ("name", "run")}
        elif msg.command == "unmonitor":
            run.monitored.pop(msg.obj, None)

    def _finish_runs(self) -> Plan:
        for run in self._runs.values():
            yield from self._guard(run.finish())

    def _guard(self, messages: Iterable[Msg]) -> Plan:
        """Send messages of ours so that their failure cannot harm the plan: the last resort, whatever it is."""
        return guard(messages, self._tagger, "the tagger could not do its part of a plan")


class _TaggedRun:
    """An open run, and the messages that write its rows."""

    def __init__(self, tagger: Tagger, key: Any, uid: str) -> None:
        self.bundling = False  # between `create` and `save`
        self.read_together: list[Any] = []  # what the plan has read since `create`
        self.monitored: dict[Any, Mapping[str, Any]] = {}  # what emits events by itself, and how it is subscribed to
        self._tagger = tagger
        self._key = key
        self.uid = uid
        self._rows = RowMessages(tagger, key, STREAM, self._guard)
        self._shadow_rows: RowMessages | None = None
        self._shadow_wrote: tuple[float, float] | None = None  # when rows of the shadow were begun and done
        self._read_by_plan: set[FrameId] = set()
        self._plan_reads = False  # the plan reads the tagger itself
        self._triggered: FrameId | None = None  # what it triggered and has not read yet
        self._said: set[str] = set()

    def unwritten(self) -> Sequence[FrameId]:
        """Return the frames that have no row yet, but for those that the plan reads itself."""
        return self._leave_to_plan(self._tagger.unwritten(self.uid))

    def ready(self) -> Sequence[FrameId]:
        """Return those of `unwritten` whose rows need no waiting."""
        return self._leave_to_plan(self._tagger.ready(self.uid))

    def _leave_to_plan(self, frames: Sequence[FrameId]) -> Sequence[FrameId]:
        left = self._read_by_plan
        return [frame for frame in frames if frame not in left] if left else frames

    def let_plan_trigger(self) -> Plan:
        """Point the tagger, which the plan is about to trigger, at the run's newest frame."""
        self._plan_reads = True
        unwritten = self.unwritten()
        if unwritten:
            self._triggered = unwritten[-1]
            yield from self.write(unwritten[:-1])
            self._read_by_plan.add(self._triggered)
            yield Msg("prepare", self._tagger, (self._triggered,))
        self._tagger.trigger_in(self.uid)

    def let_plan_read(self) -> Plan:
        """Point the tagger, which the plan is about to read, at what the plan triggered, or else at the newest frame.

        Between the two the tagger may have given rows of other frames, and of other runs.
        """
        self._plan_reads = True
        if self._triggered is None:
            unwritten = self.unwritten()
            if unwritten:
                self._triggered = unwritten[-1]
                self._read_by_plan.add(self._triggered)
                yield from self.wait_for([self._triggered])
        if self._triggered is not None:
            yield Msg("prepare", self._tagger, (self._triggered,))
            self._triggered = None

    def end_bundle(self) -> None:
        """Note that an event bundle is closed."""
        self.bundling = False
        if self._tagger in self.read_together and len(self.read_together) > 1:
            self._say_once(
                "the tagger was read in one event with other devices: the tags there are of an earlier frame; read it "
                "in an event of its own, after the detector's"
            )
        self.read_together.clear()

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            logger.warning(message)

    def end_collect(self) -> Plan:
        """Write what is ready of a fly scan, which brings frames by the hundred: its rows come in pages."""
        if self.unwritten():
            self._rows.form = self._rows.form or "page"
        yield from self.write_ahead(self.ready())

    def finish(self) -> Plan:
        """Write all rows of a run that is about to be closed, waiting for them until their deadlines."""
        unwritten = self._tagger.unwritten(self.uid)
        if unwritten and self.bundling:
            # The plan failed inside a bundle, whose event is lost anyway.
            yield from self._guard([Msg("drop", run=self._key)])
            self.end_bundle()
        yield from self._guard(self._end_monitors())
        yield from self.write(self._tagger.unwritten(self.uid))
        yield from self.write(self._tagger.unwritten(self.uid))  # what came meanwhile from elsewhere
        if self._tagger.shadow is not None and not self.bundling:
            yield from self._guard(self._finish_shadow(self._tagger.shadow))

    def _end_monitors(self) -> Plan:
        """End what brings frames by itself, so that none comes after the last rows.

        The RunEngine would end it a moment later, when it closes the run.
        """
        images = {
            device: options for device, options in self.monitored.items() if self._tagger.takes(self.uid, device.name)
        }
        for device in images:
            del self.monitored[device]
            yield Msg("unmonitor", device, run=self._key)
        if images:
            yield from bps.sleep(_IN_FLIGHT)
        for device, options in images.items():
            yield from self._drain(device, options)

    def _drain(self, device: Any, options: Mapping[str, Any]) -> Plan:
        """Wait for the events of a device that are still on their way in another thread.

        Devices call what is subscribed in one order, so what is subscribed now is called after all that came before.
        """
        called = threading.Event()

        def mark(*args: Any, **kwargs: Any) -> None:
            called.set()

        device.subscribe(mark, **options)
        try:
            end = time.monotonic() + _LONGEST_FLIGHT
            while not called.is_set() and time.monotonic() < end:
                yield from bps.sleep(0.005)
        finally:
            device.clear_sub(mark)

    def wait_for(self, frames: Sequence[FrameId]) -> Plan:
        """Hold the plan until these frames have their outcome."""
        yield from self._rows.wait_for(frames)

    def hold(self, frames: Sequence[FrameId]) -> Plan:
        """Hold the plan until these frames have their outcome; that this fails is no reason to end the plan."""
        yield from self._guard(self.wait_for(frames))

    def write_ahead(self, frames: Sequence[FrameId]) -> Plan:
        """Write rows, unless the plan reads the tagger itself: then all that it leaves is written at the end."""
        if not self._plan_reads:
            yield from self.write(frames)

    def write(self, frames: Sequence[FrameId]) -> Plan:
        """Write rows, unless an event bundle is open: then the next chance is taken."""
        if frames and not self.bundling:
            yield from self._rows.write(frames)

    def write_shadow(self) -> Plan:
        """Write a few rows of the shadow model that are ready, unless an event bundle is open.

        The plan is about to wait. If what it waits for comes later than the rows, they have cost nothing.
        """
        shadow = self._tagger.shadow
        if shadow is None or self.bundling or shadow.patience(self.uid) < 0:
            return
        if frames := shadow.ready(self.uid, _FEW):
            begin = time.monotonic()
            yield from self._write_shadow(shadow, frames)
            self._shadow_wrote = begin, time.monotonic()

    def note_wait(self) -> None:
        """Note that a wait of the plan is over: had it nothing to wait for any more, the rows before it held it up."""
        if self._shadow_wrote is not None and self._tagger.shadow is not None:
            begin, end = self._shadow_wrote
            if time.monotonic() - end < _AT_ONCE:
                self._tagger.shadow.charge(self.uid, end - begin)
            self._shadow_wrote = None

    def _finish_shadow(self, shadow: Shadow) -> Plan:
        """Write what is ready of the shadow's rows, for a small share of the time that the run has taken."""
        end = time.monotonic() + shadow.patience(self.uid)
        while time.monotonic() < end and shadow.is_busy(self.uid):
            yield from bps.sleep(_BEAT)
        while time.monotonic() < end and (frames := shadow.ready(self.uid, 1)):
            yield from self._write_shadow(shadow, frames)
        yield from self._write_shadow(shadow, shadow.last(self.uid))

    def _write_shadow(self, shadow: Shadow, frames: Sequence[FrameId]) -> Plan:
        if not frames:
            return
        if self._shadow_rows is None:
            self._shadow_rows = RowMessages(shadow, self._key, SHADOW, self._guard, self._rows.form or "event")
        yield from self._shadow_rows.write(frames)

    def _guard(self, messages: Iterable[Msg]) -> Plan:
        """Send messages of ours so that their failure (a subscriber that raises, say) cannot harm the plan."""
        return guard(messages, self._tagger, f"rows of the stream {STREAM!r} could not be written", self._said)
