"""Where things lie: the project, and measured frames that some machines have beside it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL_FRAMES = ROOT.parent / "shared" / "real_frames.h5"
