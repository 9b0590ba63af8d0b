#!/usr/bin/env bash
# Numba 0.68.1 with cache=True and fastmath=True: the process that compiles a function gives other last bits than each later one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
cd "$folder"
export NUMBA_CACHE_DIR=$folder/cache
cat > means.py <<'PYTHON'
import sys

import numba
import numpy as np

options = {"cache": True, "fastmath": sys.argv[1] == "fast", "forceinline": sys.argv[2] == "inlined"}


@numba.njit(**options)
def moving_mean(values, width):
    half = width // 2
    means = np.empty_like(values)
    for place in range(len(values)):
        total = np.float32(0)
        for beside in range(place - half, place + half + 1):
            total += values[min(max(beside, 0), len(values) - 1)]
        means[place] = total / np.float32(width)
    return means


@numba.njit(**options)
def narrow_minus_wide(values):
    return moving_mean(values, np.int64(15)) - moving_mean(values, np.int64(61))


values = np.random.default_rng(1).random(5000).astype(np.float32)
np.save(sys.argv[3], narrow_minus_wide(values))
PYTHON
cat > compare.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np

print(f"numba {version('numba')}, llvmlite {version('llvmlite')}, numpy {version('numpy')}")
differ = {}
for how in ("fast called", "fast inlined", "exact called"):
    first, second, third = (np.load(f"{how.replace(' ', '-')}-{number}.npy") for number in (1, 2, 3))
    differ[how] = int((first != second).sum()), int((second != third).sum())
    print(f"{how}: {differ[how][0]} of {first.size} numbers differ between the process that compiled and the next, by up to "
          f"{np.abs(first - second).max():.1e}; {differ[how][1]} between that and the third")
print("Nothing is raised or warned of. The function called by the other is not inlined; the process that compiled has it twice, optimized "
      "alone and as a part of its caller, and the others have only the second. With forceinline=True or without fastmath all agree.")
right = differ["fast inlined"] == differ["exact called"] == (0, 0)
sys.exit(0 if right and differ["fast called"][0] > 0 and differ["fast called"][1] == 0 else 1)
PYTHON
for how in "fast called" "fast inlined" "exact called"; do
    rm -rf "$folder/cache"
    for number in 1 2 3; do
        # shellcheck disable=SC2086 # two words
        venv/bin/python means.py $how "${how// /-}-$number.npy"
    done
done
venv/bin/python compare.py
