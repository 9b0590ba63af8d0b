"""Twenty thousand scenes: no draw expects more than source and detector can give.

The scenes are rendered, not only drawn: how much of a pattern stays visible, and so the factor that brings it to its
stated photons, is known only when its pixels are. Every scene is rendered on blocks four times as long as those of the
working grid, which takes a third of the time and makes the same kinds of draws; the bounds hold on any grid. Every
twentieth scene is rendered on the working grid, too, and so is each one of which a coarse block is brighter than a
millionth of its bound, or a layer than a hundred thousandth. The lots of 1250 scenes are tests of their own, so that
they run next to each other.
"""

import pytest
from support.draws import expose_on_grid

from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate.scene.exposure_limits import MOST_PER_PIXEL, MOST_SCATTERED

SCENES = 1250
COARSE = Preparation().grid // 4


@pytest.mark.parametrize("start", range(0, 8 * SCENES, SCENES))
@pytest.mark.parametrize(("seed", "held_out"), [(90210417, True), (1, False)])
def test_the_expectations_of_all_draws_are_bounded(seed, held_out, start):
    for index in range(start, start + SCENES):
        coarse = expose_on_grid(seed, index, held_out, COARSE)
        near = coarse.highest > 1e-6 * MOST_PER_PIXEL or coarse.layers > 1e-5 * MOST_SCATTERED
        fine = expose_on_grid(seed, index, held_out) if near or index % 20 == 0 else coarse
        for each in (coarse, fine):
            assert each.lowest >= 0
            assert each.highest <= MOST_PER_PIXEL * (1 + 1e-6)
