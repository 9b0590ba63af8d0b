"""Resources and datums become frames."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from event_model import pack_datum_page, pack_event_page
from ophyd.sim import SynSignalWithRegistry
from support.frames_fixtures import (
    COMPRESSIONS,
    DATA,
    EXTERNAL,
    Documents,
    Hdf5Detector,
    Seen,
    assert_never,
    frames_of,
    inline,
    numbered,
    stored,
    write_file,
)

from bluesky_xtag.errors import FrameNotReady


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("per_point", [1, 3])
def test_scan_with_an_hdf5_file_read_while_it_is_written(RE, tmp_path, pool, compression, per_point):  # noqa: N803
    detector = Hdf5Detector(tmp_path, name="det", per_point=per_point, compression=compression)
    seen = Seen(pool)
    RE(bp.count([detector], 4), seen)
    assert seen.where() == [("det_image", s, i) for s in (1, 2, 3, 4) for i in range(per_point)]
    np.testing.assert_array_equal(seen.pixels(), numbered(4 * per_point))


@pytest.mark.parametrize("spec", ["AD_HDF5", "AD_HDF5_SWMR_STREAM", "AD_HDF5_SWMR_SLICE", "XTAG_HDF5"])
def test_every_spec_of_the_family_is_read_by_our_reader(RE, tmp_path, pool, spec):  # noqa: N803
    seen = Seen(pool)
    RE(bp.count([Hdf5Detector(tmp_path, name="det", spec=spec)], 2), seen)
    np.testing.assert_array_equal(seen.pixels(), numbered(2))


def test_scan_with_a_handler_of_another_package(RE, tmp_path, pool):  # noqa: N803
    count = itertools.count()
    detector = SynSignalWithRegistry(
        func=lambda: numbered(2, first=2 * next(count)), name="img", save_path=str(tmp_path)
    )
    seen = Seen(pool)
    RE(bp.count([detector], 3), seen)
    assert seen.where() == [("img", s, i) for s in (1, 2, 3) for i in (0, 1)]
    assert [image[1, 1] for image in seen.pixels()] == [2, 3, 4, 5, 6, 7]


def test_tiff_files_of_area_detector(tmp_path):
    import tifffile

    for number, image in enumerate(numbered(4)):
        tifffile.imwrite(tmp_path / f"a_{number:06d}.tiff", image)
    frames = stored(
        tmp_path,
        EXTERNAL | {"shape": [2, 24, 32]},
        "AD_TIFF",
        {"point_number": 1},
        template="%s%s_%6.6d.tiff",
        filename="a",
        frame_per_point=2,
    )
    assert [frame.pixels()[1, 1] for frame in frames] == [2, 3]


@pytest.mark.parametrize("spec", ["AD_EIGER", "AD_EIGER2", "AD_EIGER_SLICE"])
def test_eiger_series_over_two_data_files(tmp_path, spec):
    for part in (1, 2):
        images = numbered(2, first=2 * part)
        write_file(tmp_path / f"e_7_data_{part:06d}.h5", images, **COMPRESSIONS["bitshuffle"])
    with h5py.File(tmp_path / "e_7_master.h5", "w") as file:
        for part in (1, 2):
            file[f"/entry/data/data_{part:06d}"] = h5py.ExternalLink(f"e_7_data_{part:06d}.h5", DATA)
    frames = stored(tmp_path / "e", EXTERNAL | {"shape": [4, 24, 32]}, spec, {"seq_id": 7}, images_per_file=2)
    assert [frame.pixels()[1, 1] for frame in frames] == [2, 3, 4, 5]


def test_datum_page_and_event_page(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(5))
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL})
    resource = run.resource(path)
    run.all.append(("resource", resource.resource_doc))
    datums = [resource.compose_datum(datum_kwargs={"point_number": number}) for number in (4, 0, 2)]
    events = [
        bundle.compose_event(data={"det": datum["datum_id"]}, timestamps={"det": 0.0}, filled={"det": False})
        for datum in datums
    ]
    run.all += [("datum_page", pack_datum_page(*datums)), ("event_page", pack_event_page(*events))]
    assert [frame.pixels()[1, 1] for frame in frames_of(run.all)] == [4, 0, 2]


def test_external_key_that_is_filled_already():
    (frame,) = inline(numbered(1)[0], EXTERNAL)
    assert frame.pixels().shape == (24, 32)


def test_resource_without_run_start(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(2))
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL})
    resource = run.resource(path)
    del run.all[-1][1]["run_start"]
    run.event(bundle, {"det": run.datum(resource, point_number=1)}, filled={"det": False})
    assert frames_of(run.all)[0].pixels()[1, 1] == 1


def test_one_staging_for_two_runs(RE, tmp_path, pool):  # noqa: N803
    detector = Hdf5Detector(tmp_path, name="det")

    @bpp.stage_decorator([detector])
    def plan():
        for _ in range(2):
            yield from bpp.run_wrapper(bps.trigger_and_read([detector]))

    seen = Seen(pool)
    RE(plan(), seen)
    np.testing.assert_array_equal(seen.pixels(), numbered(2))


def test_device_read_twice_after_one_trigger(RE, tmp_path, pool):  # noqa: N803
    detector = Hdf5Detector(tmp_path, name="det")

    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([detector])
        yield from bps.create()
        yield from bps.read(detector)
        yield from bps.save()

    seen = Seen(pool)
    RE(plan(), seen)
    assert [image[1, 1] for image in seen.pixels()] == [0, 0]


def test_late_file(tmp_path):
    (frame,) = stored(tmp_path / "late.h5")
    with pytest.raises(FrameNotReady, match="does not exist yet"):
        frame.pixels()
    write_file(tmp_path / "late.h5", numbered(1))
    np.testing.assert_array_equal(frame.pixels(), numbered(1)[0])


def test_late_file_of_a_foreign_handler(tmp_path):
    (frame,) = stored(tmp_path / "late", spec="NPY_SEQ", datum_kwargs={"index": 0})
    with pytest.raises(FrameNotReady, match="late_0.npy"):
        frame.pixels()
    np.save(tmp_path / "late_0.npy", numbered(1)[0])
    np.testing.assert_array_equal(frame.pixels(), numbered(1)[0])


def test_fewer_images_than_declared(tmp_path):
    np.save(tmp_path / "few_0.npy", numbered(2))
    frames = stored(tmp_path / "few", EXTERNAL | {"shape": [3, 24, 32]}, "NPY_SEQ", {"index": 0})
    assert [frame.pixels()[1, 1] for frame in frames[:2]] == [0, 1]
    with pytest.raises(FrameNotReady, match="holds 2 images"):
        frames[2].pixels()


def test_more_images_than_declared_are_reported_once(tmp_path, caplog):
    np.save(tmp_path / "many_0.npy", numbered(4))
    for _ in range(3):
        (frame,) = stored(tmp_path / "many", EXTERNAL, "NPY_SEQ", {"index": 0})
        assert frame.pixels()[1, 1] == 0
    assert ["first 1 of the 4" in record.getMessage() for record in caplog.records] == [True]


def test_frame_per_point_that_contradicts_the_shape_is_named(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(6))
    frames = stored(path, EXTERNAL | {"shape": [3, 24, 32]}, frame_per_point=1)
    assert frames[0].pixels()[1, 1] == 0
    assert_never(frames[1], "frame_per_point")


def test_frame_per_point_tells_the_images_where_the_shape_does_not(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(6))
    frames = stored(path, EXTERNAL, datum_kwargs={"point_number": 1}, frame_per_point=3)
    assert [frame.pixels()[1, 1] for frame in frames] == [3, 4, 5]


def test_unknown_spec_and_unknown_datum_never_come(tmp_path):
    assert_never(stored(tmp_path / "a", spec="NOBODY_KNOWS")[0], "NOBODY_KNOWS.*databroker.handlers")
    run = Documents()
    run.event(run.descriptor({"det": EXTERNAL}), {"det": "gone/0"}, filled={"det": False})
    assert_never(frames_of(run.all)[0], "gone/0")
