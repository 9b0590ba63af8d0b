"""Put a tagger into a session: `install(RE)`.

The preprocessor adds messages to plans so that the RunEngine itself emits the stream "tags": sequence numbers,
`num_events`, rewinding after a pause and failing plans come out right because the RunEngine does them.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bluesky import plan_stubs as bps
from bluesky.preprocessors import set_run_key_wrapper
from bluesky.run_engine import RunEngine
from bluesky.utils import FailedStatus, IllegalMessageSequence, Msg, RunEngineControlException, ensure_generator

from .backends import Backend
from .documents import STREAM
from .errors import XTagValueError
from .tagger import Address, Policy, Tagger, Wait

if TYPE_CHECKING:
    from .model import TagModel

__all__ = ["TagPreprocessor", "install"]

logger = logging.getLogger("bluesky_xtag")

_Plan = Generator[Msg, Any, Any]


def install(
    RE: RunEngine,
    *,
    model: TagModel | None = None,
    key: str | Sequence[str] | None = None,
    streams: Sequence[str] | None = None,
    beam_centre: tuple[float, float] | tuple[str, str] | None = None,
    backend: Backend | None = None,
    wait: Wait = "overlap",
    deadline: float = 2.0,
    queue_size: int = 64,
    policy: Policy = "drop_oldest",
    on_error: Literal["record", "raise"] = "record",
    name: str = "xtag",
) -> Tagger:
    """Tag the frames of all runs of a RunEngine from now on; the arguments are those of `Tagger`.

    A RunEngine has one tagger: the one installed before, if any, is uninstalled.

    Returns
    -------
    Tagger
        ``tagger.uninstall()`` undoes this.
    """
    if not isinstance(RE, RunEngine):
        raise XTagValueError(f"install() needs a bluesky RunEngine, got {type(RE).__name__}")
    tagger = Tagger(
        model,
        key=key,
        streams=streams,
        beam_centre=beam_centre,
        backend=backend,
        wait=wait,
        deadline=deadline,
        queue_size=queue_size,
        policy=policy,
        on_error=on_error,
        name=name,
    )
    for preprocessor in list(RE.preprocessors):
        if isinstance(preprocessor, TagPreprocessor):
            logger.warning("this RunEngine had a tagger already; it is replaced: %r", preprocessor.tagger)
            preprocessor.tagger.uninstall()
    preprocessor = TagPreprocessor(tagger)
    RE.preprocessors.append(preprocessor)
    tagger.closing.callback(RE.preprocessors.remove, preprocessor)
    tagger.closing.callback(RE.unsubscribe, RE.subscribe(tagger))
    return tagger


class TagPreprocessor:
    """A plan preprocessor that adds the rows of a tagger to every run of a plan.

    Parameters
    ----------
    tagger : Tagger
        The tagger, subscribed to the same RunEngine.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.tagger = tagger

    def __call__(self, plan: Iterable[Msg]) -> _Plan:
        """Return the plan with the rows added."""
        return _TaggedPlan(self.tagger).follow(ensure_generator(plan))


