import json

import numpy as np
import pytest

from bluesky_xtag.train.evaluate.drops import Curve, Judged, Level, Robustness, compare
from bluesky_xtag.train.evaluate.report import figures


def curve(*drops, bars=(0.03, 0.10)):
    levels = tuple(Level(float(place), 0.9, drop, drop, 0.01, {"ring": drop}) for place, drop in enumerate(drops))
    return Curve("noise", "read noise", "counts", levels, bars)


def test_a_drop_by_hand():
    truth = np.array([[1], [1], [0], [0]])
    clean = Judged(truth, np.array([[0.9], [0.8], [0.2], [0.1]]))
    spoiled = Judged(truth, np.array([[0.9], [0.1], [0.2], [0.15]]))
    level = compare(3.0, ["ring"], clean, spoiled, least=2)
    # Ranked 1, 0, 0, 1: precision 1 at recall 1/2, 1/2 at recall 1.
    assert (level.level, level.mean_average_precision) == (3.0, 0.75)
    assert level.drop == level.paired_drop == 0.25
    assert level.tags == {"ring": 0.25}
    assert level.error > 0


def test_labels_that_change_count_for_the_plain_drop_only():
    # The two faint frames, ranked low while they were clean, no longer hold the tag: of those that do, all are found.
    truth = np.array([[1], [1], [1], [1], [0], [0]])
    scores = np.array([[0.9], [0.8], [0.3], [0.2], [0.5], [0.1]])
    faded = np.array([[1], [1], [0], [-1], [0], [0]])
    level = compare(1.0, ["ring"], Judged(truth, scores), Judged(faded, scores), least=2)
    assert level.drop < 0 and level.paired_drop == 0


def test_tags_with_too_few_frames_do_not_count():
    truth = np.array([[1, 1], [1, 0], [0, 0], [0, 0]])
    judged = Judged(truth, np.random.default_rng(0).random((4, 2)))
    assert set(compare(0.0, ["ring", "halo"], judged, judged, least=2).tags) == {"ring"}
    level = compare(0.0, ["ring", "halo"], judged, judged, least=3)
    assert np.isnan([level.drop, level.paired_drop, level.error]).all() and level.tags == {}


@pytest.mark.parametrize(
    ("drops", "missed"),
    [
        ((0, 0.01, 0.03, 0.08, 0.10), ()),
        ((0, 0.01, 0.031, 0.08, 0.10), (2.0,)),
        ((0, 0.04, 0.01, 0.11, 0.12), (1.0, 3.0, 4.0)),
        ((0, 0.101), (1.0,)),
        ((0, 0.09), ()),
    ],
)
def test_the_first_bar_holds_up_to_the_middle_and_the_second_beyond(drops, missed):
    assert curve(*drops).missed == missed
    assert curve(*drops).met is not bool(missed)


def test_without_figures_nothing_is_met_or_missed():
    assert curve(float("nan"), float("nan")).met is None


def test_the_json_is_plain_and_the_table_has_a_row_for_each_nuisance():
    clean = figures(["ring"], np.array([[1], [0]]), np.array([[0.9], [0.1]]), np.array([0.5]))
    robustness = Robustness("small 1", 2, 0, 10, clean, (curve(0, 0.02), curve(0.0, float("nan"))))
    told = json.loads(json.dumps(robustness.to_json(), allow_nan=False))
    assert told["clean"]["mAP"] == 1.0 and told["frames"] == 2
    noise = told["curves"]["noise"]
    assert noise["bars"] == {"middle": 0.03, "end": 0.10}
    assert noise["levels"][1]["paired_drop"] is None and noise["met"] is None
    assert robustness.tables()[0].row_count == 2
