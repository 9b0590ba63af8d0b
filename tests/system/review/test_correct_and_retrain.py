"""The circle closes: the packaged model tags, people correct, and what they said evaluates and retrains the model."""

import json
import shutil

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from support.detectors import DATASET, ArrayDetector, FileDetector
from support.exposures import Numbered
from typer.testing import CliRunner

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import FRAMES, open_catalog
from bluesky_xtag.cli import app
from bluesky_xtag.frames import each_frame
from bluesky_xtag.review import correct, export_labels
from bluesky_xtag.search import tags
from bluesky_xtag.simulate import PhotonCounter, motor
from bluesky_xtag.train import adapt_model, score

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*actually has dtype:UserWarning"),  # databroker, of NaN
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),  # Keras, as it saves
]


@pytest.fixture(scope="module")
def model(packaged_model):
    return packaged_model


def ring(seed, holds):
    """A frame of 120 x 100 pixels, flat, with a ring or without."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:120, :100]
    radius = np.hypot(rows - 60 + rng.normal(), columns - 50 + rng.normal())
    return rng.poisson(3 + 40 * holds * np.exp(-((radius - 30) ** 2) / 2)).astype(np.int32)


def scan(RE, seeds, **metadata):
    """Take a run of frames of which the even ones show a ring; return its uid and the frames."""
    frames = [ring(seed, seed % 2 == 0) for seed in seeds]
    left = iter([frames[0], *frames])  # ophyd asks once when it is made
    (uid,) = RE(bp.count([ArrayDetector(lambda: next(left), shape=(120, 100))], len(frames)), **metadata)
    return uid, frames


def test_what_people_said_evaluates_and_retrains_the_model(RE, tag, catalog, model, tmp_path):
    tag(model=model)
    taken = {}
    for sample in ("A", "B", "C"):
        first = 10 * ord(sample)
        uid, frames = scan(RE, range(first, first + 8), sample={"name": sample})
        run = catalog[uid]
        taken |= {(uid, number): frame for number, frame in enumerate(frames, 1)}
        correct(run, [1, 3, 5, 7], add="ring", remove="spots", by="ab")
        correct(run, [2, 4, 6, 8], remove="ring", by="cd", note="flat")
    correct(run, 1, by="ab", confirm=True)
    out = tmp_path / "mine.h5"
    done = export_labels(catalog, out, {uid for uid, _ in taken})  # other tests share the catalogue
    assert (done.frames, done.runs, done.unreadable) == (24, 3, {})

    with h5py.File(out) as file:
        assert list(file.attrs["tags"]) == list(model.taxonomy.names)
        for frame in each_frame(out):
            uid, stream, key, seq_num, index = frame.name.rsplit("_", 4)
            assert (stream, key, index) == ("primary", "det", "0")
            np.testing.assert_array_equal(frame.pixels, taken[uid, int(seq_num)])
            if frame.name == f"{run_uid(run)}_primary_det_1_0":
                assert len(frame.present | frame.absent) == len(model.taxonomy)
            else:  # what nobody spoke of is uncertain, whatever the model said
                expected = ({"ring"}, {"spots"}) if int(seq_num) % 2 else (set(), {"ring"})
                assert (frame.present, frame.absent) == expected
        assert {frame.origin for frame in each_frame(out)} == {"A", "B", "C"}
        assert {file[name].attrs["note"] for name in file} == {"", "flat"}

    figures = tmp_path / "figures.json"
    asked = CliRunner().invoke(app, ["evaluate", str(out), "--json", str(figures)])
    assert asked.exit_code == 0, asked.output
    told = json.loads(figures.read_text())
    assert told["frames"] == 24 and told["tags"]["ring"]["positives"] == 12
    scored, live = score(model, out), tags(run)
    last = [position for position, name in enumerate(scored.frames) if name.startswith(run_uid(run))]
    column = scored.tags.index("ring")
    np.testing.assert_allclose(scored.scores[last, column], live["xtag_p_ring"], atol=1e-5)

    adaptation = adapt_model(model, out, tmp_path / "adapted", simulated=0)
    assert adaptation.sources == {"A": 8, "B": 8, "C": 8}
    assert next(row for row in adaptation.tags if row.tag == "ring").positives == 12


def test_the_detectors_own_mask_travels_with_the_labels(RE, tag, catalog, model, tmp_path):
    """Bright pixels below the `pixel_mask` of the file: the exported frame has the scores that the frame had live."""
    hidden = np.zeros((120, 100), bool)
    hidden[20:50, 10:80] = True

    def write(path, number):
        with h5py.File(path, "w") as file:
            file[DATASET] = np.where(hidden, 3000, ring(number, True))[None]
            file["entry/instrument/detector/pixel_mask"] = 4 * hidden.astype(np.uint32)

    tag(model=model, deadline=60)
    (uid,) = RE(bp.count([FileDetector(tmp_path, write, shape=(120, 100))], 3))
    correct(catalog[uid], [1, 2, 3], add="ring", by="ab")
    out = tmp_path / "mine.h5"
    export_labels(catalog, out, uid)
    frames = list(each_frame(out))
    assert len(frames) == 3
    for frame in frames:
        np.testing.assert_array_equal(frame.mask, hidden)
        assert (frame.pixels[hidden] == 3000).all()  # what the detector wrote there is kept
    live, scored = tags(catalog[uid]), score(model, out)
    for number, name in enumerate(scored.tags):
        np.testing.assert_allclose(scored.scores[:, number], live[f"xtag_p_{name}"], atol=1e-6)
    bare = model.predict([frame.pixels for frame in frames], [None] * 3, [None] * 3)
    assert np.abs(bare - live[[f"xtag_p_{name}" for name in model.taxonomy.names]].to_numpy()).max() > 0.1


def run_uid(run):
    return run.start["uid"] if hasattr(type(run), "table") else run.metadata["start"]["uid"]


def test_files_that_are_gone_are_left_out_and_named(RE, tag, tmp_path):
    catalog = open_catalog(tmp_path)
    RE.subscribe(TiledWriter(catalog))
    tag()
    x, y = motor("x"), motor("y")
    det = PhotonCounter(name="det", exposures=Numbered(), x=x, y=y, directory=tmp_path / FRAMES, exposure=0.0)
    (kept,) = RE(bp.scan([det], x, 1, 2, 2))
    (lost,) = RE(bp.scan([det], x, 1, 2, 2))
    for uid in (kept, lost):
        correct(catalog[uid], 2, add="ring", by="ab")
    files = sorted((tmp_path / FRAMES).rglob("*.h5"), key=lambda path: path.stat().st_mtime_ns)
    shutil.move(files[-1], tmp_path / "elsewhere.h5")
    out = tmp_path / "mine.h5"

    asked = CliRunner().invoke(app, ["export-labels", str(tmp_path), str(out)])
    assert asked.exit_code == 0, asked.output
    assert f"{out}: 1 frames of 1 runs, 1 labels" in asked.stdout
    assert f"left out: run {lost}, det_image, point 2, image 0: " in asked.stdout
    (frame,) = each_frame(out)
    assert frame.beam_centre == (4.5, 6.0) and frame.pixels.dtype == np.int32
    assert (frame.pixels.ravel()[1:] == 2).all() and frame.pixels[0, 0] == -1
    assert frame.origin == f"run {kept}"

    with pytest.raises(XTagValueError, match="none of the 1 corrected frames can be read"):
        export_labels(catalog, tmp_path / "other.h5", lost)
    assert not (tmp_path / "other.h5").exists()
    again = CliRunner().invoke(app, ["export-labels", str(tmp_path), str(out)])
    assert again.exit_code == 2 and f"{out} exists" in again.output
    catalog.context.close()
