"""The RunEngine, and where its documents go.

A facility would open its own Tiled server here, or call `nslsii.configure_base`; the files after this one
would stay as they are.
"""

import os
from pathlib import Path

import bluesky.plan_stubs as bps  # noqa: F401 (for the prompt)
import bluesky.plans as bp  # noqa: F401 (for the prompt)
from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.plans import count, grid_scan, list_scan, scan  # noqa: F401 (the Queue Server offers plans by name)

from bluesky_xtag.catalog import FRAMES, next_scan_id, open_catalog, tiled_writer

catalog_directory = Path(os.environ.get("XTAG_CATALOG", "xtag-demo")).resolve()
print(f"Opening the catalogue {catalog_directory} (Tiled in this process; some seconds) ...")
catalog = open_catalog(catalog_directory)
frames_directory = catalog_directory / FRAMES  # detectors write here, so that the catalogue may read it

RE = RunEngine({}, scan_id_source=next_scan_id(catalog))  # other sessions on this catalogue count with it
RE.subscribe(tiled_writer(catalog))

bec = BestEffortCallback()
bec.disable_plots()
bec.disable_table()  # the table of tags shows the points
RE.subscribe(bec)
