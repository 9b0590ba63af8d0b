"""Calls side by side, whose threads no session waits for."""

import gc
import threading
import time

import pytest

from bluesky_xtag.model import DaemonThreads


def alive(name):
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_results_come_in_the_order_of_the_arguments_and_calls_run_side_by_side():
    both = threading.Barrier(2, timeout=10)  # each waits for another
    threads = DaemonThreads(2, "xtag-order")

    def add(number, other):
        both.wait()
        return number + other

    assert threads.map(add, range(6), range(10, 16)) == [10, 12, 14, 16, 18, 20]
    assert len(alive("xtag-order")) == 2
    assert threads.map(add, [], []) == []


def test_threads_are_daemons_and_end_with_what_started_them():
    threads = DaemonThreads(3, "xtag-end")
    threads.map(str, range(9))
    assert 1 <= len(alive("xtag-end")) <= 3
    assert all(thread.daemon for thread in alive("xtag-end"))
    del threads
    gc.collect()
    end = time.monotonic() + 5
    while alive("xtag-end") and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive("xtag-end")


@pytest.mark.parametrize("error", [ValueError("two"), SystemExit("two")])
def test_the_first_error_is_raised_and_the_threads_go_on(error):
    threads = DaemonThreads(1, "xtag-error")

    def fail(number):
        if number == 2:
            raise error
        return number

    with pytest.raises(type(error), match="two"):
        threads.map(fail, range(5))
    assert threads.map(fail, [1, 3]) == [1, 3]


@pytest.mark.parametrize("there", [0, 1])
def test_where_no_thread_can_be_had_the_work_is_done(monkeypatch, there):
    threads = DaemonThreads(4, "xtag-none")
    threads.map(str, range(there))

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert threads.map(str, range(5)) == ["0", "1", "2", "3", "4"]
    assert len(alive("xtag-none")) == there
