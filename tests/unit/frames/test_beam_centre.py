"""The beam centre that the documents carry."""

import bluesky.plans as bp
import pytest
from ophyd import Component, Device, Signal
from support.frames_fixtures import IMAGE, STREAMED, Documents, Hdf5Detector, Seen, frames_of, numbered

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.frames import FrameSelection
from bluesky_xtag.frames.beam_centre import find_beam_centre


def centre(data_keys=(), configuration=None, metadata=None, event=None, image="pil_image", **arguments):
    """Return the beam centre of a detector `pil` beside a detector `eig`, from what the documents say."""
    run = Documents(**(metadata or {}))
    scalars = {key: {"dtype": "number", "shape": []} for key in event or {}}
    owner = {"pil": ["pil_image"], "eig": ["eig_image"]}
    for key in scalars:
        owner.setdefault(key.split("_")[0], []).append(key)
    bundle = run.descriptor(
        {"pil_image": IMAGE, "eig_image": IMAGE} | scalars, owner=owner, configuration=configuration
    )
    run.event(bundle, {"pil_image": numbered(1)[0], "eig_image": numbered(1)[0]} | (event or {}))
    return next(frame.beam_centre for frame in frames_of(run.all, **arguments) if frame.id.key == image)


@pytest.mark.parametrize("prefix", ["", "cam_", "pil_", "pil_cam_", "pil-driver-", "pil_image_"])
@pytest.mark.parametrize("word", ["beam_center", "beam_centre"])
def test_beam_centre_under_every_name(prefix, word):
    pair = {f"{prefix}{word}_x": 11.5, f"{prefix}{word}_y": 7}
    assert centre(configuration={"pil": pair}) == (11.5, 7.0)
    assert centre(metadata=pair) == (11.5, 7.0)
    assert centre(event=pair) == (11.5, 7.0)
    assert centre() is None


def test_beam_centre_of_the_event_goes_before_the_configuration_and_that_before_the_start():
    names = "pil_cam_beam_center_x", "pil_cam_beam_center_y"
    places = [{"event": 1}, {"configuration": 2}, {"metadata": 3}]

    def say(given):
        place = {k: dict.fromkeys(names, float(v)) for one in given for k, v in one.items()}
        if "configuration" in place:
            place["configuration"] = {"pil": place["configuration"]}
        return centre(**place)

    assert [say(places[start:]) for start in range(3)] == [(1, 1), (2, 2), (3, 3)]


def test_beam_centre_of_zeros_is_not_set():
    zeros = {"pil_beam_center_x": 0, "pil_beam_center_y": 0}
    assert centre(configuration={"pil": zeros}) is None
    assert centre(configuration={"pil": zeros}, metadata={"beam_center_x": 3, "beam_center_y": 4}) == (3, 4)
    assert centre(event={"pil_beam_center_x": 0.0, "pil_beam_center_y": 8.0}) == (0.0, 8.0)


@pytest.mark.parametrize("bad", ["", None, float("nan"), [1, 2]])
def test_beam_centre_that_is_no_number_is_unknown(bad):
    assert centre(metadata={"beam_center_x": bad, "beam_center_y": 4.0}) is None


def test_beam_centre_of_another_detector_is_never_taken():
    pair = {"eig_cam_beam_center_x": 5.0, "eig_cam_beam_center_y": 6.0}
    for said in ({"event": pair}, {"configuration": {"eig": pair}}, {"metadata": pair}):
        assert centre(**said) is None
        assert centre(**said, image="eig_image") == (5, 6)
    unprefixed = {"beam_center_x": 5.0, "beam_center_y": 6.0}
    assert centre(configuration={"eig": unprefixed}) is None
    assert centre(configuration={"eig": unprefixed}, image="eig_image") == (5, 6)


def test_beam_centre_by_argument():
    assert centre(beam_centre=(3, 4)) == (3.0, 4.0)
    names = ("pil_cam_beam_x", "pil_cam_beam_y")
    pair = dict(zip(names, (8, 9), strict=True))
    for said in ({"event": pair}, {"configuration": {"pil": pair}}, {"metadata": pair}):
        assert centre(**said, beam_centre=names) == (8, 9)
    assert centre(metadata={"beam_center_x": 1, "beam_center_y": 2}, beam_centre=names) is None


@pytest.mark.parametrize("wrong", ["beam", (1,), (1, "y"), (1, None), (float("nan"), 2), 5])
def test_wrong_beam_centre_argument(wrong):
    with pytest.raises(XTagValueError, match="give .x, y. = .column, row. in pixels"):
        FrameSelection(beam_centre=wrong)


def test_beam_centre_of_an_ophyd_device_and_of_a_stream(RE, tmp_path):  # noqa: N803
    class Cam(Device):
        beam_center_x = Component(Signal, value=100.5, kind="config")
        beam_center_y = Component(Signal, value=80.25, kind="config")

    class Detector(Hdf5Detector):
        cam = Component(Cam, "")

    seen = Seen()
    detector = Detector(tmp_path, name="pil", read_attrs=[], configuration_attrs=["cam"])
    RE(bp.count([detector]), seen)
    assert [frame.beam_centre for frame in seen.frames] == [(100.5, 80.25)]
    run = Documents(beam_center_x=9, beam_center_y=10)
    bundle = run.descriptor({"det": STREAMED})
    run.stream_datum(run.stream_resource("file://localhost/a.h5"), bundle, 0, 2)
    assert [frame.beam_centre for frame in frames_of(run.all)] == [(9, 10)] * 2


