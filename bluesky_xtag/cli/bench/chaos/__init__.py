"""What befalls the process that tags, done to it on purpose while scans run: kills, hangs, no memory, and long use."""

from .breaking import FAULTS, break_it
from .killing import kill_it
from .soaking import soak
from .trapped import Trapped

__all__ = ["FAULTS", "Trapped", "break_it", "kill_it", "soak"]
