"""A scan with the packaged model and a mask that does not fit."""

import bluesky.plans as bp
import numpy as np
from support.detectors import ArrayDetector, numbered


def test_mask_of_another_detector_is_said_so(RE, seen, tag, packaged_model):
    """The real preparation refuses it: every frame is unreadable, and the reason names both shapes."""
    tagger = tag(model=packaged_model, mask=np.zeros((5, 5), bool))
    RE(bp.count([ArrayDetector(numbered())], 2))
    assert seen.statuses() == {"unreadable": 2}
    assert "(5, 5)" in tagger.latest.reason and "(32, 32)" in tagger.latest.reason
