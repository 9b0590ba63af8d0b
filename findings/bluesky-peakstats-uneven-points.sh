#!/usr/bin/env bash
# bluesky 1.15.1: the centre of mass of PeakStats goes by the number of points, and is meaningless where they were not taken in order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check bluesky==1.15.1 ophyd==1.11.2 event-model==1.24.0 numpy==2.4.6 scipy==1.17.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import bluesky
import numpy as np
from bluesky import RunEngine
from bluesky.callbacks.fitting import PeakStats
from bluesky.plans import list_scan
from ophyd.sim import SynAxis, SynGauss

RE = RunEngine()
motor = SynAxis(name="motor")
peak = SynGauss("peak", motor, "motor", center=5, Imax=1, sigma=1)

even = np.linspace(0, 10, 41)
finer = np.concatenate([np.arange(0, 5, 1.0), np.arange(5, 8, 0.1), np.arange(8, 10.1, 1.0)])
shuffled = np.random.default_rng(0).permutation(even)
found = {}
for name, points in {"even": even, "ten times as dense from 5 to 8": finer, "even, in random order": shuffled}.items():
    stats = PeakStats("motor", "peak")
    RE(list_scan([peak], motor, list(points)), stats)
    intensity = np.exp(-((np.sort(points) - 5) ** 2) / 2)
    area = np.trapezoid(np.sort(points) * intensity, np.sort(points)) / np.trapezoid(intensity, np.sort(points))
    found[name] = float(stats["com"]), float(stats["cen"]), float(stats["max"][0]), float(area)
    print("points {}: com {:.2f}, cen {:.2f}, max at {:.2f}; centre of the area by trapezia {:.2f}".format(name, *found[name]))

print(f"The peak is at 5 each time; all points are measured without noise (bluesky {bluesky.__version__}).")
com = [values[0] for values in found.values()]
sys.exit(0 if abs(com[0] - 5) < 0.01 and abs(com[1] - 5.71) < 0.02 and com[2] > 9 else 1)
PYTHON