class _TaggedPlan:
    """One plan on its way through the RunEngine, and what must be known of its runs to add rows."""

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        self._runs: dict[Any, str] = {}  # run key of the messages -> uid of the open run
        self._bundling: set[Any] = set()  # keys of runs that are between `create` and `save`
        self._form: dict[Any, Literal["event", "page"]] = {}  # how the rows of a run come, once the first has
        self._declared: set[Any] = set()  # keys of runs whose stream was declared, which pages need
        self._read_by_plan: set[Address] = set()

    def follow(self, plan: _Plan) -> _Plan:
        """Pass every message on, with ours around it; what the RunEngine answers goes to the plan."""
        response: Any = None
        error: BaseException | None = None
        while True:
            try:
                msg = plan.send(response) if error is None else plan.throw(error)
            except StopIteration as stop:
                yield from self._finish_runs()
                return stop.value
            except Exception:
                # The plan ends without closing its runs; the RunEngine will, after these last rows.
                yield from self._finish_runs()
                raise
            response = error = None
            try:
                yield from self._before(msg)
                response = yield msg
                yield from self._after(msg, response)
            except GeneratorExit:
                plan.close()
                raise
            except Exception as exception:
                error = exception

    # Where messages are added

    def _before(self, msg: Msg) -> _Plan:
        if msg.obj is self._tagger:
            if msg.command == "trigger":
                yield from self._let_plan_read(msg.run)
        elif self._tagger.wait == "point":
            for key in list(self._runs):
                yield from self._write(key, self._unwritten(key))
        elif msg.command == "create":
            yield from self._write(msg.run, self._ready(msg.run))
        if msg.command == "close_run":
            yield from self._finish(msg.run)

    def _after(self, msg: Msg, response: Any) -> _Plan:
        if msg.command == "open_run":
            self._runs[msg.run] = response
        elif msg.command == "close_run":
            self._forget(msg.run)
        elif msg.command == "checkpoint":
            self._tagger.checkpoint()
        elif msg.command == "create":
            self._bundling.add(msg.run)
        elif msg.command in ("save", "drop"):
            self._bundling.discard(msg.run)
            if self._tagger.wait == "point":
                yield from self._await(self._unwritten(msg.run))
        elif msg.command == "collect" and msg.obj is not self._tagger:
            # Fly scans bring frames by the hundred, so their rows come in pages.
            if self._unwritten(msg.run):
                self._form.setdefault(msg.run, "page")
            if self._tagger.wait == "overlap":
                yield from self._write(msg.run, self._ready(msg.run))

    # Which frames

    def _unwritten(self, key: Any) -> list[Address]:
        return [
            address for address in self._tagger.unwritten(self._runs.get(key, "")) if address not in self._read_by_plan
        ]

    def _ready(self, key: Any) -> list[Address]:
        return [address for address in self._tagger.ready(self._runs.get(key, "")) if address not in self._read_by_plan]

    def _let_plan_read(self, key: Any) -> _Plan:
        """Point the tagger, which the plan is about to read itself, at the run's newest frame."""
        unwritten = self._unwritten(key)
        if unwritten:
            newest = unwritten.pop()
            yield from self._write(key, unwritten)
            self._read_by_plan.add(newest)
            yield Msg("prepare", self._tagger, (newest,))

    # How rows are written

    def _write(self, key: Any, addresses: Sequence[Address]) -> _Plan:
        """Write rows, unless an event bundle is open: then the next chance is taken."""
        if not addresses or key in self._bundling:
            return
        if self._form.setdefault(key, "event") == "page":
            yield from self._guard(self._page(key, addresses))
        else:
            for address in addresses:
                yield from self._guard(self._row(key, address))

    def _row(self, key: Any, address: Address) -> _Plan:
        # A replayed `prepare` carries the address too, so after a pause the same frame gets the same row.
        yield Msg("prepare", self._tagger, (address,))
        try:
            yield from _in_run(key, bps.trigger_and_read([self._tagger], name=STREAM))
        except IllegalMessageSequence:
            # A RunEngine may insist that streams be declared; it refuses the event, but only after opening it.
            yield Msg("drop", run=key)
            yield Msg("declare_stream", None, self._tagger, run=key, name=STREAM)
            yield from _in_run(key, bps.trigger_and_read([self._tagger], name=STREAM))

    def _page(self, key: Any, addresses: Sequence[Address]) -> _Plan:
        if key not in self._declared:
            self._declared.add(key)
            yield Msg("declare_stream", None, self._tagger, run=key, name=STREAM, collect=True)
        yield from self._await(addresses)
        yield Msg("collect", self._tagger, run=key, name=STREAM, return_payload=False)

    def _await(self, addresses: Sequence[Address]) -> _Plan:
        if addresses:
            yield Msg("prepare", self._tagger, tuple(addresses))
            yield from bps.trigger(self._tagger, wait=True)

    def _finish(self, key: Any) -> _Plan:
        """Write all rows of a run that is about to be closed, waiting for them until their deadlines."""
        if key in self._bundling and self._tagger.unwritten(self._runs.get(key, "")):
            # The plan failed inside a bundle, whose event is lost anyway.
            yield from self._guard([Msg("drop", run=key)])
            self._bundling.discard(key)
        yield from self._write(key, self._tagger.unwritten(self._runs.get(key, "")))

    def _finish_runs(self) -> _Plan:
        for key in list(self._runs):
            yield from self._finish(key)
            self._forget(key)

    def _forget(self, key: Any) -> None:
        run = self._runs.pop(key, None)
        self._bundling.discard(key)
        self._declared.discard(key)
        self._form.pop(key, None)
        self._read_by_plan = {address for address in self._read_by_plan if address.run != run}

    def _guard(self, messages: Iterable[Msg]) -> _Plan:
        """Send messages of ours so that their failure (a subscriber that raises, say) cannot harm the plan.

        What is thrown at them but meant for the plan goes through: abort, stop and failing devices.
        """
        try:
            yield from messages
        except (RunEngineControlException, FailedStatus):
            raise
        except Exception:
            logger.exception("rows of the stream %r could not be written", STREAM)


def _in_run(key: Any, plan: _Plan) -> _Plan:
    return plan if key is None else set_run_key_wrapper(plan, key)
