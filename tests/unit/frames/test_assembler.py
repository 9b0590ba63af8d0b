"""Runs, interleaved and ended, and any mix of documents: one frame for each image, in order."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from event_model import NumpyEncoder, pack_datum_page, pack_event_page
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.frames_fixtures import (
    EXTERNAL,
    IMAGE,
    STREAMED,
    Documents,
    Hdf5Detector,
    Seen,
    frames_of,
    numbered,
    write_file,
)

from bluesky_xtag.frames import FrameAssembler


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_interleaved_runs(RE, tmp_path, pool):  # noqa: N803
    left, right = (Hdf5Detector(tmp_path, name=name) for name in ("left", "right"))

    def one(detector, key):
        return bpp.set_run_key_wrapper(bps.trigger_and_read([detector]), key)

    @bpp.stage_decorator([left, right])
    def plan():
        for key in ("a", "b"):
            yield from bpp.set_run_key_wrapper(bps.open_run(), key)
        for _ in range(3):
            yield from one(left, "a")
            yield from one(right, "b")
        for key in ("a", "b"):
            yield from bpp.set_run_key_wrapper(bps.close_run(), key)

    seen = Seen(pool)
    runs = RE(plan(), seen)
    assert [(f.id.run, f.id.key, f.id.seq_num) for f in seen.frames] == [
        (run, f"{name}_image", s) for s in (1, 2, 3) for run, name in zip(runs, ("left", "right"), strict=True)
    ]
    assert [image[1, 1] for image in seen.pixels()] == [0, 0, 1, 1, 2, 2]


def state(assembler):
    """Return all that an assembler holds."""
    return {name: value for name, value in vars(assembler).items() if isinstance(value, dict) and value}


def test_state_goes_with_the_run_and_frames_stay_readable(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(3))
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL, "streamed": STREAMED})
    resource = run.resource(path)
    unused = run.datum(resource, point_number=2)
    run.event(bundle, {"det": run.datum(resource, point_number=1)}, filled={"det": False})
    run.stream_datum(run.stream_resource(path.as_uri(), key="streamed"), bundle, 0, 1)
    run.stop()
    for end in ("stop", "forget"):
        assembler = FrameAssembler()
        frames = [frame for name, doc in run.all[:-1] for frame in assembler(name, doc)]
        assert unused in str(state(assembler))
        assembler("stop", run.all[-1][1]) if end == "stop" else assembler.forget(run.uid)
        assert state(assembler).keys() <= {"_resources", "_used"}, "the newest few of these are kept"
        assert [frame.pixels()[1, 1] for frame in frames] == [1, 0]
    FrameAssembler().forget("never heard of it")


def test_used_documents_do_not_pile_up(tmp_path):
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL}, name="dark")
    assembler = FrameAssembler()
    for name, doc in run.all:
        assembler(name, doc)
    for point in range(1000):
        resource = run.resource(tmp_path / f"{point}.h5")
        datum = resource.compose_datum(datum_kwargs={"point_number": 0}, validate=False)
        event = bundle.compose_event(
            data={"det": datum["datum_id"]}, timestamps={"det": 0.0}, filled={"det": False}, validate=False
        )
        for name, doc in (("resource", resource.resource_doc), ("datum", datum), ("event", event)):
            assembler(name, doc)
    assert max(len(held) for held in state(assembler).values()) <= 256


def test_documents_of_a_run_joined_late_are_no_error():
    run = Documents()
    run.event(run.descriptor({"det": IMAGE}), {"det": numbered(1)[0]})
    run.stop()
    assert len(frames_of(run.all[1:])) == 1
    assert frames_of(run.all[2:]) == []


FLAVOURS = ("event", "event_page", "datum", "datum_page", "stream", "json")


@pytest.fixture(scope="module")
def many_images(tmp_path_factory):
    return write_file(tmp_path_factory.mktemp("many") / "a.h5", numbered(64, (10, 12)))


@st.composite
def runs(draw):
    """A few runs, each a list of (flavour, images per event, number of events), and the order that interleaves them."""
    step = st.tuples(st.sampled_from(FLAVOURS), st.integers(1, 3), st.integers(1, 3))
    steps = draw(st.lists(st.lists(step, max_size=4), min_size=1, max_size=3))
    return steps, draw(st.randoms(use_true_random=False))


def run_of(steps, path):
    """Return the documents of a run, and (key, seq_num, index, number shown) of each of its images."""
    run = Documents()
    run.resource(path)
    taken = itertools.count()
    expected = []
    bundles, resources, seq_nums = {}, {}, {}
    for flavour, images, events in steps:
        name = f"{flavour}_{images}"
        external = {"datum": "FILESTORE:", "datum_page": "FILESTORE:", "stream": "STREAM:"}.get(flavour)
        if name not in bundles:
            data_key = {"shape": [images, 10, 12], "dtype_numpy": "<u2"} | ({"external": external} if external else {})
            bundles[name] = run.descriptor({name: data_key}, name=name)
            if external == "FILESTORE:":
                resources[name] = run.resource(path, frame_per_point=images)
            elif external:
                resources[name] = run.stream_resource(path.as_uri(), key=name)
            resources[name, "used"] = 0
        bundle, used = bundles[name], resources[name, "used"]
        resources[name, "used"] += events
        first = seq_nums.get(name, 1)
        seq_nums[name] = first + events
        starts = [images * (used + n) for n in range(events)] if external else [next(taken) for _ in range(events)]
        expected += [
            (name, first + n, index, start + index) for n, start in enumerate(starts) for index in range(images)
        ]
        if flavour == "stream":
            run.stream_datum(resources[name], bundle, used, used + events, first)
            continue
        values = [numbered(images, (10, 12), first=start) for start in starts]
        if external:
            datums = [resources[name].compose_datum(datum_kwargs={"point_number": used + n}) for n in range(events)]
            documents = (
                [("datum_page", pack_datum_page(*datums))] if "page" in flavour else [("datum", d) for d in datums]
            )
            run.all += documents
            values = [datum["datum_id"] for datum in datums]
        filled = {name: False} if external else {}
        composed = [bundle.compose_event(data={name: value}, timestamps={name: 0.0}, filled=filled) for value in values]
        if "page" in flavour:
            run.all.append(("event_page", pack_event_page(*composed)))
        elif flavour == "json":
            run.all += [("event", json.loads(json.dumps(event, cls=NumpyEncoder))) for event in composed]
        else:
            run.all += [("event", event) for event in composed]
    run.stop()
    return run, expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs())
def test_any_mix_of_documents_gives_one_frame_per_image_in_order(many_images, drawn):
    steps, random = drawn
    made = [run_of(run_steps, many_images) for run_steps in steps]
    waiting = [list(run.all) for run, _ in made]
    assembler = FrameAssembler()
    frames = []
    while any(waiting):
        name, doc = random.choice([documents for documents in waiting if documents]).pop(0)
        frames += assembler(name, doc)
    for run, expected in made:
        mine = [frame for frame in frames if frame.id.run == run.uid]
        assert [(f.id.key, f.id.seq_num, f.id.index, int(f.pixels()[1, 1])) for f in mine] == expected
    assert len(frames) == sum(len(expected) for _, expected in made)


def words(caplog):
    return [
        (record.levelname, record.getMessage()) for record in caplog.records if "are not taken" in record.getMessage()
    ]


def run_with(keys, streams=("primary",)):
    """The documents of a run whose streams have arrays of these shapes, two events each."""
    run = Documents()
    for name in streams:
        bundle = run.descriptor({key: {"shape": list(shape)} for key, shape in keys.items()}, name=name)
        for _ in range(2):
            run.event(bundle, {key: np.ones(shape) for key, shape in keys.items()})
    run.stop()
    return run


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        ({"mca": (4, 2048), "det": (24, 32)}, "INFO"),
        ({"mca": (4, 2048)}, "WARNING"),
        ({"mca": (2048,), "roi": (3, 3)}, "WARNING"),
    ],
)
def test_arrays_that_are_passed_over_are_said_once_a_run(caplog, keys, level):
    caplog.set_level("INFO")
    run = run_with(keys, streams=("primary", "fly"))
    frames = frames_of(run.all)
    assert {frame.id.key for frame in frames} == {"det"} & set(keys)
    ((found, told),) = words(caplog)
    assert found == level and run.uid in told and "name it: key=" in told
    assert all(f"{key} {list(shape)}" in told for key, shape in keys.items() if key != "det")
    assert "det [24, 32]" not in told


def test_each_run_has_its_line_and_named_keys_need_none(caplog):
    caplog.set_level("INFO")
    first, second = run_with({"mca": (4, 2048), "det": (24, 32)}), run_with({"mca": (4, 2048), "det": (24, 32)})
    frames_of([*first.all, *second.all])
    assert [uid in told for (_, told), uid in zip(words(caplog), (first.uid, second.uid), strict=True)] == [True, True]
    caplog.clear()
    assert len(frames_of(first.all, key="mca")) == 2
    frames_of(run_with({"det": (24, 32)}).all)
    assert words(caplog) == []


def test_of_streams_that_are_left_out_nothing_is_said(caplog):
    caplog.set_level("INFO")
    frames_of(run_with({"mca": (4, 2048)}, streams=("darks", "baseline")).all)
    assert words(caplog) == []


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/old/mount", "2019/a.h5"),
        ("/old/mount/2019", "a.h5"),
        ("", "/old/mount/2019/a.h5"),
        ("X:\\data", "2019\\a.h5"),
        ("x:/data/", "2019/a.h5"),
    ],
)
def test_resources_are_found_where_their_root_is_now(tmp_path, root, path):
    (tmp_path / "2019").mkdir()
    write_file(tmp_path / "2019" / "a.h5", numbered(2))
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL})
    resource = run.resource(tmp_path / "a.h5")
    resource.resource_doc.update(root=root, resource_path=path)
    run.event(bundle, {"det": run.datum(resource, point_number=1)}, filled={"det": False})
    assemble = FrameAssembler(root_map={"/old/mount": str(tmp_path), "X:\\data": str(tmp_path)})
    (frame,) = [frame for name, doc in run.all for frame in assemble(name, doc)]
    assert frame.pixels()[1, 1] == 1


@pytest.mark.parametrize(
    "uri",
    [
        "file://localhost/old/mount/2019/a%20b.h5",
        "file:///old/mount/2019/a%20b.h5",
        "/old/mount/2019/a b.h5",
        "file://localhost/X:/data/2019/a%20b.h5",
        "file:///x:/data/2019/a%20b.h5",
    ],
)
def test_stream_resources_are_found_where_their_root_is_now(tmp_path, uri):
    (tmp_path / "2019").mkdir()
    write_file(tmp_path / "2019" / "a b.h5", numbered(2))
    run = Documents()
    bundle = run.descriptor({"det": STREAMED})
    run.stream_datum(run.stream_resource(uri), bundle, 1, 2)
    assemble = FrameAssembler(root_map={"/old/mount": str(tmp_path), "X:/data": str(tmp_path)})
    (frame,) = [frame for name, doc in run.all for frame in assemble(name, doc)]
    assert frame.pixels()[1, 1] == 1
