"""A session in a process of its own, which ends in some way; see test_session_ends.py."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bluesky_xtag.search import LiveSummary
from support.summaries import FakeCatalog, one_run


def take(writer):
    for number in range(3):
        one_run(writer, f"run-{number}")


def session(backup, ready, end):
    """Take three runs, of which the catalogue gets none, and end."""
    writer = LiveSummary(FakeCatalog(), Path(backup))
    take(writer)
    ready.set()
    if end == "_exit":
        os._exit(0)
    if end == "raise":
        raise SystemExit(3)
    if end.isdigit():
        time.sleep(60)


def forked_later(backup, ready, end):
    """The threads of the writer are in the parent, not in the process that takes the runs."""
    writer = LiveSummary(FakeCatalog(), Path(backup))
    child = os.fork()
    if not child:
        take(writer)
        os._exit(0)
    os.waitpid(child, 0)
    ready.set()
    os._exit(0)


if __name__ == "__main__":
    method, end, backup = sys.argv[1:]
    context = multiprocessing.get_context(method)
    ready = context.Event()
    child = context.Process(target=forked_later if end == "forked later" else session, args=(backup, ready, end))
    child.start()
    assert ready.wait(60)
    if end.isdigit():
        os.kill(child.pid, signal.Signals(int(end)))
    child.join(30)
    assert not child.is_alive()