X, Y = "pil_cam_beam_center_x", "pil_cam_beam_center_y"
# What a millimetre is in each unit, and whether a pixel size of 0.172 mm is told as 0.172e-3 m.
LENGTHS = {"m": 1e-3, "Metre": 1e-3, "cm": 0.1, "mm": 1.0, "MM": 1.0, "millimeters": 1.0, "um": 1e3, "\u00b5m": 1e3}
LENGTHS |= {"\u03bcm": 1e3, "micron": 1e3, "microns": 1e3, "nm": 1e6}


def with_units(unit, value, sizes, in_event=False, start=None):
    """Return the beam centre of an image whose centre is told in a unit, with pixel sizes by their names."""
    data = {X: value[0], Y: value[1]}
    about = {name: {"dtype": "number", "shape": [], "units": unit} for name in data}
    for name, (size, size_unit) in sizes.items():
        data[name] = size
        about[name] = {"dtype": "number", "shape": []} | ({"units": size_unit} if size_unit else {})
    image = {"pil_image": {"dtype": "array", "shape": [619, 487]}}
    if in_event:
        configuration = {"pil": {"data": {k: v for k, v in data.items() if k in sizes}, "data_keys": about}}
        descriptor = {"data_keys": image | about, "configuration": configuration, "object_keys": {}}
    else:
        descriptor = {"data_keys": image, "configuration": {"pil": {"data": data, "data_keys": about}}}
    rule = find_beam_centre(None, "pil_image", ["pil_image"], descriptor, start or {})
    return rule.of(data if in_event else {})


@pytest.mark.parametrize("in_event", [False, True])
@pytest.mark.parametrize("unit", LENGTHS)
def test_a_beam_centre_in_a_unit_of_length_is_converted_with_the_pixel_size(unit, in_event):
    millimetre = LENGTHS[unit]
    sizes = {"pil_cam_pixel_size": (0.172e-3, "m")}
    assert with_units(unit, (17.2 * millimetre, 34.4 * millimetre), sizes, in_event) == pytest.approx((100, 200))


@pytest.mark.parametrize("unit", ["", "pixel", "Pixels", "px", "pix", None])
def test_a_beam_centre_in_pixels_stays(unit):
    assert with_units(unit, (100.5, 200.0), {"pil_cam_pixel_size": (0.172e-3, "m")}) == (100.5, 200.0)


@pytest.mark.parametrize(
    "sizes",
    [
        {"pil_cam_pixel_size": (0.172, "mm")},
        {"pil_cam_pixel_size": (172.0, "um")},
        {"pil_cam_pixel_size": (172_000.0, "nm")},
        {"pil_cam_pixel_size": (172e-6, None)},  # without a unit: m, mm or um, by their size
        {"pil_cam_pixel_size": (0.172, None)},
        {"pil_cam_pixel_size": (172.0, None)},
        {"x_pixel_size": (0.172, "mm"), "y_pixel_size": (0.172, "mm")},
        {"pil_PixelSize_X": (0.172, "mm"), "pil_PixelSize_Y": (0.172, "mm")},
    ],
)
def test_pixel_sizes_under_every_name_and_unit(sizes):
    assert with_units("mm", (17.2, 34.4), sizes) == pytest.approx((100, 200))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("pil_x_pixel_size", "pil_y_pixel_size"),
        ("x_pixel_size", "y_pixel_size"),
        ("pil_cam_pixel_size_x", "pil_cam_pixel_size_y"),
        ("pil-PixelSizeX", "pil-PixelSizeY"),
    ],
)
def test_pixels_that_are_not_square(x, y):
    sizes = {x: (0.1, "mm"), y: (0.2, "mm")}
    assert with_units("mm", (10.0, 10.0), sizes) == pytest.approx((100, 50))


@pytest.mark.parametrize("unit", ["counts", "deg", "inch", "km"])
def test_an_unknown_unit_is_said_and_the_centre_estimated(caplog, unit):
    assert with_units(unit, (17.2, 34.4), {"pil_cam_pixel_size": (0.172, "mm")}) is None
    assert f"{X}, {Y} has the unit '{unit}': it is estimated" in caplog.text


@pytest.mark.parametrize("sizes", [{}, *({"pil_cam_pixel_size": (size, "mm")} for size in (0.0, float("nan")))])
def test_a_length_without_a_pixel_size_is_said_and_the_centre_estimated(caplog, sizes):
    assert with_units("mm", (17.2, 34.4), sizes) is None
    assert "has the unit 'mm', and no pixel size is told: it is estimated" in caplog.text


def test_a_centre_in_an_unknown_unit_gives_way_to_one_in_pixels():
    start = {"beam_center_x": 3.0, "beam_center_y": 4.0}
    assert with_units("inch", (17.2, 34.4), {}, start=start) == (3.0, 4.0)
