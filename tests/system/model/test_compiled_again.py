"""Compiled loops are compiled again where a source changed."""

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
