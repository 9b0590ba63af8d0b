import os
import subprocess
import sys

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from support.exposures import Numbered

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import FRAMES, last_scan_id, open_catalog
from bluesky_xtag.simulate import PhotonCounter, motor


@pytest.fixture
def record(RE, tmp_path):  # noqa: N803
    """Run a plan of a simulated beamline into a catalogue and return the run's uid."""
    x, y = motor("x"), motor("y")
    det = PhotonCounter(name="det", exposures=Numbered(), x=x, y=y, directory=tmp_path / FRAMES, exposure=0.0)

    def record(catalog, plan):
        RE.md["scan_id"] = last_scan_id(catalog)
        token = RE.subscribe(TiledWriter(catalog))
        (uid,) = RE(plan(det, x))
        RE.unsubscribe(token)
        return uid

    return record


def test_a_reopened_directory_holds_earlier_runs_with_their_images_and_goes_on_counting(tmp_path, record):
    catalog = open_catalog(tmp_path)
    assert last_scan_id(catalog) == 0
    first = record(catalog, lambda det, x: bp.scan([det], x, 1, 3, 3))
    catalog.context.close()

    catalog = open_catalog(tmp_path)
    second = record(catalog, lambda det, x: bp.count([det]))
    assert list(catalog) == [first, second]
    assert last_scan_id(catalog) == 2
    assert catalog[1].metadata["start"]["uid"] == first
    assert catalog[-1].metadata["start"]["uid"] == second

    images = catalog[first]["primary"]["det_image"]
    assert images.shape == (3, 1, *Numbered.shape)
    assert images.dtype == np.int32
    assert [int(images[index].max()) for index in range(3)] == [1, 2, 3]
    assert int(images[:].min()) == -1
    catalog.context.close()


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(XTagValueError, match=f"{file}.*name one that you may write to"):
        open_catalog(file)


def test_tensorflow_before_sqlite_is_named_as_the_cause(tmp_path):
    code = "import tensorflow; from bluesky_xtag.catalog import open_catalog; open_catalog('catalog')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "import sqlite3 or bluesky_xtag.catalog before TensorFlow" in done.stderr
