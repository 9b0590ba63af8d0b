"""The strengths that a model estimates stand next to its scores, through storage, corrections and replays."""

import bluesky.plans as bp
import numpy as np
import pytest
from support.detectors import ArrayDetector, constant, numbered
from support.models import CountsModel, StrengthModel

from bluesky_xtag.documents import TagTable
from bluesky_xtag.replay import replay
from bluesky_xtag.review import correct
from bluesky_xtag.search import tags

STRENGTHS = pytest.approx([0.1, 0.2, 0.3], abs=1e-6)


@pytest.mark.parametrize("catalog", ["databroker.temp", "tiled sqlite", "tiled duckdb"], indirect=True)
def test_strengths_are_stored_and_stay_with_corrections_and_replays(RE, tag, catalog):
    tag(model=StrengthModel())
    (uid,) = RE(bp.count([ArrayDetector(numbered((32, 32)), shape=(32, 32))], 3))
    run = catalog[uid]
    stored = tags(run)
    assert list(stored.columns[1:5]) == ["xtag_p_empty", "xtag_p_ring", "xtag_s_ring", "xtag_tags"]
    assert stored["xtag_s_ring"].tolist() == STRENGTHS
    table = TagTable(stored)
    assert table.graded == ["ring"] and table.strengths()["ring"].tolist() == STRENGTHS
    assert table.tags == ["empty", "ring"], "a strength was taken for a score"

    correction = catalog[correct(run, 2, remove=["ring"], by="ab")]
    assert tags(run)["xtag_s_ring"].tolist() == STRENGTHS
    assert tags(correction)["xtag_s_ring"].tolist() == pytest.approx([0.2])

    again = replay(catalog, [uid], model=StrengthModel(), again=True)
    assert tags(run)["xtag_s_ring"].tolist() == STRENGTHS, again


def test_rows_of_a_model_that_estimates_none_have_no_such_column(RE, tag, catalog):
    tag(model=CountsModel())
    (uid,) = RE(bp.count([ArrayDetector(numbered((32, 32)), shape=(32, 32))], 1))
    assert not [name for name in tags(catalog[uid]) if name.startswith("xtag_s_")]


def test_what_has_no_scores_has_no_strengths(RE, tag, catalog):
    tag(model=StrengthModel())
    (uid,) = RE(bp.count([ArrayDetector(constant(np.full((32, 32), 999)), shape=(32, 32))], 1))
    stored = tags(catalog[uid])
    assert stored["xtag_status"].tolist() == ["failed"] and np.isnan(stored["xtag_s_ring"]).all()
