#!/usr/bin/env bash
# Pillow 13.0.0 gives compressed big-endian TIFF images of int16, int32 and float32 with swapped bytes: 20 is read as 5120.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image

row, column = np.mgrid[:6, :8]
counts = 20 + 10 * column + row

right = {}
for kind in ("uint16", "int16", "int32", "float32"):
    for order, name in ((">", "big"), ("<", "little")):
        for packing in (None, "zlib", "lzw"):
            frame = counts.astype(kind)
            tifffile.imwrite("frame.tif", frame, byteorder=order, compression=packing)
            assert np.array_equal(tifffile.imread("frame.tif"), frame), "tifffile gives the frame back"
            read = np.asarray(Image.open("frame.tif"))
            right[kind, name, packing] = np.array_equal(read, frame)
            if not right[kind, name, packing]:
                print(f"{kind}, {name}-endian, {packing}: {frame[0, :3].tolist()} is read by Pillow {PIL.__version__} as {read[0, :3].tolist()}")

print("All other combinations are read right: little-endian files, files without compression, and uint16. Nothing is raised.")
described = all(
    good == (kind == "uint16" or name == "little" or packing is None) for (kind, name, packing), good in right.items()
)
sys.exit(0 if described else 1)
PYTHON
