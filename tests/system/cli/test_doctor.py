"""`xtag doctor` loads a profile and says what its detectors need."""

import re

import pytest
from typer.testing import CliRunner

from bluesky_xtag.cli import app

SESSION = """
from bluesky import RunEngine
from support.models import CountsModel
from bluesky_xtag import install
RE = RunEngine({}, context_managers=[])
xtag = install(RE, model=CountsModel())
"""
DEVICES = """
import numpy as np
from ophyd.sim import motor
from support.cameras import Camera
good = Camera(lambda seconds: np.ones((32, 32)), name="good")
bad = Camera(lambda seconds: np.ones(32), name="bad", shape=(32,))
"""
END = """
xtag.uninstall()
RE.loop.call_soon_threadsafe(RE.loop.stop)
RE._th.join(timeout=10)
RE.loop.close()
"""


@pytest.fixture
def examine(tmp_path):
    def examine(**files):
        startup = tmp_path / "profile" / "startup"
        startup.mkdir(parents=True)
        for name, code in files.items():
            (startup / f"{name}.py").write_text(code)
        return CliRunner().invoke(app, ["doctor", str(tmp_path / "profile")])

    return examine


def test_each_detector_is_looked_at_and_what_has_to_change_ends_with_status_one(examine):
    done = examine(a=SESSION, b=DEVICES, c=END)
    assert done.exit_code == 1
    assert re.search(r"^good\n +✓ image: good \[32, 32\]", done.stdout, re.MULTILINE)
    assert "xtag: bad: image" in done.output
    assert "motor" not in done.stdout


def test_a_profile_that_is_ready_ends_with_status_zero(examine):
    assert examine(a=SESSION, b=DEVICES + "del bad\n", c=END).exit_code == 0


@pytest.mark.parametrize(
    ("code", "says"),
    [("x = 1", "installs no tagger"), ("1 / 0", "a.py fails (ZeroDivisionError"), (None, "has no startup files")],
)
def test_what_is_no_profile_says_so(examine, code, says):
    done = examine(**({} if code is None else {"a": code}))
    assert done.exit_code in (1, 2)
    assert says in " ".join(done.output.split())
