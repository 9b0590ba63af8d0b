#!/usr/bin/env bash
# ophyd-async 0.21.3: an array signal wraps values that its type cannot hold, while a column of a Table with the same type refuses them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check ophyd-async==0.21.3 bluesky==1.15.1 event-model==1.24.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import asyncio
import sys
from importlib.metadata import version

import numpy as np
from ophyd_async.core import Array1D, Table, soft_signal_rw
from pydantic import ValidationError


class Bytes(Table):
    counts: Array1D[np.uint8]


async def set_and_read(kind, value):
    signal = soft_signal_rw(kind, name="signal")
    await signal.connect()
    await signal.set(value)
    got = await signal.get_value()
    return got.tolist() if isinstance(got, np.ndarray) else got


async def main():
    counts = await set_and_read(Array1D[np.uint8], np.array([300, -1, 7]))
    steps = await set_and_read(Array1D[np.int32], np.array([1.7, -1.7, 3e9]))
    whole = await set_and_read(int, 1.9)
    truth = await set_and_read(bool, "False")
    try:
        Bytes(counts=np.array([300, -1, 7]))
        refused = ""
    except ValidationError as error:
        refused = error.errors()[0]["msg"]
    print("ophyd-async", version("ophyd-async"))
    print("set [300, -1, 7] on an array signal of uint8, read", counts)
    print("set [1.7, -1.7, 3e9] on an array signal of int32, read", steps)
    print("set 1.9 on a signal of int, read", whole)
    print("set the text False on a signal of bool, read", truth)
    print("a Table column of uint8 with [300, -1, 7]:", refused or "accepted")
    return counts == [44, 255, 7] and steps[:2] == [1, -1] and steps[2] < 0 and whole == 1 and truth is True and bool(refused)


sys.exit(0 if asyncio.run(main()) else 1)
PYTHON
