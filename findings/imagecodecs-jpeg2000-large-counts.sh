#!/usr/bin/env bash
# imagecodecs 2026.3.6: lossless JPEG 2000 of 32-bit frames gives back other numbers from 2**26 on: the sentinel 4294967295 comes back as another count.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check imagecodecs==2026.3.6 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import imagecodecs
import numpy as np
import tifffile

row, column = np.mgrid[:6, :8]
frame = (20 + 10 * column + row).astype(np.uint32)

back = {}
for value in (2**24 + 1, 2**26 - 1, 2**26, 2**30, 2**31, 2**32 - 1):
    frame[0, 0] = value
    read = imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(frame, level=0, reversible=True))
    back[value] = int(read[0, 0])
    assert read.dtype == frame.dtype and np.array_equal(read.ravel()[1:], frame.ravel()[1:]), "all other pixels are kept"
    tifffile.imwrite("frame.tif", frame, compression="jpeg2000")
    in_tiff = int(tifffile.imread("frame.tif")[0, 0])
    print(f"uint32 pixel {value}: {back[value]} from the codec, {in_tiff} from a TIFF written by tifffile {tifffile.__version__}")

print(f"imagecodecs {imagecodecs.__version__} ({imagecodecs.jpeg2k_version()}) was asked for a reversible encoding, and raised nothing.")
kept = [value for value, read in back.items() if value == read]
sys.exit(0 if kept == [2**24 + 1, 2**26 - 1] else 1)
PYTHON
