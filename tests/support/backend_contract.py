"""Tests that every backend passes; who imports them gives the fixture `make`, which returns a backend for a model."""

import numpy as np
import pytest

from bluesky_xtag.documents import FrameId
from bluesky_xtag.errors import CatalogError, FrameError, FrameNotReady
from bluesky_xtag.frames import Frame
from bluesky_xtag.tagger import NotReady, finish

from .models import CountsModel, RaisingModel, StrengthModel

__all__ = [
    "test_a_frame_that_is_not_ready_is_said_so_and_is_unreadable_where_nobody_waits",
    "test_a_frame_that_the_model_fails_on_costs_only_itself",
    "test_closing_twice_does_no_harm",
    "test_each_frame_has_its_outcome_in_their_order",
    "test_scores_of_another_shape_fail",
    "test_strengths_come_with_the_scores",
    "test_scores_that_are_none_fail_and_cost_only_their_frame",
    "test_the_model_is_told",
    "test_what_cannot_be_read_costs_only_itself",
    "test_where_a_server_is_away_nothing_is_known",
]


class Pixels:
    """The images of an event: an array, or the kind of an error and its message."""

    size = None

    def __init__(self, image):
        self.image = image

    def read(self, index):
        if isinstance(self.image, tuple):
            kind, message = self.image
            raise kind(message)
        return self.image


def frame(number, image=None):
    image = np.full((12, 12), number, np.int32) if image is None else image
    return Frame(FrameId("run", "primary", "det", number, 0, "event"), None, None, Pixels(image))


class Unmeasured(StrengthModel):
    def predict_all(self, images, beam_centres=None, masks=None):
        return self.predict(images, beam_centres, masks), np.empty((len(images), 0))


class Flat(CountsModel):
    def predict(self, images, beam_centres=None, masks=None):
        return super().predict(images, beam_centres, masks)[:, :1]


def statuses(outcomes):
    return ["not ready" if isinstance(each, NotReady) else each.status for each in outcomes]


def test_strengths_come_with_the_scores(make):
    frames = [frame(1), frame(20), frame(3, (FrameError, "torn")), frame(999)]
    outcomes = list(make(StrengthModel()).tag(frames))
    assert statuses(outcomes) == ["ok", "ok", "unreadable", "failed"]
    assert [outcome.strengths for outcome in outcomes] == [(pytest.approx(0.1),), (2.0,), (), ()]
    assert "not a number" in outcomes[3].reason
    (outcome,) = make(Unmeasured()).tag([frame(1)])
    assert outcome.status == "failed" and "strengths of shape (1, 0)" in outcome.reason


def test_each_frame_has_its_outcome_in_their_order(make):
    outcomes = list(make(CountsModel()).tag(frame(number) for number in range(40)))
    assert [outcome.frame.seq_num for outcome in outcomes] == list(range(40))
    assert [outcome.tags for outcome in outcomes] == [("empty",)] + [("ring",)] * 39
    assert all(outcome.scores == ((1.0, 0.0), (0.0, 1.0))[outcome.frame.seq_num > 0] for outcome in outcomes)


def test_what_cannot_be_read_costs_only_itself(make):
    broken = [(FrameError, "torn"), (ValueError, "whatever"), np.zeros((0, 3))]
    outcomes = list(make(CountsModel()).tag([frame(1), *(frame(2, image) for image in broken), frame(3)]))
    assert statuses(outcomes) == ["ok", "unreadable", "unreadable", "unreadable", "ok"]
    assert [outcome.reason for outcome in outcomes[1:3]] == ["FrameError: torn", "ValueError: whatever"]


def test_a_frame_that_is_not_ready_is_said_so_and_is_unreadable_where_nobody_waits(make):
    late, fine = make(CountsModel()).tag([frame(1, (FrameNotReady, "not there yet")), frame(2)])
    assert isinstance(late, NotReady) and late.frame.seq_num == 1
    assert (finish(late).status, finish(late).reason) == ("unreadable", "FrameNotReady: not there yet")
    assert finish(fine) is fine


def test_a_frame_that_the_model_fails_on_costs_only_itself(make):
    outcomes = list(make(RaisingModel({2})).tag(frame(number) for number in (1, 2, 3)))
    assert statuses(outcomes) == ["ok", "failed", "ok"]
    assert "RuntimeError" in outcomes[1].reason
    nothing = np.full((12, 12), -1)
    assert statuses(make(CountsModel()).tag([frame(1), frame(2, nothing)])) == ["ok", "unreadable"]


def test_scores_of_another_shape_fail(make):
    assert statuses(make(Flat()).tag([frame(1), frame(2)])) == ["failed", "failed"]


class Odd(CountsModel):
    """Gives what is in `odd` as the score of a frame that counts."""

    odd = (np.nan, np.inf, -np.inf, 7.0, -1.0, 1.0 + 1e-6, -1e-9)

    def score(self, image):
        return [1.0, self.odd[int(image.flat[0])] if image.flat[0] < len(self.odd) else 0.5]


def test_scores_that_are_none_fail_and_cost_only_their_frame(make):
    outcomes = list(make(Odd()).tag(frame(number) for number in range(9)))
    assert statuses(outcomes) == ["failed"] * 7 + ["ok"] * 2
    assert all(not outcome.scores and not outcome.tags for outcome in outcomes[:7])
    assert "score nan: a score is a number from 0 to 1" in outcomes[0].reason
    assert "score 7" in outcomes[3].reason


def test_where_a_server_is_away_nothing_is_known(make):
    with pytest.raises(CatalogError, match="away"):
        list(make(CountsModel()).tag([frame(1), frame(2, (CatalogError, "away"))]))


def test_the_model_is_told(make):
    model = CountsModel()
    backend = make(model)
    assert (backend.model.name, backend.model.sha256) == (model.name, model.sha256)
    assert all(memory > 0 for memory in backend.peak_memory())


def test_closing_twice_does_no_harm(make):
    backend = make(CountsModel())
    backend.close()
    backend.close()
