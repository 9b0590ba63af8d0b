"""Handlers are found in a process that never saw databroker."""

import os
import subprocess
import sys

import numpy as np
from support.frames_fixtures import (
    numbered,
)
from support.places import ROOT

TESTS = ROOT / "tests"


def test_handlers_are_found_without_databroker(tmp_path):
    np.save(tmp_path / "a_0.npy", numbered(1)[0])
    script = (
        "import sys, pathlib\n"
        "from support.frames_fixtures import stored\n"
        "before = set(sys.modules)\n"
        f"(frame,) = stored(pathlib.Path({str(tmp_path / 'a')!r}), spec='NPY_SEQ', datum_kwargs={{'index': 0}})\n"
        "assert frame.pixels().shape == (24, 32)\n"
        "assert not {'databroker', 'tiled', 'tensorflow'} & (set(sys.modules) - before)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], cwd=TESTS, check=True, env=os.environ | {"PYTHONPATH": str(TESTS.parent)}
    )
