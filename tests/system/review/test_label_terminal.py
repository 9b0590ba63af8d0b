"""`xtag label` in a real pseudo-terminal, with keys sent as a person types them, and with what ends it."""

import os
import re
import signal
import subprocess
import sys
import termios
import time

import h5py
import numpy as np
import pexpect
import pytest
from support.label_sessions import read, write_scan
from support.places import ROOT
from support.screens import Screen

XTAG = (sys.executable, "-c", "from bluesky_xtag.cli import app; app()", "label")
QUESTION = re.escape("\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c")
PLAIN = ("--blind", "--order", "files")  # neither needs the network, which takes seconds to load
RIGHT, BACKSPACE, ESCAPE, CONTROL_C = "\x1b[C", "\x7f", "\x1b", "\x03"


class Terminal:
    """A command in a terminal of some size, and what it shows."""

    def __init__(self, directory, *arguments, columns=80, rows=24, answer="\x1b[?62;22c", **environment):
        environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | environment
        unwanted = (
            "NO_COLOR",
            "TERM_PROGRAM",
            "LC_TERMINAL",
            "FORCE_COLOR",
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "COLUMNS",
            "LINES",
        )
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.child = pexpect.spawn(
            XTAG[0],
            [*XTAG[1:], *map(str, arguments)],
            dimensions=(rows, columns),
            cwd=directory,
            env={**kept, "PYTHONPATH": str(ROOT), **environment},
            encoding="utf-8",
            timeout=120,
        )
        self.child.delaybeforesend = 0
        self.before = termios.tcgetattr(self.child.child_fd)
        self.screen = Screen(columns, rows)
        if answer is not None:
            self.child.expect(QUESTION)
            self.child.send(answer)

    def wait_for(self, text):
        """Wait until a line of the screen has the text, and return that line."""
        until = time.monotonic() + 120
        while not (found := [line for line in self.screen.lines if text in line]):
            assert time.monotonic() < until, (text, self.screen.lines)
            try:
                self.screen.feed(self.child.read_nonblocking(65536, timeout=1))
            except pexpect.TIMEOUT:
                continue
        return found[0]

    def end(self):
        """Wait for the end; return the status and what stands below the last page."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus, self.child.before.rpartition("\x1b[?1049l")[2]

    def is_as_before(self):
        return termios.tcgetattr(self.child.child_fd)[:4] == self.before[:4]


@pytest.fixture
def start(tmp_path):
    terminals = []

    def start(*arguments, **options):
        terminals.append(Terminal(tmp_path, *arguments, **options))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.child.close(force=True)


@pytest.fixture
def scan(tmp_path):
    return write_scan(tmp_path / "scan_7.h5", [10, 45, 95])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "labels.h5"


def test_the_packaged_model_proposes_and_keys_decide(start, tmp_path, out):
    rng = np.random.default_rng(3)
    with h5py.File(tmp_path / "scan_7.h5", "w") as file:
        file["data"] = rng.poisson(0.0, (2, 195, 487)).astype(np.int32)
        file["data"][1] = rng.poisson(20.0, (195, 487))
    terminal = start("scan_7.h5", out, "--by", "ab", "--order", "files")
    assert "scan_7.h5 /data [0]" in terminal.wait_for("0/30")
    assert re.search(r"e ✓ empty +[█▏▎▍▌▋▊▉]+ +[01]\.\d\d", terminal.wait_for("empty"))
    terminal.child.send("re")
    terminal.wait_for("r ✓ ring")
    terminal.wait_for("e · empty")
    terminal.child.send("\r")
    assert "scan_7.h5 /data [1]" in terminal.wait_for("1/30")
    terminal.child.send(CONTROL_C)
    status, said = terminal.end()
    assert (status, said.splitlines()) == (
        0,
        [f"{out}: 1 frames of 1 sources, 1 of them new", "29 are left: the same command goes on from there"],
    )
    ((name, labelled),) = read(out).items()
    assert labelled.truth["ring"] and not labelled.truth["empty"] and len(labelled.truth) == 22
    assert labelled.attributes["by"] == "ab" and labelled.attributes["proposals"].startswith("default ")
    assert name == "scan_7_00000"


def test_keys_that_come_at_once_are_all_taken(start, scan, out):
    terminal = start(scan, out, *PLAIN)
    terminal.wait_for("0/30")
    terminal.child.send(f"r {RIGHT}hh\r")
    status, said = terminal.end()
    assert status == 0 and "2 frames of 1 sources, 2 of them new" in said
    assert "1 frames were skipped" in said and "no more frames in these files, though 28 more were asked for" in said
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True}, {"halo": False}]


def test_undo_and_escape(start, scan, out):
    terminal = start(scan, out, *PLAIN)
    terminal.wait_for("0/30")
    terminal.child.send("r\r")
    terminal.wait_for("1/30")
    assert set(read(out)) == {"scan_7_00000"}
    terminal.child.send(BACKSPACE)
    terminal.wait_for("taken back")
    terminal.wait_for("r ✓ ring")
    terminal.child.send("h\r")
    terminal.wait_for("1/30")
    terminal.child.send(ESCAPE)
    assert terminal.end()[0] == 0
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True, "halo": True}]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_the_labels_are_on_disk_and_the_terminal_is_as_it_was(start, scan, out, number):
    terminal = start(scan, out, *PLAIN)
    terminal.wait_for("0/30")
    terminal.child.send("r\r")
    terminal.wait_for("1/30")
    assert not terminal.is_as_before()
    os.kill(terminal.child.pid, number)
    terminal.child.expect(pexpect.EOF)
    if number != signal.SIGKILL:
        assert terminal.child.before.endswith("\x1b[?25h\x1b[?1049l")
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True}]
    again = start(scan, out, *PLAIN)
    assert "scan_7.h5 /entry/data/data [1]" in again.wait_for("1/30")
    assert sorted(path.name for path in out.parent.iterdir()) == ["labels.h5", "scan_7.h5"]


def test_the_terminal_is_as_it_was_after_a_stop(start, scan, out):
    terminal = start(scan, out, *PLAIN)
    terminal.wait_for("0/30")
    terminal.child.send(ESCAPE)
    terminal.child.expect(re.escape("\x1b[?25h\x1b[?1049l"))
    terminal.child.expect("go(es)? on from there")
    assert terminal.is_as_before()


def test_another_size_is_drawn_anew(start, scan, out):
    terminal = start(scan, out, *PLAIN)
    terminal.wait_for("0/30")
    terminal.child.setwinsize(10, 50)
    terminal.screen.columns = 50
    terminal.wait_for("is too small for 22 tags")
    terminal.child.setwinsize(24, 80)
    terminal.screen.columns = 80
    terminal.wait_for("bragg_rods")


def test_a_key_explains_a_tag_and_the_size_is_the_terminals_whatever_the_shell_exports(start, scan, out):
    terminal = start(scan, out, *PLAIN, COLUMNS="200", LINES="60")
    terminal.wait_for("0/30")
    terminal.wait_for("Esc stop")
    assert terminal.screen.widest <= 80 and max(row for row, _ in terminal.screen.cells) <= 24
    terminal.child.send("?4")
    terminal.wait_for("symmetry_4 holds when: the four-fold azimuthal harmonic dominates")
    terminal.wait_for("4 ? symmetry_4")
    terminal.child.send("4")
    terminal.wait_for("4 ✓ symmetry_4")
    terminal.child.setwinsize(10, 50)
    terminal.screen.columns = 50
    terminal.wait_for("50 x 10 is too small for 22 tags")


def test_a_terminal_that_can_gets_a_picture_and_one_that_says_nothing_gets_blocks(start, scan, out):
    terminal = start(scan, out, *PLAIN, answer="\x1b_Gi=31;OK\x1b\\\x1b[?62;c")
    terminal.child.expect(re.escape("\x1b_Ga=T,f=100,q=2,C=1,"))
    silent = start(scan, out, *PLAIN, answer="")
    silent.child.expect("▀")


def test_a_terminal_without_colours_gets_a_window(start, scan, out):
    terminal = start(scan, out, *PLAIN, answer=None, TERM="dumb", COLORTERM="")
    terminal.child.expect(r"The frames are at http://127\.0\.0\.1:\d+/")
    terminal.child.expect("Press Ctrl")
    terminal.child.sendintr()
    terminal.child.expect("30 are left")


def test_redirections_are_refused_with_a_remedy(scan, out):
    for streams in ({"stdout": subprocess.PIPE}, {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}):
        done = subprocess.run(
            [*XTAG, str(scan), str(out)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            **streams,
        )
        assert done.returncode == 2 and done.stdout == "" and not out.exists()
        assert "the input or the output is redirected" in done.stderr and "--window" in done.stderr
        assert "Traceback" not in done.stderr


def test_what_does_not_fit_is_told_without_a_page(start, scan, tmp_path):
    terminal = start(scan, tmp_path / "nowhere" / "labels.h5", answer=None)
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 2
    said = " ".join(terminal.child.before.split())
    assert f"there is no directory {tmp_path / 'nowhere'} for labels.h5: make it first" in said and "1049h" not in said
