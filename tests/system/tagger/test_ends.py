"""A session ends although its model hangs over several frames, in threads of the session itself."""

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
