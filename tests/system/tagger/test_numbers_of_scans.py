"""Frames that were divided, normalised or multiplied during a scan: their tags, and the word about them in the log."""

import bluesky.plans as bp
import numpy as np
import pytest
from support.detectors import ArrayDetector

from bluesky_xtag.model import TagModel

SHAPE = (256, 240)
KINDS = {
    "counts": lambda counts: counts.astype(np.int32),
    "divided by a monitor": lambda counts: (counts / 87_314).astype(np.float32),
    "normalised to one": lambda counts: counts / counts.max(),
    "multiplied by a gain": lambda counts: (4 * counts).astype(np.int32),
}


@pytest.fixture(scope="module")
def model():
    return TagModel.load()


@pytest.mark.parametrize("kind", KINDS)
def test_rings_are_seen_and_the_log_says_once_what_the_numbers_are(RE, seen, tag, model, caplog, kind):
    y, x = np.indices(SHAPE)
    light = 40 * np.exp(-0.5 * ((np.hypot(x - 120, y - 130) - 60) / 3) ** 2) + 0.3
    rng = np.random.default_rng(1)
    tag(model=model, deadline=60)
    (uid,) = RE(bp.count([ArrayDetector(lambda: KINDS[kind](rng.poisson(light)), shape=SHAPE)], 6))
    rows = [event["data"] for event in seen.events("tags")]
    assert [row["xtag_status"] for row in rows] == ["ok"] * 6
    assert all("ring" in row["xtag_tags"].split() for row in rows)
    said = [record.getMessage() for record in caplog.records if "The numbers of" in record.getMessage()]
    if kind == "counts":
        assert said == []
    else:
        (told,) = said
        assert f"The numbers of det in run {uid}" in told
        assert ("whole multiples of 4" if "gain" in kind else "multiplied by") in told
