import os
import re
import subprocess
import sys
import threading

from bluesky_xtag.model import without_build_notes

NOTE = b"I0000 00:00:1700000000.000000     123 port.cc:153] oneDNN custom operations are on.\n"


def test_notes_are_left_out_and_all_else_is_passed_on(capfd):
    with without_build_notes():
        os.write(2, NOTE + b"an error\n" + b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nno end")
    assert capfd.readouterr().err == "an error\nno end"
    os.write(2, NOTE)
    assert capfd.readouterr().err.encode() == NOTE


def test_threads_at_once_leave_stderr_as_it_was(capfd):
    """The first that comes is the first that goes, while others are still inside."""
    inside, leave = threading.Barrier(3), threading.Event()

    def wait():
        with without_build_notes():
            inside.wait()
            leave.wait()

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    leave.set()
    for thread in threads:
        thread.join()
    os.write(2, NOTE)
    assert capfd.readouterr().err.encode() == NOTE


def test_a_child_that_goes_on_writing_is_heard(capfd):
    late = "import os, time; time.sleep(1.5); os.write(2, b'late')"
    with without_build_notes():
        child = subprocess.Popen([sys.executable, "-c", late])
    child.wait()
    for _ in range(100):
        threading.Event().wait(0.05)
        if re.search("late", heard := capfd.readouterr().err):
            return
    raise AssertionError(heard)
