#!/usr/bin/env bash
# fabio 2026.6.0 takes the packed bytes of a PackBits TIFF for its pixels: shape and type are right, the values are not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check fabio==2026.6.0 tifffile==2026.3.3 imagecodecs==2026.3.6 \
    pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import fabio
import numpy as np
import tifffile
from PIL import Image

row, column = np.mgrid[:6, :8]
frame = (20 + 10 * column + row).astype(np.uint16)

wrong = []
for writer in ("tifffile", "Pillow"):
    for packing in ("none", "PackBits"):
        name = f"{writer}-{packing}.tif"
        if writer == "tifffile":
            tifffile.imwrite(name, frame, compression=None if packing == "none" else "packbits")
        else:
            Image.fromarray(frame).save(name, compression="raw" if packing == "none" else "packbits")
        assert np.array_equal(tifffile.imread(name), frame), "tifffile reads every one of these files right"
        assert np.array_equal(np.asarray(Image.open(name)), frame), "and so does Pillow"
        read = fabio.open(name).data
        same = np.array_equal(read, frame)
        wrong.append(not same and read.shape == frame.shape and read.dtype == frame.dtype)
        print(f"{name}: fabio {fabio.version} gives {read.dtype} of {read.shape}, first row {read[0].tolist()}: {'right' if same else 'WRONG'}")

print(f"The frame begins with {frame[0].tolist()}. tifffile and Pillow give it back from all four files.")
print("fabio gives right values without compression. With PackBits it returns other numbers, and raises nothing;")
print("all it says is a line in the log about bogus StripByteCounts.")
sys.exit(0 if wrong == [False, True, False, True] else 1)
PYTHON
