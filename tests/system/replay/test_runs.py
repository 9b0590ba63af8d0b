"""A replayed run has the tags that it had live, bit for bit, however its frames were stored."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import motor
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, TriggerInfo, init_devices
from ophyd_async.sim import SimBlobDetector
from support.detectors import DATASET, ArrayDetector, FileDetector, numbered
from support.exposures import Numbered
from support.frames_fixtures import Hdf5Detector
from support.models import CountsModel

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import as_catalog, as_run
from bluesky_xtag.replay import replay
from bluesky_xtag.search import tags
from bluesky_xtag.search.tagged_runs import derived_runs
from bluesky_xtag.simulate import PhotonCounter
from bluesky_xtag.simulate import motor as sample_motor

LATENCY_AND_UIDS = ["time", "xtag_latency", "xtag_frame_event"]  # Tiled does not keep the uids of events


@pytest.fixture(scope="session")
def model(packaged_model):
    """The packaged model: what is said of bits must be true of a real network."""
    return packaged_model


@pytest.fixture
def broker():
    import databroker

    return databroker.Broker.named("temp")


@pytest.fixture
def tiled(tiled_sqlite_catalog):
    return tiled_sqlite_catalog


@pytest.fixture
def catalog(request):
    """The embedded catalogue, or a databroker where a test asks for both."""
    return request.getfixturevalue(getattr(request, "param", "tiled"))


on_both = pytest.mark.parametrize("catalog", ["tiled", "broker"], indirect=True)


@pytest.fixture
def taken(RE, tag, catalog, model):
    """Take a run, tagged live, into the catalogue; return it."""

    def taken(plan, **arguments):
        tag(**{"model": model, "deadline": 60, **arguments})
        token = RE.subscribe(catalog.v1.insert if hasattr(type(catalog), "insert") else TiledWriter(catalog))
        (uid,) = RE(plan)
        RE.unsubscribe(token)
        return catalog[uid]

    return taken


def noise(shape, dtype="int32", seed=1):
    """A source of images that differ, so that their scores do."""
    rng = np.random.default_rng(seed)
    return lambda: rng.poisson(rng.uniform(0, 30), shape).astype(dtype)


def assert_same(live, replayed):
    """The same frames with the same outcome, to the last bit."""
    live, replayed = (table.drop(columns=LATENCY_AND_UIDS) for table in (live, replayed))
    assert list(live.columns) == list(replayed.columns)
    order = ["xtag_frame_key", "xtag_frame_seq_num", "xtag_frame_index"]
    live, replayed = (table.sort_values(order).reset_index(drop=True) for table in (live, replayed))
    assert live.equals(replayed), live.compare(replayed)


def check(catalog, run, model, tmp_path, frames):
    start = run.start if hasattr(type(run), "table") else run.metadata["start"]
    live = tags(run, "own")
    (row,) = replay(catalog, start["uid"], model=model, work=tmp_path / "work").to_dict("records")
    assert (row["outcome"], row["frames"], row["ok"]) == ("tagged", frames, frames)
    assert_same(live, tags(run, catalog=catalog))
    assert not list((tmp_path / "work").iterdir())
    return catalog[row["derived"]]


@on_both
def test_arrays_in_events(taken, catalog, model, tmp_path):
    run = taken(bp.scan([ArrayDetector(noise((64, 48)), shape=(64, 48))], motor, 0, 1, 5))
    derived = check(catalog, run, model, tmp_path, 5)
    start = derived.start if hasattr(type(derived), "table") else derived.metadata["start"]
    assert start["purpose"] == "tags" and start["original_run_uid"] != start["uid"]
    summary = start["xtag"]
    assert (summary["source"], summary["derived"], summary["frames"], summary["failed"]) == ("replay", True, 5, 0)
    assert (summary["model"], summary["model_sha256"]) == (model.name, model.sha256)


def test_many_images_an_event(taken, catalog, model, tmp_path):
    run = taken(bp.count([ArrayDetector(noise((3, 32, 32)), shape=(3, 32, 32))], 2))
    check(catalog, run, model, tmp_path, 6)


@on_both
def test_resource_and_datum_a_file_a_frame(taken, catalog, model, tmp_path):
    images = noise((1, 32, 32))

    def write(path, number):
        with h5py.File(path, "w", libver="latest") as file:
            file.create_dataset(DATASET, data=images())

    check(catalog, taken(bp.count([FileDetector(tmp_path, write)], 4)), model, tmp_path, 4)


@on_both
def test_resource_and_datum_many_frames_a_file_and_an_event(taken, catalog, model, tmp_path):
    run = taken(bp.count([Hdf5Detector(tmp_path, name="hd", per_point=2)], 3))
    check(catalog, run, model, tmp_path, 6)


def test_a_beam_centre_that_each_event_tells(taken, catalog, model, tmp_path):
    class Wandering(Numbered):
        fixed_beam = False

        def beam_centre(self, x, y):
            return (2.0 + x, 6.0)

        def expose(self, x, y, seconds):
            return np.random.default_rng(round(x)).poisson(5, self.shape).astype(self.dtype)

    x, y = sample_motor("x", delay=0), sample_motor("y", delay=0)
    det = PhotonCounter(name="det", exposures=Wandering(), x=x, y=y, directory=tmp_path / "frames", exposure=0.0)
    check(catalog, taken(bp.scan([det], x, 1, 3, 3)), model, tmp_path, 3)


@pytest.fixture
def blob(RE, tmp_path):
    with init_devices():
        blob = SimBlobDetector(StaticPathProvider(StaticFilenameProvider("frames"), tmp_path), name="blob")
    return blob


@bpp.run_decorator()
def flight(det, frames):
    yield from bps.prepare(det, TriggerInfo(number_of_events=frames, livetime=0.01, deadtime=0.005), wait=True)
    yield from bps.declare_stream(det, name="primary", collect=True)
    yield from bps.kickoff(det, wait=True)
    yield from bps.collect_while_completing([det], [det], flush_period=0.1, stream_name="primary")


def test_stream_datum_in_a_step_scan(taken, model, tmp_path, blob, catalog):
    check(catalog, taken(bp.count([blob], 3)), model, tmp_path, 3)


def test_a_fly_scan(taken, model, tmp_path, blob, catalog):
    check(catalog, taken(bpp.stage_wrapper(flight(blob, 20), [blob])), model, tmp_path, 20)


@on_both
def test_files_that_are_gone_or_torn_give_unreadable_rows(taken, catalog, model, tmp_path):
    run = taken(bp.count([FileDetector(tmp_path)], 3), model=CountsModel())
    (tmp_path / "det_1.h5").unlink()
    whole = (tmp_path / "det_2.h5").read_bytes()
    (tmp_path / "det_2.h5").write_bytes(whole[: len(whole) // 2])
    uid = run.start["uid"]
    (row,) = replay(catalog, uid, model=model, work=tmp_path / "work").to_dict("records")
    assert (row["frames"], row["ok"], row["unreadable"]) == (3, 1, 2)
    assert list(tags(run, catalog=catalog)["xtag_status"]) == ["unreadable", "unreadable", "ok"]

    (tmp_path / "det_2.h5").write_bytes(whole)
    (before,) = replay(catalog, uid, model=model, work=tmp_path / "work")["outcome"]
    assert before == "tagged before"
    (again,) = replay(catalog, uid, model=model, work=tmp_path / "work", again=True).to_dict("records")
    assert (again["ok"], again["unreadable"]) == (2, 1)
    assert len(derived_runs(as_run(run), as_catalog(catalog), source="replay")) == 2


@on_both
@pytest.mark.parametrize("options", [{}, {"chunks": (1, 32, 32), "compression": "lzf"}])
def test_the_detectors_own_mask_stays_with_the_frames(taken, catalog, model, tmp_path, options):
    images, hidden = noise((1, 32, 32)), np.zeros((32, 32), np.uint32)
    hidden[4:12, 3:30] = 8

    def write(path, number):
        with h5py.File(path, "w") as file:
            file.create_dataset(DATASET, data=np.where(hidden, 20_000, images()), **options)
            file["entry/instrument/detector/pixel_mask"] = hidden

    run = taken(bp.count([FileDetector(tmp_path, write, shape=(32, 32))], 3))
    check(catalog, run, model, tmp_path, 3)
    frames = list(as_run(run).frames())
    assert all((np.ma.getmaskarray(frame.pixels()) == (hidden > 0)).all() for frame in frames)


@on_both
def test_a_run_whose_files_moved_is_replayed_from_where_they_are(taken, catalog, model, tmp_path):
    (tmp_path / "old").mkdir()
    run = taken(bp.count([FileDetector(tmp_path / "old")], 3), model=model)
    (tmp_path / "old").rename(tmp_path / "new")
    arguments = {"model": model, "work": tmp_path / "work"}
    uid = run.start["uid"]
    (row,) = replay(catalog, uid, **arguments).to_dict("records")
    assert (row["ok"], row["unreadable"]) == (0, 3)
    roots = {str(tmp_path / "old"): str(tmp_path / "new")}
    (row,) = replay(catalog, uid, **arguments, again=True, root_map=roots).to_dict("records")
    assert (row["ok"], row["unreadable"]) == (3, 0)
    assert_same(tags(run, "own"), tags(catalog[row["derived"]]))


def test_earlier_taggings_stay_and_each_model_is_found(taken, catalog, model, tmp_path):
    run = taken(bp.count([ArrayDetector(numbered())], 2), model=CountsModel())
    live = tags(run, "own")
    replay(catalog, run.start["uid"], model=model, work=tmp_path)
    assert tags(run, "own").equals(live)
    assert tags(run, "counts", catalog=catalog).equals(live)
    assert f"xtag_p_{model.taxonomy.names[3]}" in tags(run, model, catalog=catalog)


def test_the_outcome_of_a_run_that_fails_holds_no_secret(taken, catalog, tmp_path, caplog):
    run = taken(bp.count([ArrayDetector(numbered())], 2), model=CountsModel())

    def watch(*progress):
        raise RuntimeError("https://me:hunter22@example.org?api_key=hunter22 refused")

    (outcome,) = replay(catalog, run.start["uid"], model=CountsModel(), work=tmp_path, watch=watch)["outcome"]
    assert outcome.startswith("failed: RuntimeError: https://***@") and "hunter22" not in outcome


def test_runs_without_images_and_derived_runs_are_left_out(taken, catalog, tmp_path):
    from ophyd.sim import det1 as counter

    run = taken(bp.count([counter], 2), model=CountsModel())
    table = replay(catalog, [run.start["uid"]], model=CountsModel(), work=tmp_path)
    assert list(table["outcome"]) == ["no images"]
    assert derived_runs(as_run(run), as_catalog(catalog)) == []


def test_runs_are_chosen_by_uid_scan_id_position_and_condition(RE, taken, catalog, tmp_path):
    RE.md["sample"] = {"name": f"gold {tmp_path.name}"}
    runs = [taken(bp.count([ArrayDetector(numbered())], 1), model=CountsModel()) for _ in range(2)]
    uids = [run.start["uid"] for run in runs]

    def chosen(*wanted):
        return list(replay(catalog, wanted, model=CountsModel(), work=tmp_path)["run"])

    assert chosen(uids[0]) == uids[:1]
    assert chosen(runs[1]) == uids[1:]
    assert chosen(uids[1][:8]) == uids[1:]
    assert chosen(f"sample.name=gold {tmp_path.name}") == uids
    assert chosen(f"sample.name=gold {tmp_path.name}", f"time>={runs[1].start['time']}") == uids[1:]
    assert chosen(runs[1].start["scan_id"])[-1:] == uids[1:]
    with pytest.raises(XTagValueError, match="no run 'nowhere'.*give a uid"):
        chosen("nowhere")
