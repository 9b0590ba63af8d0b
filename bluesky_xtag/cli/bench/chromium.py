"""A real Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from ...errors import XTagError, XTagValueError

__all__ = ["PROGRAM", "Browser", "Page", "chromium", "find_chromium"]

PROGRAM = "XTAG_TEST_CHROMIUM"
"""The environment variable that names a browser, such as /usr/bin/chromium."""

_START = 60.0  # seconds
_ANSWER = 60.0
_LOOK = 0.02  # seconds between two looks at a page
_KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "Backspace": ("Backspace", 8, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    " ": ("Space", 32, " "),
}
_MODIFIERS = {"Alt": 1, "Control": 2, "Shift": 8}


def find_chromium() -> str | None:
    """Return the browser's program, or None if there is none."""
    return os.environ.get(PROGRAM) or shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium(*options: str, gives_way: bool = False) -> Iterator[Browser]:
    """Start a browser with a new profile, and end it; XTagValueError if there is none on this machine.

    One that gives way takes only the processor's time that others leave, as if it were on a machine of its own.
    """
    program = find_chromium()
    if program is None:
        raise XTagValueError(f"there is no Chromium: install Debian's package chromium, or name a browser in {PROGRAM}")
    directory = tempfile.mkdtemp(prefix="xtag-chromium-")
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
    command += ["--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars"]
    command += [f"--user-data-dir={directory}", "--remote-debugging-port=0", "--remote-allow-origins=*", *options]
    if gives_way:
        command = ["nice", "-n", "19", *command]
    with open(Path(directory) / "log", "wb") as log:
        process = subprocess.Popen([*command, "about:blank"], stdout=log, stderr=log, start_new_session=True)
        try:
            address, path = _address(process, Path(directory))
            with connect(address + path, max_size=None, ping_interval=None) as socket:
                yield Browser(address, socket)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            shutil.rmtree(directory, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], directory: Path) -> tuple[str, str]:
    """Return where a browser that starts can be driven, and the path of the browser itself there."""
    port = directory / "DevToolsActivePort"
    deadline = time.monotonic() + _START
    while not (port.exists() and "\n" in port.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise XTagError(f"Chromium did not start: {(directory / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(_LOOK)
    number, path = port.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{number}", path


class Browser:
    """A browser that runs, see `chromium`."""

    def __init__(self, address: str, socket: ClientConnection) -> None:
        self._address = address
        self._line = _Line(socket)

    @contextmanager
    def page(
        self,
        address: str = "",
        size: tuple[int, int] = (1280, 800),
        dark: bool = False,
        window: bool = False,
    ) -> Iterator[Page]:
        """Open an address, or nothing, in a new tab, and close that; a tab in a window of its own is always drawn."""
        target = self._line.ask("Target.createTarget", url="about:blank", newWindow=window)["targetId"]
        try:
            with connect(f"{self._address}/devtools/page/{target}", max_size=None, ping_interval=None) as socket:
                page = Page(socket, size, dark)
                if address:
                    page.open(address)
                yield page
        finally:
            with suppress(Exception):
                self._line.ask("Target.closeTarget", targetId=target)


class _Line:
    """Commands of the protocol and their results, over one websocket; events go to `heard`."""

    def __init__(self, socket: ClientConnection, heard: Any = None) -> None:
        self._socket = socket
        self._heard = heard
        self._number = 0

    def ask(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        deadline = time.monotonic() + _ANSWER
        while True:
            answer = json.loads(self._socket.recv(timeout=max(0.1, deadline - time.monotonic())))
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise XTagError(f"Chromium refuses {method}: {answer['error']}")
                return answer["result"]
            if self._heard is not None:
                self._heard(answer)


class Page:
    """A tab.

    Attributes
    ----------
    messages : list of str
        What scripts wrote to the console, what they threw, and what the browser complained of.
    requests : list of str
        The addresses that the page asked for.
    """

    def __init__(self, socket: ClientConnection, size: tuple[int, int], dark: bool) -> None:
        self._line = _Line(socket, self._note)
        self.ask = self._line.ask
        self.messages: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log", "Performance"):
            self.ask(f"{domain}.enable")
        width, height = size
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def _note(self, event: Any) -> None:
        method, given = event.get("method"), event.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(each.get("value", each.get("description"))) for each in given["args"]))
        elif method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.messages.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded":
            self.messages.append(f"{given['entry']['level']}: {given['entry']['text']} {given['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])

    def open(self, address: str) -> None:
        """Go to an address, and wait until the page is there."""
        self.ask("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """Return the value of an expression, or of what it promises; XTagError if it throws."""
        result = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise XTagError(f"the page throws: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 30.0) -> Any:
        """Wait until an expression is true, and return its value; XTagError if it is not in time."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > deadline:
                raise XTagError("\n".join([f"never true within {seconds:g} s: {script}", *self.messages[-10:]]))
            time.sleep(_LOOK)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, such as "r", "Enter" or "Control+a"."""
        for key in keys:
            *held, last = key.split("+") if len(key) > 1 else [key]
            modifiers = sum(_MODIFIERS[each] for each in held)
            code, number, text = _KEYS.get(last) or (f"Key{last.upper()}", ord(last.upper()), last)
            about = {"key": last, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
            typed = {"text": text} if text and modifiers in (0, 8) else {}
            self.ask("Input.dispatchKeyEvent", type="keyDown" if typed else "rawKeyDown", **about, **typed)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.ask("Input.insertText", text=text)

    def click(self, selector: str, at: tuple[float, float] | None = None, modifiers: str = "") -> None:
        """Click the middle of an element, or a place in it."""
        x, y, wide, high = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })()"
        )
        dx, dy = at or (wide / 2, high / 2)
        about = {"x": x + dx, "y": y + dy, "button": "left", "clickCount": 1}
        about["modifiers"] = sum(_MODIFIERS[each] for each in modifiers.split("+") if each)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x + dx, y=y + dy)
        self.ask("Input.dispatchMouseEvent", type="mousePressed", **about)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", **about)

    def text(self, selector: str) -> str:
        """Return what an element says; "" if there is none."""
        return self.run(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''")

    def offline(self, away: bool) -> None:
        """Take the network away, or give it back."""
        self.ask(
            "Network.emulateNetworkConditions", offline=away, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def picture(self, path: str | Path) -> None:
        """Write a screenshot."""
        Path(path).write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))
