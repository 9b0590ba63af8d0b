import json

import h5py
import numpy as np
import pytest
from support.places import REAL_FRAMES

from bluesky_xtag.errors import FrameError, XTagValueError
from bluesky_xtag.train import score
from bluesky_xtag.train.evaluate.evaluation import evaluate, figures


@pytest.fixture(scope="module")
def model(packaged_model):
    return packaged_model


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
    assert (ring.precision, ring.recall) == pytest.approx((0.5, 0.5))
    assert (ring.positives, ring.frames) == (2, 3)
    assert ring.calibration_error == pytest.approx((0.1 + 0.8 + 0.3) / 3)
    assert report.right == pytest.approx(5 / 7)
    assert np.isnan(halo.average_precision) and halo.prevalence == 0
    assert report.mean_average_precision == ring.average_precision
    assert report.chance == ring.prevalence
    assert report.macro_f1 == ring.f1
    assert report.mean_calibration_error == pytest.approx((ring.calibration_error + 0.1) / 2)


def test_only_tags_that_both_know_are_evaluated(model, frames):
    report = evaluate(model, frames)
    assert [row.tag for row in report.tags] == ["empty", "ring"]
    assert [row.frames for row in report.tags] == [3, 2]
    assert report.frames == 3 and report.seconds_per_frame > 0


def test_what_is_left_out_is_said(model, frames):
    scored = score(model, frames)
    assert scored.unknown == ("unheard_of",)
    assert set(scored.unlabelled) == set(model.taxonomy.names) - {"empty", "ring"}
    notes = " ".join(scored.notes)
    assert "unheard_of" in notes and "halo" in notes
    assert "no AP: ring" in notes  # no frame holds it


def test_figures_are_those_of_the_scores_and_thresholds(model, frames):
    scored = score(model, frames, use_centres=False)
    with h5py.File(frames) as file:
        expected = np.concatenate([model.predict([file[name][()]]) for name in scored.frames])
    columns = [model.taxonomy.index(tag) for tag in scored.tags]
    np.testing.assert_allclose(scored.scores, expected[:, columns], atol=1e-6)
    np.testing.assert_array_equal(scored.thresholds, model.thresholds[columns])
    np.testing.assert_array_equal(scored.truth, [[1, 0], [1, -1], [0, 0]])
    accepted = scored.scores >= scored.thresholds
    right = (accepted == (scored.truth == 1))[scored.truth >= 0]
    assert right.size == 5 and scored.report.right == right.mean()


def test_the_json_has_the_stated_form(model, frames):
    figures = json.loads(json.dumps(score(model, frames).to_json(), allow_nan=False))
    assert {"mAP", "macro_f1", "tags", "frames", "seconds_per_frame"} <= set(figures)
    assert figures["frames"] == 3 and figures["seconds_per_frame"] > 0
    assert set(figures["tags"]) == {"empty", "ring"}
    assert {"ap", "f1", "positives", "prevalence"} <= set(figures["tags"]["empty"])
    assert figures["tags"]["empty"]["positives"] == 2
    assert figures["tags"]["empty"]["prevalence"] == pytest.approx(2 / 3)
    assert figures["mAP"] == figures["tags"]["empty"]["ap"]
    assert figures["tags"]["ring"]["ap"] is None and figures["tags"]["ring"]["positives"] == 0


def test_the_card_keeps_its_names(model, frames):
    kept = evaluate(model, frames).to_dict()
    assert {"mean_average_precision", "chance", "tags", "frames"} <= set(kept)
    assert kept["tags"][1]["average_precision"] is None
    assert {"tag", "average_precision", "prevalence", "f1", "frames"} <= set(kept["tags"][0])


def test_frames_are_told_apart_by_source_else_by_detector(model, frames):
    with h5py.File(frames, "a") as file:
        file["a"].attrs["source"] = "lab/archive@1a2b:scan/a.tif"
        file["b"].attrs.update({"source": "lab/archive@1a2b:scan/b.tif", "detector": "Eiger"})
        file["c"].attrs["detector"] = "Pilatus"
    scored = score(model, frames)
    assert scored.origins == ("lab/archive", "lab/archive", "Pilatus")
    assert {name: report.frames for name, report in scored.reports.items()} == {"lab/archive": 2, "Pilatus": 1}
    assert scored.to_json()["origins"]["lab/archive"]["frames"] == 2
    assert [table.row_count for table in scored.tables()] == [3, 2]
    with h5py.File(frames, "a") as file:
        file["c"].attrs["source"] = "https://example.org/12"
    assert score(model, frames).origins == ("lab/archive", "lab/archive", "https://example.org/12")


def test_masks_in_the_file_are_used(model, frames):
    before = score(model, frames).scores
    with h5py.File(frames, "a") as file:
        mask = np.zeros((195, 487), bool)
        mask[:, 100:300] = True
        file["masks/c"] = mask
        expected = model.predict([file["c"][()]], [(200.0, 100.0)], [mask])[0]
    after = score(model, frames)
    assert after.frames == ("a", "b", "c")
    np.testing.assert_allclose(after.scores[2], expected[[model.taxonomy.index(tag) for tag in after.tags]], atol=1e-6)
    np.testing.assert_array_equal(after.scores[:2], before[:2])


def test_a_frame_that_cannot_be_used_is_named(model, frames):
    with h5py.File(frames, "a") as file:
        file["b"][...] = -1
    with pytest.raises(FrameError, match="frames.h5, frame 'b': no valid pixel"):
        score(model, frames)


@pytest.mark.skipif(not REAL_FRAMES.exists(), reason="the measured frames are not here: ../shared/real_frames.h5")
def test_measured_frames_are_evaluated_well_above_chance(model):
    scored = score(model, REAL_FRAMES)
    assert len(scored.frames) == 23 and len(scored.tags) == 12
    assert len(scored.reports) == 7
    assert scored.report.mean_average_precision > scored.report.chance + 0.3


def test_files_that_do_not_fit_are_refused(model, tmp_path):
    with pytest.raises(XTagValueError, match="there is no file"):
        evaluate(model, tmp_path / "none.h5")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["a"] = np.zeros((3, 3))
    with pytest.raises(XTagValueError, match="labels none"):
        evaluate(model, tmp_path / "bare.h5")
