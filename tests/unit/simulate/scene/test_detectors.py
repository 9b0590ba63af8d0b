import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.simulate.scene.detectors import expose, module_mask


def test_module_mask_is_that_of_the_detector():
    gaps = module_mask("Pilatus 1M")
    assert gaps.shape == (1043, 981) and gaps.dtype == bool
    # 10 modules of 195 x 487 pixels.
    assert (~gaps).sum() == 10 * 195 * 487


def test_unknown_detectors_are_refused_by_name():
    with pytest.raises(XTagValueError, match="Pilatos"):
        module_mask("Pilatos")


def test_counts_are_poisson_and_gaps_marked():
    gaps = np.zeros((200, 200), bool)
    gaps[:, 90:100] = True
    image = expose(np.full((200, 200), 50.0), np.random.default_rng(0), gaps=gaps, gap_value=-2)
    assert image.dtype == np.int32
    assert (image[gaps] == -2).all()
    assert image[~gaps].mean() == pytest.approx(50, rel=0.01)
    assert image[~gaps].var() == pytest.approx(50, rel=0.05)


def test_the_counter_stops_at_its_limit():
    image = expose(np.full((50, 50), 1e5), np.random.default_rng(0), limit=65534)
    assert (image == 65534).all()


def test_defects_hit_the_stated_share_of_pixels():
    rng = np.random.default_rng(0)
    image = expose(np.zeros((1000, 1000)), rng, hot=1e-3)
    assert (image > 0).mean() == pytest.approx(1e-3, rel=0.15)
    image = expose(np.full((1000, 1000), 100.0), rng, dead=1e-3)
    assert (image == 0).mean() == pytest.approx(1e-3, rel=0.15)


def test_the_same_chance_gives_the_same_frame():
    settings = {"hot": 1e-3, "zingers": 1e-4, "read_noise": 2.0, "psf": 1.0, "flat_field": 0.02}
    first, second = (expose(np.full((60, 60), 9.0), np.random.default_rng(7), **settings) for _ in range(2))
    np.testing.assert_array_equal(first, second)
