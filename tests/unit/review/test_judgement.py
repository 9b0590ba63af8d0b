"""What corrections say of two models, from numbers alone."""

import numpy as np
import pytest

from bluesky_xtag.review.promoting import Judgement, sign_flip_interval


def judgement(errors, interval, frames=40, sources=8, right=(10, 20)):
    return Judgement(("a 1", "b 2"), frames, sources, errors, right, interval)


def test_fewer_than_six_groups_reject_nothing_and_six_that_agree_do():
    assert sign_flip_interval(np.full(5, -2.0), np.full(5, 4)) == (-np.inf, np.inf)
    low, high = sign_flip_interval(np.array([-2.0, -2, -2, -2, -2, -1]), np.full(6, 4))
    assert low < -11 / 24 < high < 0


def test_the_interval_holds_what_the_test_by_sign_flips_does_not_reject(rng):
    sums, numbers = rng.normal(-0.5, 1.0, 9), rng.integers(1, 5, 9)
    low, high = sign_flip_interval(sums, numbers)
    signs = np.array(np.meshgrid(*[[1, -1]] * 9)).reshape(9, -1).T

    def p_value(difference):
        left = sums - difference * numbers
        return np.mean(np.abs(signs @ left) >= abs(left.sum()) - 1e-9)

    for inside, outside in ((low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)):
        assert p_value(inside) > 0.05 >= p_value(outside)


def test_it_holds_the_truth_as_often_as_it_says(rng):
    """Groups of one to six pairs that depend on each other, of a true difference of 0.3."""
    held = 0
    for _ in range(300):
        numbers = rng.integers(1, 7, 10)
        sums = 0.3 * numbers + rng.normal(0, 1, 10) * numbers + [rng.normal(0, 0.5, n).sum() for n in numbers]
        low, high = sign_flip_interval(sums, numbers)
        held += low <= 0.3 <= high
    assert held >= 0.92 * 300


def test_many_groups_are_sampled_and_the_same_every_time(rng):
    sums, numbers = rng.normal(0.4, 1.0, 60), np.ones(60, int)
    first = sign_flip_interval(sums, numbers)
    assert first == sign_flip_interval(sums, numbers)
    half = 1.96 * sums.std(ddof=1) / np.sqrt(60)
    assert first == pytest.approx((sums.mean() - half, sums.mean() + half), abs=0.05)


@pytest.mark.parametrize(
    ("found", "better", "more", "said"),
    [
        (judgement((1.5, 0.9), (-0.9, -0.2)), 1, 0, "B is better"),
        (judgement((0.9, 1.5), (0.2, 0.9)), 0, 0, "A is better"),
        (judgement((1.5, 1.25), (-0.75, 0.25)), None, 120, "not enough corrections: 120 more needed (about)"),
        (judgement((1.5, 1.5), (-0.6, 0.6)), None, None, "about equally good"),
        (judgement((1.5, 1.49), (-0.6, 0.6)), None, None, "about equally good"),
        (
            judgement((1.5, 0.5), (-np.inf, np.inf), frames=10, sources=2),
            None,
            20,
            "20 more needed (about), from 4 other samples or runs",
        ),
        (judgement((1.5, 0.9), (-0.9, -0.2), right=(0, 20)), None, None, "A is wrong on each of these frames"),
    ],
)
def test_a_verdict_is_as_sure_as_the_corrections(found, better, more, said):
    assert found.better == better and said in found.verdict()
    if "wrong" not in said:
        assert found.more == more
    assert "95 % confidence" in found.lines()[-1]
