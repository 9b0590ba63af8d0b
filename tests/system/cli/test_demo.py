"""The demo as a new user starts it, and a second one into the same catalogue."""

import re
from collections import Counter
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
from support.demos import demo, demo_here

from bluesky_xtag.catalog import open_catalog
from bluesky_xtag.cli.demo.results import Result
from bluesky_xtag.search import tags


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    path = tmp_path_factory.mktemp("measured") / "frames.h5"
    rng = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        file.attrs["tags"] = ["empty", "ring"]
        for number, (shape, dtype) in enumerate([((90, 80), "i4"), ((90, 80), "i4"), ((64, 128), "u2")]):
            frame = file.create_dataset(f"lab__frame{number}", data=rng.poisson(0.5, shape).astype(dtype))
            frame.attrs["truth"] = [1, 0]
            frame.attrs["beam_centre_xy"] = [40.0, 45.0]
    return path


@pytest.fixture(scope="module")
def demos(tmp_path_factory, frames, packaged_model):
    """Both demos, and what the catalogue holds in the end."""
    directory = tmp_path_factory.mktemp("demo")
    sample = demo(directory, "--points", "3", "2")
    measured = demo_here(directory, "--frames", str(frames), "--picture", "measured.png")
    catalog = open_catalog(directory / "catalog")
    yield SimpleNamespace(sample=sample, measured=measured, catalog=catalog, directory=directory)
    catalog.context.close()


def test_the_sample_is_scanned_and_tagged(demos):
    done = demos.sample
    assert done.returncode == 0, done.stdout + done.stderr
    table = [line for line in done.stdout.splitlines() if re.match(r" +\d+ +\d\.\d{3} +\d\.\d{3} ", line)]
    assert len(table) == 6
    assert "6 frames: " in done.stdout
    assert re.search(r"latency +p50 \d+ ms, p95 \d+ ms", done.stdout)
    assert re.search(r"agreement +\d+ of \d+ known tags right", done.stdout)
    assert "What to type next" in done.stdout
    assert "Traceback" not in done.stderr
    assert "oneDNN" not in done.stderr


def test_measured_frames_are_scanned_a_run_for_each_shape(demos):
    done = demos.measured
    assert done.returncode == 0, done.stdout + done.stderr
    assert "measured frames of 90 x 80 pixels, int32: 2" in done.stdout
    assert "measured frames of 64 x 128 pixels, uint16: 1" in done.stdout
    assert [name in done.stdout for name in ("frame0", "frame1", "frame2")] == [True] * 3


def test_every_frame_has_its_row_in_the_catalogue(demos):
    runs = demos.catalog.values()
    assert [run.metadata["start"]["scan_id"] for run in runs] == [1, 2, 3]
    assert [run.metadata["stop"]["num_events"] for run in runs] == [
        {"primary": frames, "tags": frames} for frames in (6, 2, 1)
    ]
    for run in runs:
        rows = tags(run)
        events = run.metadata["stop"]["num_events"]["primary"]
        assert rows["xtag_frame_seq_num"].tolist() == list(range(1, events + 1))
        assert set(rows["xtag_status"]) <= {"ok", "late"}


def test_the_catalogue_holds_the_frames(demos, frames):
    images = demos.catalog[2]["primary"]["det_image"]
    with h5py.File(frames) as file:
        np.testing.assert_array_equal(images[1, 0], file["lab__frame1"][()])
    assert demos.catalog[1]["primary"]["det_image"].shape == (6, 1, 1043, 981)


def test_pictures_are_drawn(demos):
    for name in ("tags.png", "measured.png"):
        picture = cv2.imread(str(demos.directory / name))
        assert min(picture.shape[:2]) > 400
        assert picture.std() > 20


@pytest.mark.parametrize(
    ("rows", "stop", "trouble"),
    [
        ([1, 2, 3], {}, None),
        ([1, 3], {}, "run 7: 1 of 3 frames have no row: 2"),
        ([1, 2, 2, 3], {}, "run 7: rows that belong to no frame, or twice to the same one: 2"),
        ([1, 2, 3, 4], {}, "run 7: rows that belong to no frame, or twice to the same one: 4"),
        ([1, 2, 3], {"exit_status": "fail", "reason": "dark"}, "run 7 ended with fail: dark"),
        ([], {"num_events": {}}, "run 7 holds no frame"),
    ],
)
def test_a_frame_without_its_row_is_reported(rows, stop, trouble):
    whole = {"exit_status": "success", "reason": "", "num_events": {"primary": 3}}
    run = SimpleNamespace(metadata={"start": {"scan_id": 7}, "stop": whole | stop})
    table = pd.DataFrame({"seq_num": rows, "status": "ok"})
    result = Result(run, None, table, pd.DataFrame(), "det_image")
    assert Counter(result.troubles()) == Counter([trouble] if trouble else [])
