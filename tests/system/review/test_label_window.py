"""`xtag label --window`: matplotlib's server, with what a browser sends it for keys and clicks."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from io import BytesIO

import matplotlib.image
import numpy as np
import pytest
from support.label_sessions import read, write_scan
from support.places import ROOT
from websockets.sync.client import connect

XTAG = (sys.executable, "-c", "from bluesky_xtag.cli import app; app()", "label")


class Browser:
    """What matplotlib's page does in a browser, without the page."""

    def __init__(self, address, stack):
        self.address = address
        page = urllib.request.urlopen(address).read().decode()
        assert "mpl.figure" in page
        self.socket = stack.enter_context(connect(f"{address.replace('http', 'ws')}1/ws"))
        for kind, more in (("supports_binary", {"value": True}), ("send_image_mode", {}), ("refresh", {})):
            self.send(kind, **more)
        self.picture()

    def send(self, kind, **more):
        self.socket.send(json.dumps({"type": kind, "figure_id": 1, **more}))

    def press(self, key):
        self.send("key_press", key=key)
        self.wait_for_drawing()

    def click(self, x, y):
        """Click at a place in the picture, from its upper left corner, as shares of its size."""
        at = {"x": x * 1200, "y": y * 740, "button": 0, "buttons": 1, "modifiers": [], "guiEvent": None}
        self.send("motion_notify", **at)
        self.send("button_press", **at)
        self.wait_for_drawing()

    def wait_for_drawing(self):
        """Wait until the server says that there is something new, and take it."""
        while True:
            message = self.socket.recv(timeout=60)
            if isinstance(message, str) and json.loads(message)["type"] == "draw":
                break
        self.picture()

    def picture(self):
        """What is shown, as red, green and blue."""
        self.send("draw")
        while isinstance(self.socket.recv(timeout=60), str):
            continue
        return self.download()

    def download(self):
        data = urllib.request.urlopen(f"{self.address}1/download.png").read()
        return matplotlib.image.imread(BytesIO(data))[..., :3]


@pytest.fixture
def start(tmp_path):
    """A function that labels in a window, and returns the process and its browser."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [*XTAG, *map(str, arguments), "--window", "--blind", "--order", "files"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")},
                "PYTHONPATH": str(ROOT),
            },
        )
        processes.append(process)
        lines = []
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline() or pytest.fail(lines))):
            continue
        while "Press Ctrl+C" not in (line := process.stdout.readline()):
            lines.append(line)
            assert process.poll() is None, lines
        return process, Browser(found[0], stack)

    with ExitStack() as stack:
        yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def scan(tmp_path):
    return write_scan(tmp_path / "scan_7.h5", [10, 45, 95])


def test_keys_and_clicks_label_frames_until_there_are_no_more(start, scan, tmp_path):
    out = tmp_path / "labels.h5"
    process, browser = start(scan, out)
    first = browser.download()
    browser.press("shift+k?")
    browser.click(0.7, 0.1 + 0.81 * 12.5 / 22)  # the thirteenth tag of 22: when does it hold?
    told = browser.download()
    changed = np.abs(told - first).max(axis=2) > 0.3
    assert changed[690:].any() and not changed[:660].any()  # the line with the keys, and no tag
    browser.press("kr")
    assert np.abs(browser.download() - first).max() > 0.3
    browser.press("kEnter")
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True}]
    browser.press("kBackspace")
    assert read_names(out) == []
    browser.press("kEnter")
    browser.click(0.7, 0.1 + 0.81 * 12.5 / 22)  # the thirteenth tag of 22
    browser.press("kEnter")
    browser.press("ctrl+kz")
    browser.press("kEnter")
    browser.press("kArrowRight")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert "2 frames of 1 sources, 2 of them new" in said and "1 frames were skipped" in said
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True}, {"halo": True}]


def test_control_c_and_escape_end_it_and_the_next_one_goes_on(start, scan, tmp_path):
    out = tmp_path / "labels.h5"
    process, browser = start(scan, out)
    browser.press("kr")
    browser.press("kEnter")
    process.send_signal(2)
    assert "29 are left: the same command goes on from there" in process.communicate(timeout=60)[0]
    process, browser = start(scan, out)
    browser.press("kh")
    browser.press("kEnter")
    browser.press("kEscape")
    assert "28 are left" in process.communicate(timeout=60)[0] and process.returncode == 0
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True}, {"halo": True}]


def read_names(path):
    import h5py

    with h5py.File(path) as file:
        return list(file)
