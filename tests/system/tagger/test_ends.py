"""A session ends by itself, whatever its daemon threads do: a step that hangs, or one that is under way."""

import os
import subprocess
import sys

import pytest

SESSION = """
import sys
import threading
import numpy as np
from bluesky_xtag import TagModel
from bluesky_xtag.documents import FrameId
from bluesky_xtag.frames import Frame
from bluesky_xtag.frames.sources import InlineImages
from bluesky_xtag.tagger import make_backend

model = TagModel.load()
backend = make_backend(sys.argv[1], model)
hangs = threading.Event()
model._served = lambda inputs: hangs.set() or threading.Event().wait()
images = InlineImages(np.ones((4, 64, 64), np.uint16), (64, 64))
frames = [Frame(FrameId("run", "primary", "det", 1, index), None, None, images) for index in range(4)]
threading.Thread(target=lambda: list(backend.tag(frames)), daemon=True).start()
assert hangs.wait(60)
backend.close()
print("ends", flush=True)
"""


@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_a_session_ends_while_a_model_hangs_over_several_frames(backend):
    command = [sys.executable, "-c", SESSION, backend]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.split() == ["ends"], done.stderr
    assert done.returncode == 0


STEPS = """
import sys, threading, time
from bluesky_xtag.model import DaemonThreads, unbroken

done = []

def work(seconds):
    time.sleep(seconds)
    done.append(seconds)

def step_by_step(seconds):
    while True:
        with unbroken():
            work(seconds)

seconds = float(sys.argv[2])
if sys.argv[1] == "one":
    begun = threading.Event()
    pool = DaemonThreads(1, "xtag-one")
    threading.Thread(target=lambda: pool.map(lambda each: (begun.set(), work(each)), [seconds]), daemon=True).start()
    begun.wait()
else:
    threading.Thread(target=step_by_step, args=(seconds,), daemon=True).start()
    time.sleep(3.5 * seconds)
begin = time.monotonic()
from bluesky_xtag.model import daemon_threads
daemon_threads._steps.end()
print(len(done), round(time.monotonic() - begin, 1), flush=True)
"""


@pytest.mark.parametrize(
    ("how", "seconds", "done", "least", "most"),
    [("one", 0.5, 1, 0.1, 1.9), ("one", 60, 0, 1.9, 10.0), ("many", 0.2, 4, 0.0, 1.5)],
)
def test_a_session_waits_at_its_end_for_the_step_under_way_and_for_no_other(how, seconds, done, least, most):
    found = subprocess.run([sys.executable, "-c", STEPS, how, str(seconds)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    steps, waited = found.stdout.split()
    assert int(steps) >= done if how == "many" else int(steps) == done
    assert least <= float(waited) <= most
