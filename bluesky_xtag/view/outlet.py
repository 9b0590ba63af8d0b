"""A terminal that may stand still: a pipe that nobody reads, or a terminal after Ctrl-S."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

__all__ = ["Outlet", "broken_pipes_raise"]

_LINES = 500  # that wait for a terminal


@dataclass(frozen=True)
class _Waiting:
    do: Callable[[], object]
    is_line: bool


class Outlet:
    """Lines for a console, written only when it takes output, so that no thread is ever stuck in writing.

    Used from one thread.

    Parameters
    ----------
    console : rich.console.Console
        Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waiting: deque[_Waiting] = deque()
        self._lines = 0
        self.dropped = 0
        """Lines that were left out, because too many waited, since the last one that was written."""

    @property
    def waits(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._waiting) or self.dropped > 0

    def print(self, text: Any, style: str | None = None) -> None:
        """Write a line as soon as that is possible; where too many wait, the oldest is left out."""
        self._waiting.append(_Waiting(lambda: self._console.print(text, soft_wrap=True, style=style), True))
        self._lines += 1
        if self._lines > _LINES:
            del self._waiting[next(place for place, each in enumerate(self._waiting) if each.is_line)]
            self._lines -= 1
            self.dropped += 1

    def do(self, action: Callable[[], object]) -> None:
        """Do something that writes, in its turn."""
        self._waiting.append(_Waiting(action, False))

    def write(self) -> None:
        """Write what waits, as long as the terminal takes it; BrokenPipeError where nobody can read it any more."""
        with broken_pipes_raise(self._console):
            while self.waits and self.takes_output():
                if self.dropped:
                    count, self.dropped = self.dropped, 0
                    lines = "line was" if count == 1 else "lines were"
                    self._console.print(f"({count} {lines} left out: the terminal took no output)", style="dim")
                    continue
                waiting = self._waiting.popleft()
                self._lines -= waiting.is_line
                waiting.do()

    def takes_output(self) -> bool:
        """Return whether a line can be written now without waiting."""
        try:
            poll = select.poll()
            poll.register(self._console.file.fileno(), select.POLLOUT)
            return bool(poll.poll(0))
        except (AttributeError, OSError, TypeError, ValueError):  # not a file of the system: a notebook, a buffer
            return True


@contextmanager
def broken_pipes_raise(console: Console) -> Iterator[None]:
    """Let a console raise BrokenPipeError: rich would turn the session's own stdout to /dev/null and ask it to end."""

    def again() -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the error

    kept = vars(console).get("on_broken_pipe")
    console.on_broken_pipe = again
    try:
        yield
    finally:
        if kept is None:
            del console.on_broken_pipe
        else:
            console.on_broken_pipe = kept
