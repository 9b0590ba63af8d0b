import copy
import json

import pytest

from bluesky_xtag.cli.bench.model_bench import BARS, FRAMES, STAGES, bars_missed, model


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)  # "on all cores" then means this process
        return model(path, repeats=1, samples=4), path


def test_every_stage_of_every_frame_is_measured(measured):
    figures, _ = measured
    assert list(figures["frames"]) == list(FRAMES)
    for one in figures["frames"].values():
        assert all(0 < one[f"{stage}_p50_ms"] <= one[f"{stage}_p99_ms"] for stage in STAGES)
        assert one["frames_per_second"] > 0
    assert list(figures["cold_start_seconds"]) == ["import", "load", "warm"]


def test_the_figures_are_written_with_what_they_were_measured_with(measured):
    figures, path = measured
    assert json.loads(path.read_text()) == figures
    assert {"machine", "load", "versions", "model", "device"} <= set(figures)


def test_a_missed_bar_is_named_with_what_it_must_be():
    frames = {"Pilatus 1M": {"predict_p50_ms": 12.0, "frames_per_second": 150.0}, "Eiger 4M": {"frames_per_second": 60}}
    reached = {"frames": frames, "simulated_samples_per_second": 60.0}
    assert bars_missed(reached) == []
    slow = copy.deepcopy(reached)
    slow["frames"]["Pilatus 1M"]["predict_p50_ms"] = 12.5
    assert bars_missed(slow) == ["Pilatus 1M predict_p50_ms is 12.5, but must be <= 12"]
    assert len(bars_missed(slow | {"simulated_samples_per_second": 59.0})) == 2
    assert len(BARS) == 4
