"""A simulated frame that fails, also in a process of its own: what is called there must be found by its name."""

from unittest.mock import patch

from bluesky_xtag.simulate import archive
from bluesky_xtag.simulate.archive import _frame as frame
from bluesky_xtag.simulate.archive import _write_part as write_each_part

BAD = 2


class Fog(Exception):
    """An error that does not pass from one process to another: it cannot be made from its message."""

    def __init__(self, who, what):
        super().__init__(f"{who} is not {what}")


def raise_fog(index, settings):
    raise Fog("the beam", "seen")


def write_part(parts, index, settings):
    """Write a part as usual, but fail to simulate frame `BAD`."""
    with patch.object(archive, "_frame", raise_fog if index == BAD else frame):
        return write_each_part(parts, index, settings)
