"""`python -m bluesky_xtag.simulate.epics [PREFIX [COUNT]]`: serve the simulated beamline until Ctrl-C.

With COUNT the camera repeats so many frames, which are made before, instead of a frame for each exposure.
"""

from __future__ import annotations

import sys

from ..beamline.repeated import Repeated
from ..beamline.sample import Sample
from .beamline_ioc import serve
from .ioc_process import PREFIX

if __name__ == "__main__":
    prefix = sys.argv[1] if len(sys.argv) > 1 else PREFIX
    serve(Repeated(Sample(), int(sys.argv[2])) if len(sys.argv) > 2 else Sample(), prefix)
