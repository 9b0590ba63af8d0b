#!/usr/bin/env bash
# fabio 2026.6.0 gives uint32 pixels of a compressed, tiled or BigTIFF file as int32: the sentinel 4294967295 turns into -1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check fabio==2026.6.0 tifffile==2026.3.3 imagecodecs==2026.3.6 \
    pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import logging
import sys

import fabio
import numpy as np
import tifffile

logging.disable(logging.CRITICAL)
counts = np.full((32, 32), 7, np.uint32)
counts[0, :2] = 4294967295, 3000000000
small = np.full((32, 32), 7, np.int8)
small[0, :2] = -1, -128

kinds = {"plain": {}, "deflate": {"compression": "zlib"}, "BigTIFF": {"bigtiff": True}, "tiles": {"tile": (16, 16)}}
seen = {}
for kind, options in kinds.items():
    for frame in (counts, small):
        tifffile.imwrite("frame.tif", frame, **options)
        assert np.array_equal(tifffile.imread("frame.tif"), frame), "tifffile gives the frame back"
        read = fabio.open("frame.tif").data
        seen[kind, frame.dtype.name] = (read.dtype.name, read[0, :2].tolist())
        print(f"{kind}, {frame.dtype} {frame[0, :2].tolist()}: fabio {fabio.version} gives {read.dtype} {read[0, :2].tolist()}")

print("So one detector's frames have a type that depends on how the file was packed, and large counts become negative.")
described = all(
    seen[kind, "uint32"] == (("uint32", [4294967295, 3000000000]) if kind == "plain" else ("int32", [-1, -1294967296]))
    and seen[kind, "int8"] == (("int8", [-1, -128]) if kind == "plain" else ("uint8", [255, 128]))
    for kind in kinds
)
sys.exit(0 if described else 1)
PYTHON
