import io

import numpy as np
from matplotlib.image import imread

from bluesky_xtag.simulate import simulate
from bluesky_xtag.train import worst_frames
from bluesky_xtag.train.evaluate.evaluation import Evaluation
from bluesky_xtag.train.evaluate.sheet import _worst


def test_the_surest_mistakes_of_the_weakest_tags_are_shown(tmp_path):
    path = simulate(tmp_path / "frames.h5", 3, seed=4, workers=1)
    scored = Evaluation(
        path=path,
        model="m",
        tags=("ring", "halo"),
        thresholds=np.array([0.5, 0.5]),
        frames=("000000", "000001", "000002"),
        origins=("", "", ""),
        truth=np.array([[1, 1], [0, 0], [0, 1]], np.int8),
        scores=np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.2]], np.float32),
        seconds_per_frame=0.01,
        unlabelled=(),
        unknown=(),
    )
    shown = [(scored.tags[mistake.tag], mistake.frame) for mistake in _worst(scored)]
    assert shown == [("halo", 1), ("halo", 0)]
    assert imread(io.BytesIO(worst_frames(scored))).ndim == 3
