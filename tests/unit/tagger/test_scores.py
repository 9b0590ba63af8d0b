"""What a replay takes of a backend is checked as live outcomes are: a score is a number from 0 to 1."""

import math

import pytest

from bluesky_xtag import Tagging
from bluesky_xtag.documents import FrameId
from bluesky_xtag.tagger import NotReady, finish

FRAME = FrameId("run", "primary", "det", 1, 0, "event")


@pytest.mark.parametrize("scores", [(math.nan, 1.0), (0.5, 2.0), (math.inf, 0.0), (0.5, -0.1)])
def test_scores_that_are_none_are_failed(scores):
    tagging = finish(Tagging(FRAME, "ok", scores, ("ring",)), "CPU")
    assert (tagging.status, tagging.scores, tagging.tags, tagging.device) == ("failed", (), (), "")
    assert "a number from 0 to 1" in tagging.reason


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf])
def test_strengths_that_are_none_are_failed(strength):
    tagging = finish(Tagging(FRAME, "ok", (0.5, 1.0), ("ring",), strengths=(strength,)))
    assert (tagging.status, tagging.strengths) == ("failed", ())
    assert "a strength that is not a number" in tagging.reason


@pytest.mark.parametrize("status", ["fine", "", "OK", 3])
def test_a_status_that_is_none_is_failed(status):
    tagging = finish(Tagging(FRAME, status, (0.5, 1.0), ("ring",)), "CPU")
    assert (tagging.status, tagging.scores, tagging.tags) == ("failed", (), ())
    assert repr(status) in tagging.reason


def test_others_stay_and_say_what_scored_them():
    tagging = Tagging(FRAME, "ok", (0.0, 1.0), ("ring",), strengths=(-3.0,))
    assert finish(tagging, "CPU").device == "CPU"
    assert finish(tagging) == tagging
    assert finish(NotReady(FRAME, "not yet")) == Tagging(FRAME, "unreadable", reason="not yet")
