"""The messages that write rows of a device into a stream of an open run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from bluesky import plan_stubs as bps
from bluesky.preprocessors import set_run_key_wrapper
from bluesky.utils import IllegalMessageSequence, Msg

from ..documents import FrameId
from .messages import Plan

__all__ = ["RowMessages"]

# Rows that the RunEngine emits in one go: it checks each value of a page, which takes about half a millisecond a row.
_PAGE = 100


class RowMessages:
    """Writes rows of a device into a stream of an open run.

    Parameters
    ----------
    device : Readable and EventPageCollectable
        The tagger, or its shadow: it is told by `prepare` of which frames the rows are.
    key : Any
        The run key of the messages.
    stream : str
        Name of the stream.
    guard : callable
        Sends messages so that their failure cannot harm the plan.
    form : {"event", "page"}, optional
        How rows come. If None, as events, unless this is set before the first row.
    """

    def __init__(
        self,
        device: Any,
        key: Any,
        stream: str,
        guard: Callable[[Iterable[Msg]], Plan],
        form: Literal["event", "page"] | None = None,
    ) -> None:
        self.form: Literal["event", "page"] | None = form
        self._device = device
        self._key = key
        self._stream = stream
        self._guard = guard
        self._declared = False

    def write(self, frames: Sequence[FrameId]) -> Plan:
        """Write the rows of frames, each as an event or together as pages."""
        self.form = self.form or "event"
        if self.form == "page":
            for first in range(0, len(frames), _PAGE):  # so that the RunEngine hears others in between
                yield from self._guard(self._page(frames[first : first + _PAGE]))
        else:
            for frame in frames:
                yield from self._guard(self._event(frame))

    def wait_for(self, frames: Sequence[FrameId]) -> Plan:
        """Hold the plan until the device knows what came of these frames."""
        if frames:
            yield Msg("prepare", self._device, frames)
            if hasattr(self._device, "trigger"):
                yield from bps.trigger(self._device, wait=True)

    def _event(self, frame: FrameId) -> Plan:
        # A replayed `prepare` carries the frame's id too, so after a pause the same frame gets the same row.
        yield Msg("prepare", self._device, (frame,))
        try:
            yield from self._trigger_and_read()
        except IllegalMessageSequence:
            # A RunEngine may insist that streams be declared; it refuses the event, but only after opening it.
            yield Msg("drop", run=self._key)
            yield Msg("declare_stream", None, self._device, run=self._key, name=self._stream)
            yield from self._trigger_and_read()

    def _trigger_and_read(self) -> Plan:
        plan = bps.trigger_and_read([self._device], name=self._stream)
        return plan if self._key is None else set_run_key_wrapper(plan, self._key)

    def _page(self, frames: Sequence[FrameId]) -> Plan:
        if not self._declared:
            self._declared = True
            yield Msg("declare_stream", None, self._device, run=self._key, name=self._stream, collect=True)
        yield from self.wait_for(frames)
        yield Msg("collect", self._device, run=self._key, name=self._stream, return_payload=False)
