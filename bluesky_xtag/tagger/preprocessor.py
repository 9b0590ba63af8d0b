"""A plan preprocessor that adds the rows of a tagger to every run of a plan.

The RunEngine itself then emits the stream "tags": sequence numbers, `num_events`, rewinding after a pause and failing
plans come out right because the RunEngine does them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from bluesky import plan_stubs as bps
from bluesky.preprocessors import set_run_key_wrapper
from bluesky.run_engine import RunEngine
from bluesky.utils import FailedStatus, IllegalMessageSequence, Msg, RunEngineControlException, ensure_generator

from ..documents import STREAM, FrameId
from .messages import Plan, accompany
from .tagger import Tagger

__all__ = ["TagPreprocessor"]

logger = logging.getLogger("bluesky_xtag")


class TagPreprocessor:
    """A plan preprocessor that adds the rows of a tagger to every run of a plan.

    Parameters
    ----------
    tagger : Tagger
        The tagger, subscribed to the same RunEngine.
    RE : RunEngine
        The RunEngine whose preprocessor this is.
    """

    def __init__(self, tagger: Tagger, RE: RunEngine) -> None:
        self.tagger = tagger
        self._RE = RE

    def __call__(self, plan: Iterable[Msg]) -> Plan:
        """Return the plan with the rows added."""
        if self._RE.preprocessors[-1:] != [self]:
            logger.warning(
                "preprocessors were added to the RunEngine after install(RE): frames that they take may get no row; "
                "call install(RE) last"
            )
        return _TaggedPlan(self.tagger).follow(ensure_generator(plan))


class _TaggedPlan:
    """One plan on its way through the RunEngine, with the rows of its runs added."""

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        self._runs: dict[Any, _TaggedRun] = {}  # by the run key of the messages

    def follow(self, plan: Plan) -> Plan:
        """Pass every message on, with ours around it; what the RunEngine answers goes to the plan."""
        try:
            result = yield from accompany(plan, self._before, self._after)
        except Exception:
            # The plan ends without closing its runs; the RunEngine will, after these last rows.
            yield from self._finish_runs()
            raise
        yield from self._finish_runs()
        return result

    def _before(self, msg: Msg) -> Plan:
        run = self._runs.get(msg.run)
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
        if run is not None and msg.command == "close_run":
            yield from run.finish()

    def _after(self, msg: Msg, response: Any) -> Plan:
        if msg.command == "open_run":
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
            run.end_bundle()
            if self._tagger.wait == "point":
                yield from run.wait_for(run.unwritten())
        elif msg.command == "collect" and msg.obj is not self._tagger:
            yield from run.end_collect()

    def _finish_runs(self) -> Plan:
        for run in self._runs.values():
            yield from run.finish()


class _TaggedRun:
    """An open run, and the messages that write its rows."""

    def __init__(self, tagger: Tagger, key: Any, uid: str) -> None:
        self.bundling = False  # between `create` and `save`
        self.read_together: list[Any] = []  # what the plan has read since `create`
        self._tagger = tagger
        self._key = key
        self._uid = uid
        self._form: Literal["event", "page"] | None = None  # how rows come in this run, once the first has
        self._declared = False
        self._failed = False
        self._read_by_plan: set[FrameId] = set()
        self._plan_reads = False  # the plan reads the tagger itself
        self._triggered: FrameId | None = None  # what it triggered and has not read yet
        self._said: set[str] = set()

    def unwritten(self) -> list[FrameId]:
        """Return the frames that have no row yet, but for those that the plan reads itself."""
        return [frame for frame in self._tagger.unwritten(self._uid) if frame not in self._read_by_plan]

    def ready(self) -> list[FrameId]:
        """Return those of `unwritten` whose rows need no waiting."""
        return [frame for frame in self._tagger.ready(self._uid) if frame not in self._read_by_plan]

    def let_plan_trigger(self) -> Plan:
        """Point the tagger, which the plan is about to trigger, at the run's newest frame."""
        self._plan_reads = True
        unwritten = self.unwritten()
        if unwritten:
            self._triggered = unwritten.pop()
            yield from self.write(unwritten)
            self._read_by_plan.add(self._triggered)
            yield Msg("prepare", self._tagger, (self._triggered,))

    def let_plan_read(self) -> Plan:
        """Point the tagger, which the plan is about to read, at what the plan triggered, or else at the newest frame.

        Between the two the tagger may have given rows of other frames, and of other runs.
        """
        self._plan_reads = True
        if self._triggered is None:
            unwritten = self.unwritten()
            if unwritten:
                self._triggered = unwritten.pop()
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
            self._form = self._form or "page"
        yield from self.write_ahead(self.ready())

    def finish(self) -> Plan:
        """Write all rows of a run that is about to be closed, waiting for them until their deadlines."""
        unwritten = self._tagger.unwritten(self._uid)
        if unwritten and self.bundling:
            # The plan failed inside a bundle, whose event is lost anyway.
            yield from self._guard([Msg("drop", run=self._key)])
            self.end_bundle()
        yield from self.write(unwritten)

    def wait_for(self, frames: Sequence[FrameId]) -> Plan:
        """Hold the plan until these frames have their outcome."""
        if frames:
            yield Msg("prepare", self._tagger, tuple(frames))
            yield from bps.trigger(self._tagger, wait=True)

    def write_ahead(self, frames: Sequence[FrameId]) -> Plan:
        """Write rows, unless the plan reads the tagger itself: then all that it leaves is written at the end."""
        if not self._plan_reads:
            yield from self.write(frames)

    def write(self, frames: Sequence[FrameId]) -> Plan:
        """Write rows, unless an event bundle is open: then the next chance is taken."""
        if not frames or self.bundling:
            return
        self._form = self._form or "event"
        if self._form == "page":
            yield from self._guard(self._page(frames))
        else:
            for frame in frames:
                yield from self._guard(self._event(frame))

    def _event(self, frame: FrameId) -> Plan:
        # A replayed `prepare` carries the frame's id too, so after a pause the same frame gets the same row.
        yield Msg("prepare", self._tagger, (frame,))
        try:
            yield from self._trigger_and_read()
        except IllegalMessageSequence:
            # A RunEngine may insist that streams be declared; it refuses the event, but only after opening it.
            yield Msg("drop", run=self._key)
            yield Msg("declare_stream", None, self._tagger, run=self._key, name=STREAM)
            yield from self._trigger_and_read()

    def _trigger_and_read(self) -> Plan:
        plan = bps.trigger_and_read([self._tagger], name=STREAM)
        return plan if self._key is None else set_run_key_wrapper(plan, self._key)

    def _page(self, frames: Sequence[FrameId]) -> Plan:
        if not self._declared:
            self._declared = True
            yield Msg("declare_stream", None, self._tagger, run=self._key, name=STREAM, collect=True)
        yield from self.wait_for(frames)
        yield Msg("collect", self._tagger, run=self._key, name=STREAM, return_payload=False)

    def _guard(self, messages: Iterable[Msg]) -> Plan:
        """Send messages of ours so that their failure (a subscriber that raises, say) cannot harm the plan.

        What is thrown at them but meant for the plan goes through: abort, stop and failing devices.
        """
        try:
            yield from messages
        except (RunEngineControlException, FailedStatus):
            raise
        except Exception:
            self._tagger.statistics.write_errors += 1
            # What fails for one row fails for the next: the first tells enough.
            log = logger.debug if self._failed else logger.exception
            log("rows of the stream %r could not be written", STREAM)
            self._failed = True
