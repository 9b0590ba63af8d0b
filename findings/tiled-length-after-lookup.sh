#!/usr/bin/env bash
# tiled 0.2.20: after a lookup by key in the results of a search, their len() is 1 for a second, however many there are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check "tiled[all]==0.2.20" numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON' 2>"$folder/log" || { cat "$folder/log"; exit 1; }
import sys
import time
from importlib.metadata import version

import numpy as np
from tiled.catalog import in_memory
from tiled.client import Context, from_context
from tiled.queries import Key
from tiled.server.app import build_app

with Context.from_app(build_app(in_memory(writable_storage="storage"))) as context:
    client = from_context(context)
    for number in range(5):
        sample = "iron" if number == 4 else "gold"
        client.write_array(np.zeros(3), key=f"frame{number}", metadata={"sample": sample})
    found = client.search(Key("sample") == "gold")
    before = len(found)
    found["frame2"]
    after = len(found)
    listed = len(list(found.new_variation()))
    time.sleep(1.5)
    later = len(found)
    others = from_context(context)
    count = len(client)
    others.write_array(np.zeros(3), key="frame5")
    stale = len(client)

print(f"tiled {version('tiled')}: a search finds {before} arrays, and listing them gives {listed}.")
print(f"Right after one of them was looked up by its key, len() of the results is {after}; after 1.5 s it is {later}.")
print(f"When another client has stored one more, len() of a catalogue with {count} still is {stale}, for a second.")
sys.exit((before, after, listed, later, count, stale) != (4, 1, 4, 4, 5, 5))
PYTHON
