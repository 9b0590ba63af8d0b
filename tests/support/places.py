"""Where things lie: the project, and measured frames that some machines have beside it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MEASURED = Path(os.environ.get("XTAG_MEASURED_FRAMES", ROOT.parent / "shared"))
REAL_FRAMES, REAL_FRAMES_2 = _MEASURED / "real_frames.h5", _MEASURED / "real_frames_2.h5"
