"""Labelling in a terminal: keys in, pages out, and the terminal as it was in the end."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..errors import XTagValueError
from ..view import LabelScreen, find_protocol
from .labelling import Labelling

if TYPE_CHECKING:
    from prompt_toolkit.input.vt100 import Vt100Input

__all__ = ["can_show", "check_terminal", "label_in_terminal"]

_TICK = 0.25  # seconds after which a new size of the terminal is seen
_ESCAPE = 0.05  # seconds in which the rest of a key that begins with Escape comes
_ANSWER = 0.6  # seconds in which a terminal says what it is
_CELL = (20, 10)  # of a terminal that does not say it: height and width of a character in pixels
_NAMES = {"c-m": "enter", "c-j": "enter", " ": "space", "c-h": "backspace", "c-i": "tab"}


def check_terminal() -> None:
    """Raise XTagValueError if people cannot see and type here."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise XTagValueError(
            "labelling needs a terminal for its pictures and keys, but the input or the output is redirected: "
            "call it without a redirection or a pipe, or with --window, which shows the frames in a browser"
        )


def can_show() -> bool:
    """Return whether the terminal shows pictures, at least of blocks: it has colours and all characters."""
    console = Console()
    return console.color_system in ("256", "truecolor") and not console.options.ascii_only


def label_in_terminal(session: Labelling) -> None:
    """Show the frames of a session in this terminal, and take its keys, until it is finished.

    Each frame that was kept is on disk, whatever ends this function. The terminal is left as it was.

    Raises
    ------
    XTagValueError
        Input or output is not a terminal.
    """
    check_terminal()
    from prompt_toolkit.input.vt100 import Vt100Input

    console, keys = _console(), Vt100Input(sys.stdin)
    with ExitStack() as stack:
        stack.enter_context(_ends_in_order())
        stack.enter_context(keys.raw_mode())  # Control and C is a key here, so that it stops nothing half-way
        program = os.environ.get("TERM_PROGRAM") or os.environ.get("LC_TERMINAL", "")
        protocol = find_protocol(lambda question: _ask(question, console), program)
        console.set_alt_screen(True)
        stack.callback(console.set_alt_screen, False)
        console.show_cursor(False)
        stack.callback(console.show_cursor, True)
        screen = LabelScreen(console, protocol, _cell_size())
        while not session.finished:
            size = console.size  # before the page is drawn: who changes it meanwhile gets another page
            screen.draw(session.page)
            for key in _read_keys(keys, lambda size=size: console.size != size):
                session.press(key)


def _console() -> Console:
    """Return this terminal as large as it is, whatever size the shell has exported: that one never changes."""
    return Console(_environ={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")})


def _read_keys(keys: Vt100Input, resized: Callable[[], bool]) -> list[str]:
    """Wait for keys and return their names; none if the terminal has another size."""
    while True:
        if not _waits(keys.fileno(), _TICK):
            if resized():
                return []
            continue
        pressed = keys.read_keys()
        if not pressed and not _waits(keys.fileno(), _ESCAPE):
            pressed = keys.flush_keys()  # Escape alone
        if keys.closed:
            return ["escape"]  # nobody is there any more
        if pressed:
            return [_NAMES.get(name, name) for name in (_name(each.key) for each in pressed)]


def _name(key: Any) -> str:
    return str(getattr(key, "value", key))


def _waits(handle: int, seconds: float) -> bool:
    return bool(select.select([handle], [], [], seconds)[0])


def _ask(question: str, console: Console) -> str:
    """Return what the terminal answers to a question, up to a "c"; "" if it does not answer."""
    console.file.write(question)
    console.file.flush()
    answer, until = "", time.monotonic() + _ANSWER
    handle = sys.stdin.fileno()
    while not re.search(r"\x1b\[\?[\d;]*c", answer) and _waits(handle, max(0.0, until - time.monotonic())):
        part = os.read(handle, 256)
        if not part:
            break
        answer += part.decode("ascii", "replace")
    return answer


def _cell_size() -> tuple[int, int]:
    """Return the height and the width of a character in pixels."""
    import fcntl
    import termios

    try:
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(sys.stdout, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        return _CELL
    return (height // rows, width // columns) if min(rows, columns, width, height) > 0 else _CELL


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Let signals that end the process end it through its cleaning up, so that the terminal is as it was."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    heeded = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
