"""Twenty thousand scenes on the working grid: no draw expects more than source and detector can give.

The scenes are rendered, not only drawn: how much of a pattern stays visible, and so the factor that brings it to its
stated photons, is known only when its pixels are. The counts are drawn on blocks, where `expose_binned` makes the same
kinds of draws as `expose_full`; a full frame of a million pixels would take a hundred times as long and adds no other
kind. The lots of 1250 scenes are tests of their own, so that they run next to each other.
"""

import pytest
from support.draws import expose_on_grid

from bluesky_xtag.simulate.scene.exposure_limits import MOST_PER_PIXEL

SCENES = 1250


@pytest.mark.parametrize("start", range(0, 8 * SCENES, SCENES))
@pytest.mark.parametrize(("seed", "held_out"), [(90210417, True), (1, False)])
def test_the_expectations_of_all_draws_are_bounded(seed, held_out, start):
    found = [expose_on_grid(seed, index, held_out) for index in range(start, start + SCENES)]
    assert min(each.lowest for each in found) >= 0
    assert max(each.highest for each in found) <= MOST_PER_PIXEL * (1 + 1e-6)
