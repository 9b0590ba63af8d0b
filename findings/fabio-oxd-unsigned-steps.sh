#!/usr/bin/env bash
# A uint8 or uint16 frame that fabio 2026.6.0 writes as OXD comes back wrong: each pixel darker than the one before lifts all later ones by 256 or 65536.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check fabio==2026.6.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import logging
import sys

import fabio
import numpy as np
from fabio.OXDimage import OxdImage

logging.disable(logging.WARNING)  # "Enforce TY1 compression"
frame = np.random.default_rng(0).poisson(20, (64, 80))

wrong = {}
for kind in ("uint8", "uint16", "int16", "int32"):
    OxdImage(data=frame.astype(kind)).write("frame.img")
    read = fabio.open("frame.img").data
    excess = read.astype(np.int64) - frame
    wrong[kind] = (int((excess != 0).sum()), sorted({int(value) for value in np.unique(excess)})[:3])
    print(f"written as {kind} {frame[0, :4].tolist()}, read by fabio {fabio.version} as {read.dtype} {read[0, :4].tolist()}: "
          f"{wrong[kind][0]} of {frame.size} pixels differ, by {wrong[kind][1]} ...")

print("Nothing is raised. The same counts written as int16 or int32 come back right.")
right = wrong["int16"][0] == wrong["int32"][0] == 0
sys.exit(0 if right and wrong["uint8"][0] > 5000 and wrong["uint16"][0] > 5000 else 1)
PYTHON
