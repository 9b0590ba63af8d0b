#!/usr/bin/env bash
# The lossy filters of hdf5plugin 7.1.0 (SZ, SZ3, ZFP, SPERR) take big-endian floats for native ones: frames come back as noise or as zeros.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check hdf5plugin==7.1.0 h5py==3.14.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import h5py
import hdf5plugin
import numpy as np

counts = np.random.default_rng(0).poisson(20, (128, 128))
filters = {
    "SZ(absolute=0.5)": hdf5plugin.SZ(absolute=0.5),
    "SZ3(absolute=0.5)": hdf5plugin.SZ3(absolute=0.5),
    "Zfp(accuracy=0.5)": hdf5plugin.Zfp(accuracy=0.5),
    "Sperr(absolute=0.5)": hdf5plugin.Sperr(absolute=0.5),
    "Bitshuffle(), lossless": hdf5plugin.Bitshuffle(),
}
largest = {}
for name, packing in filters.items():
    for kind in ("<f4", ">f4"):
        frame = counts.astype(kind)
        with h5py.File("frame.h5", "w") as file:
            file.create_dataset("frame", data=frame, chunks=frame.shape, compression=packing)
        with h5py.File("frame.h5") as file:
            read = file["frame"][()]
        largest[name, kind] = float(np.abs(read.astype(float) - counts).max())
        print(f"{name} on {kind}: {frame[0, :3].tolist()} comes back as {read[0, :3].tolist()}, largest error {largest[name, kind]:.3g}")

print(f"hdf5plugin {hdf5plugin.version}, machine byte order: {sys.byteorder}. The asked bound is 0.5, and nothing is raised.")
native = all(error <= 0.5 for (_, kind), error in largest.items() if kind == "<f4")
swapped = all(error > 10 for (name, kind), error in largest.items() if kind == ">f4" and "lossless" not in name)
sys.exit(0 if native and swapped and largest["Bitshuffle(), lossless", ">f4"] == 0 else 1)
PYTHON
