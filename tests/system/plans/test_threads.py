"""Decisions do not depend on how many threads do the linear algebra."""

import os
import subprocess
import sys

import pytest

SCAN = """
import sys
import numpy as np
from bluesky_xtag.plans import make

name = sys.argv[1]
strategy = make(name, {"x": (0, 10), "y": (0, 10)}, tags=["ring"], tag="ring" if name == "seek" else None)
def seen(x, y):
    return {"x": x, "y": y, "ring": float(1 / (1 + np.exp(np.hypot(x - 5, y - 5) - 3)))}
strategy.ingest([seen(x, y) for x, y in np.random.default_rng(0).uniform(0, 10, (235, 2)).tolist()])
for number in range(40):
    (point,) = strategy.suggest()
    strategy.ingest([point | seen(point["x"], point["y"])])
    strategy.should_stop()
    print(point["x"].hex(), point["y"].hex())
"""


@pytest.mark.parametrize("name", ["seek", "phases"])
def test_one_thread_and_many_give_the_same_places_to_the_last_bit(name):
    def places(threads):
        settings = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        done = subprocess.run(
            [sys.executable, "-c", SCAN, name], env=os.environ | settings, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    assert len(places(1)) == 40
    assert places(1) == places(4)
