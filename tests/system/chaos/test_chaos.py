"""The short forms of `xtag bench chaos`, with a small model: whatever befalls the process, each frame has its row."""

import json

import pytest
from support.models import CountsModel
from typer.testing import CliRunner

from bluesky_xtag.cli import app
from bluesky_xtag.cli.bench import chaos_bench
from bluesky_xtag.cli.bench.chaos import FAULTS, break_it, kill_it, soak


@pytest.mark.parametrize(("in_files", "spare", "kills"), [(False, True, 4), (True, False, 3)])
def test_kills_at_random_moments_cost_no_frame_its_row_and_no_scan(in_files, spare, kills):
    found = kill_it(kills, CountsModel(), in_files=in_files, spare=spare, seed=1)
    assert found["troubles"] == []
    assert found["kills"] >= kills and found["restarts"] >= 1
    assert found["frames"] == found["rows"] > 0 and found["failed"] == 0
    assert found["statuses"]["ok"] > 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_one_deadline_at_most_and_the_session_ends(fault):
    found = break_it(fault, CountsModel())
    assert found["troubles"] == []
    assert found["frames"] == found["rows"] == 24
    bad = found["statuses"].get("late", 0) + found["statuses"].get("failed", 0)
    assert bad == 0 if fault == "no memory to share" else bad > 0


def test_long_use_leaves_nothing():
    found = soak(400, 20, CountsModel())
    assert found["frames"] == found["rows"] == 400
    assert set(found["statuses"]) == {"ok"}
    for name in ("threads", "files", "process_files"):
        assert found[f"late_{name}"] <= found[f"early_{name}"]


def test_the_command_prints_writes_and_ends_with_the_troubles(tmp_path, monkeypatch):
    def kill_it(kills, model, *, watch, **kind):
        watch(kills)
        return {"kills": kills, "runs": 1, "failed": 1, "frames": 2, "rows": 1, "troubles": ["1 of 1 scans failed"]}

    monkeypatch.setattr(chaos_bench, "kill_it", kill_it)
    monkeypatch.setattr(chaos_bench, "FAULTS", {})
    path = tmp_path / "chaos.json"
    done = CliRunner().invoke(app, ["bench", "chaos", "--kills", "2", "-n", "0", "--json", str(path)])
    assert done.exit_code == 1 and "1 of 1 scans failed" in done.output
    parts = json.loads(path.read_text())["parts"]
    assert len(parts) == 2 and all(part["kills"] == 1 for part in parts.values())
