import json

import h5py
import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import TagModel
from bluesky_xtag.train.evaluate import evaluate, figures


@pytest.fixture(scope="module")
def model():
    return TagModel.load()


@pytest.fixture
def frames(tmp_path):
    """Two dark frames, two flat ones; a tag the model does not know; one uncertain label."""
    path = tmp_path / "frames.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["tags"] = ["unheard_of", "empty", "ring"]
        for name, rate, truth in (("a", 0, [0, 1, 0]), ("b", 0.001, [1, 1, -1]), ("c", 50, [1, 0, 0])):
            file[name] = rng.poisson(rate, (195, 487)).astype(np.int32)
            file[name].attrs["truth"] = truth
            file[name].attrs["beam_centre_xy"] = (200.0, 100.0)
    return path


def test_figures_by_hand():
    truth = np.array([[1, 0], [0, 0], [1, 0], [-1, 0]])
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.7, 0.1], [1.0, 0.1]])
    report = figures(("ring", "halo"), truth, scores, np.array([0.75, 0.5]))
    ring, halo = report.tags
    assert ring.average_precision == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert ring.prevalence == pytest.approx(2 / 3)
    assert ring.f1 == pytest.approx(0.5)
    assert ring.frames == 3
    assert np.isnan(halo.average_precision) and halo.prevalence == 0
    assert report.mean_average_precision == ring.average_precision
    assert report.chance == ring.prevalence


def test_only_tags_that_both_know_are_evaluated(model, frames):
    report = evaluate(model, frames)
    assert [row.tag for row in report.tags] == ["empty", "ring"]
    assert [row.frames for row in report.tags] == [3, 2]
    assert report.frames == 3 and report.seconds_per_frame > 0


def test_a_report_is_plain_json_and_a_table(model, frames):
    report = evaluate(model, frames, use_centres=False)
    assert "NaN" not in json.dumps(report.to_dict())
    assert report.to_dict()["tags"][1]["average_precision"] is None
    assert report.table().row_count == 3


def test_files_that_do_not_fit_are_refused(model, tmp_path):
    with pytest.raises(XTagValueError, match="there is no file"):
        evaluate(model, tmp_path / "none.h5")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["a"] = np.zeros((3, 3))
    with pytest.raises(XTagValueError, match="labels none"):
        evaluate(model, tmp_path / "bare.h5")
