"""Calls in a process of their own that is killed at a moment."""

import multiprocessing
import os
import signal
import time

# Imported once, before the processes are forked; TensorFlow is not among them.
IMPORTED = ["bluesky_xtag.simulate.archive", "bluesky_xtag.replay", "bluesky_xtag.train.fit.training"]


def kill_when(moment, call, *arguments, **options):
    """Call in another process, and kill this and its children when `moment()` is true; return whether it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *IMPORTED])
    process = context.Process(target=_call, args=(call, arguments, options))
    process.start()
    end = time.monotonic() + 120
    while process.is_alive() and not moment():
        assert time.monotonic() < end, "the moment does not come"
        time.sleep(0.002)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def after(seconds):
    """Return a moment so long after now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _call(call, arguments, options):
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    call(*arguments, **options)
