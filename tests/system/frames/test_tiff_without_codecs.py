"""TIFF files whose compression cannot be undone, as where imagecodecs has no wheel."""

import subprocess
import sys

import numpy as np
import tifffile

READ = """
import sys
sys.modules["imagecodecs"] = None  # as if it were not installed
from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.frames.files.tiff import TiffFormat
for path in sys.argv[1:]:
    try:
        print(TiffFormat().read(path, "", 0).tolist())
    except FrameNotReady:
        print("tried again for ever")
    except FrameError as error:
        print("refused", "imagecodecs" in str(error))
"""


def test_pixels_that_cannot_be_unpacked_are_refused_and_never_guessed(tmp_path):
    paths = []
    for order in "<>":  # Pillow 13.0.0, which fabio asks, swaps the bytes of the second one
        paths.append(str(tmp_path / f"{ord(order)}.tif"))
        tifffile.imwrite(paths[-1], np.full((4, 4), 20, np.int16), byteorder=order, compression="lzw")
    tifffile.imwrite(tmp_path / "zlib.tif", np.full((2, 2), 20, np.int16), byteorder=">", compression="zlib")
    seen = subprocess.run(
        [sys.executable, "-c", READ, *paths, str(tmp_path / "zlib.tif")], capture_output=True, text=True, check=True
    )
    assert seen.stdout.splitlines() == ["refused True", "refused True", "[[20, 20], [20, 20]]"]
