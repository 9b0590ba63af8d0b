#!/usr/bin/env bash
# bluesky-tiled-plugins 2.0.12: one array of another length loses all columns of its stream, and the stop document of its run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check bluesky-tiled-plugins==2.0.12 "tiled[server,client]==0.2.20" \
    event-model==1.24.0 bluesky==1.15.1 numpy==2.4.6 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import logging
import pathlib
import sys
from importlib.metadata import version

import numpy as np
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from tiled.catalog import in_memory
from tiled.client import Context, from_context
from tiled.server.app import build_app

logging.disable(logging.CRITICAL)
here = pathlib.Path.cwd()
storage = [(here / "arrays").as_uri().replace("file:///", "file://localhost/"), f"sqlite:///{here}/tables.db"]
tree = in_memory(writable_storage=storage, specs=[{"name": "CatalogOfBlueskyRuns", "version": "3.0"}])


def store(catalog, spectra):
    run = compose_run()
    keys = {
        "spectrum": {"source": "sim", "dtype": "array", "shape": [20], "dtype_numpy": "<f8"},
        "temperature": {"source": "sim", "dtype": "number", "shape": [], "dtype_numpy": "<f8"},
    }
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    write = TiledWriter(catalog)
    write("start", run.start_doc)
    write("descriptor", stream.descriptor_doc)
    for number, spectrum in enumerate(spectra):
        data = {"spectrum": spectrum, "temperature": 20.0 + number}
        write("event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0)))
    error = None
    try:
        write("stop", run.compose_stop())
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    stored = catalog[run.start_doc["uid"]]
    table = stored["primary"].read()
    temperatures = table["temperature"].values.tolist() if "temperature" in table else []
    return error, bool(stored.metadata.get("stop")), temperatures


with Context.from_app(build_app(tree)) as context:
    catalog = from_context(context)
    even = store(catalog, [np.arange(20.0), np.arange(20.0), np.arange(20.0)])
    ragged = store(catalog, [np.arange(20.0), np.arange(20.0), np.arange(18.0)])

print("bluesky-tiled-plugins", version("bluesky-tiled-plugins"), "and tiled", version("tiled"))
for name, (error, stopped, temperatures) in {"three spectra of 20 numbers": even, "the third one has 18 numbers": ragged}.items():
    print(f"{name}: temperatures in the catalogue {temperatures}, stop document there: {stopped}; at the stop document: {error or 'no error'}")
print("No event was refused when it came. The error comes with the stop document, when the scan is over.")
described = even == (None, True, [20.0, 21.0, 22.0]) and ragged[0] is not None and ragged[1:] == (False, [])
sys.exit(0 if described else 1)
PYTHON
