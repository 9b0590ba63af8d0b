"""The bench of the backends, as short as it can be: every figure is measured, and a missed bar ends the command."""

import json

import pytest
from typer.testing import CliRunner

from bluesky_xtag.cli import app
from bluesky_xtag.cli.bench import backends_bench
from bluesky_xtag.cli.bench.backends_bench import BARS, bars_missed


def test_every_figure_is_measured_and_printed(tmp_path, monkeypatch):
    monkeypatch.setattr(backends_bench, "_SHAPES", {"1mpx": (256, 256), "16mpx": (512, 512)})
    monkeypatch.setattr(backends_bench, "_FILES", 16)
    path = tmp_path / "backends.json"
    arguments = ["bench", "backends", "-n", "3", "--rounds", "1", "--json", str(path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    figures = json.loads(path.read_text())
    assert all(bar.value(figures) == pytest.approx(bar.value(figures)) for bar in BARS)
    assert all(figures[f"{kind}_first_scores_s"] > figures[f"{kind}_prompt_s"] > 0 for kind in ("inline", "process"))
    assert figures["memory_saved_mib"] > 0, "the session of the process has no TensorFlow"
    assert "document to scores" in done.output and "process_beat_p99_ms" in done.output


def test_missed_bars_are_told():
    good = {bar.figure: bar.limit for bar in BARS}
    assert bars_missed(good) == []
    (missed,) = bars_missed(good | {"memory_saved_mib": 100})
    assert "memory_saved_mib is 100, but must be >= 300" in missed
