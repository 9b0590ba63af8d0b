"""Looks at every draw of counts of simulated frames: what was expected, next to what is physical."""

from dataclasses import dataclass

import numpy as np

from bluesky_xtag.simulate import make_scene
from bluesky_xtag.simulate.dataset import at_grid
from bluesky_xtag.simulate.scene.exposure_limits import MOST_PER_PIXEL, MOST_SCATTERED
from bluesky_xtag.simulate.scene.scenes import expose_binned


class RecordingChance(np.random.Generator):
    """Chance that keeps the expectation of everything that is counted."""

    def __init__(self, *seed):
        super().__init__(np.random.PCG64(seed))
        self.expected = []

    def poisson(self, lam=1.0, size=None):
        self.expected.append(np.asarray(lam))
        return super().poisson(lam, size)


@dataclass(frozen=True)
class Extremes:
    """What a frame comes to on a grid.

    Parameters
    ----------
    lowest, highest : float
        Expected counts a pixel, of all draws together: photons, hot and dead pixels, zingers, tracks, salt.
    layers : float
        Most photons of a layer of the rendering, all blocks together: a part, behind a beamstop, below the horizon.
    """

    lowest: float
    highest: float
    layers: float


def expose_on_grid(seed, index, held_out, grid=None):
    """Render and expose a scene, where the network's views are made by default; check each draw against its bound."""
    rendering, chance = at_grid(make_scene(seed, index, held_out), grid), RecordingChance(seed, index)
    binned = expose_binned(rendering, chance)
    area, blocks = rendering.factor**2, rendering.q.size
    where = f"frame {index} of seed {seed}"
    photons, *spurious = sorted(chance.expected, key=np.size, reverse=True)
    assert photons.shape == rendering.q.shape, where
    for expected in chance.expected:
        assert np.isfinite(expected).all() and expected.min() >= 0, where
    assert photons.max() <= np.float32(MOST_PER_PIXEL * area), where
    # A pixel is hot, dead, hit or crossed by a track once at most, as the shares say: of blocks, or of the frame.
    assert all(expected.size == 1 and expected <= area * blocks for expected in spurious), where
    counts = binned.counts
    assert np.isfinite(counts).all() and counts.min() >= 0 and binned.maximum <= rendering.scene.defects.limit, where
    layers = [float(layer.sum(dtype=float)) for layer in (*rendering.photons, rendering.missing, rendering.below)]
    # A blur mirrors what lies at the frame's edge, which adds a little; missing and below are sums over the parts.
    assert np.isfinite(layers).all() and min(layers) >= 0, where
    assert max(layers) <= 1.01 * len(rendering.photons) * MOST_SCATTERED, where
    rates = [photons / area, *(expected / (area * blocks) for expected in spurious)]
    return Extremes(
        min(float(rate.min()) for rate in rates), max(float(rate.max()) for rate in rates), max(layers, default=0.0)
    )
