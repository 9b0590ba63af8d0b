"""Labelling in a browser: matplotlib's window there, its keys, and clicks on tags."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import numpy as np

from ..errors import XTagError, XTagValueError
from ..view import draw_label_page, label_picture, tag_at
from .labelling import Labelling

__all__ = ["check_window", "label_in_window"]

_LAST_LOOK = 1.0  # seconds in which the last page reaches the browser
_NAMES = {"ctrl+z": "c-z", "ctrl+c": "c-c", " ": "space", "esc": "escape"}
_ADDRESS = "127.0.0.1"
_WHERE = """The frames are at http://127.0.0.1:{port}/
Click on the picture, then use the keys. From another machine: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"""


def check_window() -> None:
    """Raise XTagValueError if matplotlib's window in a browser cannot be had."""
    try:
        import matplotlib.figure  # noqa: F401
        import tornado.web  # noqa: F401
    except ImportError as error:
        raise XTagValueError(
            f'the window in a browser needs matplotlib and tornado ({error}): pip install "bluesky_xtag[window]", '
            "or label in a terminal with colours"
        ) from error


def label_in_window(session: Labelling, *, port: int = 8988, open_browser: bool = True) -> None:
    """Show the frames of a session in a browser on this machine, and take its keys, until it is finished.

    Parameters
    ----------
    session : Labelling
        The session.
    port : int
        Where the browser finds it, on this machine only; the next free one if it is taken.
    open_browser : bool
        Open a browser, if there is a display. The address is printed in any case.

    Raises
    ------
    XTagValueError
        matplotlib or tornado is missing.
    XTagError
        There is no free port.
    """
    check_window()
    import matplotlib as mpl
    from matplotlib import pyplot
    from matplotlib.backends.backend_webagg import WebAggApplication

    port = _free_port(port)
    print(_WHERE.format(port=port), flush=True)
    keymaps = {name: [] for name in mpl.rcParams if name.startswith("keymap.")}  # all keys are those of tags
    settings: Any = {
        **keymaps,
        "toolbar": "None",
        "webagg.open_in_browser": open_browser and _has_display(),
        "webagg.address": _ADDRESS,
    }
    before = mpl.get_backend()
    with mpl.rc_context({**settings, "webagg.port": port, "webagg.port_retries": 1}):
        pyplot.switch_backend("webagg")
        try:
            _Window(session).run()
        finally:
            WebAggApplication.started = False  # so that another session starts it again
            pyplot.switch_backend(before)


class _Window:
    def __init__(self, session: Labelling) -> None:
        from matplotlib import pyplot

        self._session = session
        self._pixels: np.ndarray | None = None
        self._picture: np.ndarray | None = None
        self._figure: Any = pyplot.figure(figsize=(12.0, 7.4))
        self._figure.canvas.manager.set_window_title("xtag label")
        self._figure.canvas.mpl_connect("key_press_event", self._on_key)
        self._figure.canvas.mpl_connect("button_press_event", self._on_click)

    def run(self) -> None:
        from matplotlib import pyplot

        self._draw()
        try:
            pyplot.show(block=True)
        finally:
            pyplot.close(self._figure)

    def _draw(self) -> None:
        page = self._session.page
        if page.pixels is not None and page.pixels is not self._pixels:  # another frame
            self._pixels, self._picture = page.pixels, label_picture(page.pixels)
        draw_label_page(self._figure, page, self._picture, over=self._session.finished)
        self._figure.canvas.draw_idle()

    def _on_key(self, event: Any) -> None:
        key = str(event.key or "")
        self._press(_NAMES.get(key, key))

    def _on_click(self, event: Any) -> None:
        line = tag_at(event, self._session.page)
        if line is not None:
            self._press(line.key)

    def _press(self, key: str) -> None:
        from tornado.ioloop import IOLoop

        if self._session.finished:
            return
        self._session.press(key)
        self._draw()
        if self._session.finished:
            loop = IOLoop.current()
            loop.call_later(_LAST_LOOK, loop.stop)


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _free_port(first: int) -> int:
    for port in range(first, first + 50):
        with socket.socket() as tried:
            try:
                tried.bind((_ADDRESS, port))
            except OSError:
                continue
            return port
    raise XTagError(f"all ports from {first} to {first + 49} are taken: end another window first")
