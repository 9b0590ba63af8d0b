import cv2
import numpy as np
import pytest

from bluesky_xtag.view import Point, SampleMap, colour, draw_points

SAMPLE = SampleMap(np.repeat([[0], [1]], [50, 50], axis=0) * np.ones((1, 80), int), ("below", "above"), (8.0, 5.0))


def area(path, hex_colour):
    """How many pixels of a picture have a colour."""
    wanted = [int(hex_colour[start : start + 2], 16) for start in (5, 3, 1)]
    return int(np.all(cv2.imread(str(path)) == wanted, axis=2).sum())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tags.png"


def grid(*tags):
    return [Point("", of, {}, (float(column), 2.0)) for column, of in enumerate(tags, start=1)]


def test_points_have_the_colour_of_their_most_specific_tag_and_of_the_others(path):
    draw_points(path, grid(("ring", "halo"), ("ring",), ("empty",)), "three points", SAMPLE)
    ring, halo, empty, spots = (area(path, colour(tag)) for tag in ("ring", "halo", "empty", "spots"))
    assert ring > 1.5 * empty > 500
    assert halo > 100
    assert spots == 0


def test_gaps_are_grey_and_counts_are_not(path):
    frame = np.random.default_rng(1).poisson(3.0, (200, 200)).astype(np.int32)
    draw_points(path, [Point("whole", (), {"ring": 0.2}, pixels=frame)], "one frame")
    whole = area(path, "#c4c9d1")
    frame[:, 90:110] = -1
    draw_points(path, [Point("with a gap", (), {"ring": 0.2}, pixels=frame)], "one frame")
    assert area(path, "#c4c9d1") > whole + 2000


def test_accepted_scores_are_bars_in_the_colour_of_their_tag(path):
    frame = np.ones((50, 50), np.int32)
    draw_points(path, [Point("frame", ("spots",), {"spots": 0.9, "halo": 0.3}, pixels=frame)], "one frame")
    assert area(path, colour("spots")) > 300
    assert area(path, colour("halo")) == 0


@pytest.mark.parametrize(
    "frame",
    [
        np.full((30, 40), -1, np.int32),
        np.zeros((30, 40), np.uint16),
        np.full((30, 2000), np.nan, np.float32),
        np.full((2000, 30), 2**32 - 1, np.uint32),
    ],
)
def test_any_frame_can_be_drawn(path, frame):
    draw_points(path, [Point("odd", (), {}, pixels=frame)], "an odd frame")
    assert cv2.imread(str(path)) is not None


def test_a_single_point_without_tags_can_be_drawn(path):
    draw_points(path, grid(()), "one point", SAMPLE)
    assert cv2.imread(str(path)) is not None
