import cv2
import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.simulate import NUISANCES, TAGS, sample
from bluesky_xtag.train import measure, robustness_curves
from bluesky_xtag.train.evaluate.drops import BARS
from bluesky_xtag.train.evaluate.report import figures

FRAMES, SEED = 20, 11


@pytest.fixture(scope="module")
def model(packaged_model):
    return packaged_model


@pytest.fixture(scope="module")
def measured(model):
    return measure(model, FRAMES, SEED, nuisances=["exposure", "mirror"], workers=1, least=3)


def test_clean_figures_are_those_of_the_clean_scenes(model, measured):
    drawn = [sample(SEED, index, True, model.preparation, ()) for index in range(FRAMES)]
    names = [name for name in TAGS.names if name in model.taxonomy.names]
    columns = [model.taxonomy.index(name) for name in names]
    truth = np.stack([labels for _, labels in drawn])[:, [TAGS.index(name) for name in names]]
    scores = model.infer([inputs for inputs, _ in drawn])[:, columns]
    expected = figures(names, truth, scores, model.thresholds[columns])
    assert measured.clean.mean_average_precision == pytest.approx(expected.mean_average_precision, abs=1e-6)
    assert [row.positives for row in measured.clean.tags] == [row.positives for row in expected.tags]


def test_every_level_is_measured_and_the_mildest_is_clean(measured):
    exposure, mirror = measured.curves
    assert [level.level for level in exposure.levels] == list(NUISANCES["exposure"].levels)
    assert exposure.levels[0].paired_drop == mirror.levels[0].drop == 0
    assert mirror.bars == BARS["mirror"] == (0.01, 0.01)
    assert all(np.isfinite(level.paired_drop) for level in mirror.levels)


def test_figures_do_not_depend_on_the_number_of_workers(model, measured):
    again = measure(model, FRAMES, SEED, nuisances=["exposure", "mirror"], workers=2, least=3)
    assert again.to_json() == measured.to_json()


def test_the_picture_has_axes_for_every_nuisance(measured):
    picture = cv2.imdecode(np.frombuffer(robustness_curves(measured), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] > 1000 and picture.std() > 5


def test_what_cannot_be_measured_is_refused(model):
    with pytest.raises(XTagValueError, match="no nuisance hiccups; known: exposure"):
        measure(model, 1, nuisances=["hiccups"])
    with pytest.raises(XTagValueError, match="at least one frame"):
        measure(model, 0)


def test_bars_are_those_of_nuisances_that_exist():
    assert set(BARS) <= set(NUISANCES)
