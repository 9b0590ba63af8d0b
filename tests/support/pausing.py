"""Plans that pause."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from ophyd.sim import motor


def pausing(det, points, where):
    """A scan in steps with a checkpoint a point, which pauses once, `where` in point 3."""
    pauses = iter([True])

    def pause_at(place):
        if place == where and next(pauses, False):
            yield from bps.pause()

    @bpp.run_decorator()
    def plan():
        for point in range(1, points + 1):
            yield from bps.checkpoint()
            if point == 3:
                yield from pause_at("after the checkpoint")
            yield from bps.mov(motor, point)
            if point == 3:
                yield from pause_at("after the move")
            yield from bps.trigger_and_read([det])
            if point == 3:
                yield from pause_at("after the frame")

    return plan()
