"""Compiled loops are compiled again where a source changed, and give in each process what they gave in the first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bluesky_xtag.model.prepare import binning

LOGS = """
import numpy as np
from bluesky_xtag.model.prepare.symmetry import _logs
one = np.ones((1, 1), np.float32)
print(_logs(one, one, np.float32(1))[0, 0, 0])
"""


def test_what_was_compiled_before_another_file_changed_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    copied = tmp_path / "bluesky_xtag"
    sources = Path(binning.__file__).parent
    shutil.copytree(sources, copied / "model" / "prepare", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(sources.parents[1] / "errors.py", copied)
    for package in (copied, copied / "model"):
        (package / "__init__.py").touch()

    def printed():
        run = [sys.executable, "-c", LOGS]
        return float(subprocess.run(run, cwd=tmp_path, capture_output=True, check=True).stdout)

    assert printed() == pytest.approx(np.log(2))
    (index,) = (copied / "model" / "prepare" / "__pycache__").glob("symmetry._logs-*.nbi")
    compiled = index.stat().st_mtime_ns
    assert printed() == pytest.approx(np.log(2)) and index.stat().st_mtime_ns == compiled
    grid = copied / "model" / "prepare" / "grid.py"
    grid.write_text(grid.read_text().replace("return np.log(_ONE + number)", "return number"))
    assert printed() == 1


PREPARED = """
import sys
import numpy as np
from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate import sample
written = {}
for frame in range(8):
    inputs, _ = sample(11, frame, True, Preparation(), ())
    written |= {f"{name} of frame {frame}": values for name, values in vars(inputs).items()}
np.savez(sys.argv[1], **written)
"""


def test_the_process_that_compiles_rounds_as_each_later_one_does(tmp_path):
    written = [tmp_path / "first.npz", tmp_path / "later.npz"]
    for path in written:
        run = [sys.executable, "-c", PREPARED, str(path)]
        subprocess.run(run, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "compiled")}, check=True)
    first, later = map(np.load, written)
    assert len(first.files) == 8 * len({"plain", "polar", "profile", "scalars"})
    assert [name for name in first.files if not np.array_equal(first[name], later[name], equal_nan=True)] == []
