"""The bench over Channel Access, as short as it can be: scans with and without a tagger, and a figure for each bar."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bluesky_xtag.cli.bench.epics_bench import BARS, bars_missed
from bluesky_xtag.simulate.beamline.repeated import Repeated


def test_scans_with_and_without_tagging_are_compared(tmp_path):
    """In a process of its own: a client of Channel Access reads once where its IOC is."""
    code = "from bluesky_xtag.cli import app; app(prog_name='xtag')"
    arguments = ["bench", "epics", "-n", "2", "--rounds", "1", "--json", "epics.json"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "epics.json").read_text())
    assert all(np.isfinite(bar.value(figures)) for bar in BARS)
    assert (figures["ok_over_frames"], figures["frames"]) == (1, 2)
    assert len(figures["scan_time_over_without_each"]) == 1 and figures["scan_seconds_without"] >= 2 * 0.1
    assert figures["document_to_scores_p50_ms"] > 0 and figures["versions"]["caproto"]
    assert "scan_time_over_without" in done.stdout and "Traceback" not in done.stderr
    assert list((tmp_path / "tmp").glob("**/*.h5")) == []


def test_missed_bars_are_told():
    good = {"scan_time_over_without": 1.01, "ok_over_frames": 1.0}
    assert bars_missed(good) == []
    assert "ok_over_frames is 0.995, but must be >= 1" in bars_missed(good | {"ok_over_frames": 0.995})
    assert "must be <= 1.01" in bars_missed(good | {"scan_time_over_without": 1.02})[0]


def test_frames_that_are_repeated_come_in_turn():
    class Places:
        shape, dtype, wavelength, distance, fixed_beam = (4, 3), np.dtype(np.int32), 1.0, 0.3, True

        def beam_centre(self, x, y):
            return (x, y)

        def expose(self, x, y, seconds):
            return np.full(self.shape, round(100 * x * seconds), self.dtype)

    repeated = Repeated(Places(), 3, seconds=0.5)
    assert [repeated.expose(0, 0, 9.0)[0, 0] for _ in range(4)] == [50, 250, 450, 50]
    assert (repeated.shape, repeated.beam_centre(1, 2)) == ((4, 3), pytest.approx((5, 5)))
