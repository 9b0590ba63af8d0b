import re
from base64 import b64decode
from html.parser import HTMLParser

import cv2
import h5py
import numpy as np
import pytest

from bluesky_xtag.train import write_page
from bluesky_xtag.train.adapt.adaptation_page import write_adaptation
from bluesky_xtag.train.adapt.outcome import Adaptation, FrameOutcome, StageOutcome, TagOutcome
from bluesky_xtag.train.evaluate.charts import log_picture
from bluesky_xtag.train.evaluate.evaluation import Evaluation
from bluesky_xtag.train.evaluate.page import mistakes

TRUTH = np.array([[1, 0], [0, 0], [0, 1], [1, -1], [0, 1], [1, 0]], np.int8)
SCORES = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.1], [0.3, 0.9], [0.1, 0.9], [0.1, 0.2]], np.float32)


@pytest.fixture
def scored(tmp_path):
    """Six frames and two tags; wrong are b and c (accepted) and d and f (missed) on ring, c (missed) on halo."""
    rng, path = np.random.default_rng(0), tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        for name in "abcdef":
            file[f"frame_{name}"] = rng.poisson(3, (50, 40)).astype(np.int32)
            file[f"frame_{name}"].attrs["detector"] = f"Detector {name} <1>"
        file["masks/frame_b"] = np.ones((50, 40), bool)
    frames = tuple(f"frame_{name}" for name in "abcdef")
    thresholds = np.array([0.5, 0.5], np.float32)
    origins = ("one",) * 3 + ("two",) * 3
    return Evaluation(
        path, "small 1", ("ring", "halo"), thresholds, frames, origins, TRUTH, SCORES, 0.01, ("spots",), ()
    )


def test_the_most_confident_mistakes_come_first(scored):
    assert [mistake.frame for mistake in mistakes(scored, 0, held=False)] == [2, 1]
    assert [mistake.frame for mistake in mistakes(scored, 0, held=True)] == [5, 3]
    assert [mistake.frame for mistake in mistakes(scored, 0, held=True, most=1)] == [5]
    assert mistakes(scored, 1, held=False) == []


def test_the_page_stands_alone_and_shows_the_worst_frames(scored, tmp_path):
    write_page(scored, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    sources = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>]{0,22})", page)
    assert sources and all(source == "data:image/png;base64," for source in sources)
    shown = re.findall(r'<img alt="(frame_.)"', page)
    assert shown == ["frame_c", "frame_b", "frame_f", "frame_d", "frame_c"]
    assert "Detector b &lt;1&gt;" in page
    assert "0.95, but it does not hold" in page and "0.10, but it holds" in page
    assert '<span class="wrong">ring 0.95</span> <span class="missed">halo 0.10</span>' in page
    assert "spots" in page and "By source or detector" in page


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>body{background:url(http://elsewhere.example)}",
    "<iframe src=//elsewhere.example></iframe>",
    "&lt;b&gt; &amp; [bold] {jinja} %s",
)
ELEMENTS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "b", "span", "img"}
ELEMENTS |= {"table", "tr", "th", "td"}


class Elements(HTMLParser):
    """What a browser finds in a page: its elements with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_files_are_text_and_nothing_else(tmp_path, name):
    """Whoever made the file chose the names of the file, the frames, the detectors, the sources and the tags."""
    path = tmp_path / f"{name.replace('/', '_')}.h5"
    frame = name.replace("/", "_")
    with h5py.File(path, "w") as file:
        for number in range(2):
            file[f"{frame} {number}"] = np.ones((50, 40), np.int32)
            file[f"{frame} {number}"].attrs["detector"] = name
    frames, thresholds = (f"{frame} 0", f"{frame} 1"), np.array([0.5, 0.5], np.float32)
    truth, scores = np.array([[0, 1], [1, 0]], np.int8), np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
    hostile = Evaluation(
        path, f"{name} 1", (name, "halo"), thresholds, frames, (name, "two"), truth, scores, 0.01, (name,), (name,)
    )
    write_page(hostile, tmp_path / "page.html")
    page = Elements((tmp_path / "page.html").read_text("utf-8"))
    assert {tag for tag, _ in page.found} <= ELEMENTS
    images = [attributes for tag, attributes in page.found if tag == "img"]
    assert {frozenset(attributes) for attributes in images} == {frozenset({"alt", "src"})}
    assert all(attributes["src"].startswith("data:image/png;base64,") for attributes in images)
    assert {frame_name for frame_name in frames} <= {attributes["alt"] for attributes in images}
    known = {"class", "style", "alt", "src", "lang", "charset", "http-equiv", "content"}
    assert {key for _, attributes in page.found for key in attributes} <= known
    assert all(attributes.get("style", "--ap:").startswith("--ap:") for _, attributes in page.found)
    assert page.text.count(name) >= 6  # it is shown as it is
    (style,) = re.findall(r"<style>(.*?)</style>", (tmp_path / "page.html").read_text("utf-8"), re.DOTALL)
    assert "url(" not in style


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_the_page_of_an_adaptation_are_text_too(tmp_path, name):
    frame = name.replace("/", "_")
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file[frame] = np.ones((50, 40), np.int32)
    tag = TagOutcome(name, "new", 1, 1, 0.5, None, 0, None, 1, 0.5, 1.0, 1.0, 0.5)
    stages = tuple(StageOutcome(stage, 1.0, 0.5, 0.1, 0.0, 0.1, True) for stage in ("before", name))
    each = (FrameOutcome(frame, name, (name,), (), (), (name, name), 0.1),)
    hostile = Adaptation(f"{name} 1", name, (tag,), {name: name}, stages, {name: 1}, each, {}, 0)
    write_adaptation(hostile, tmp_path / "mine.h5", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    page = Elements(text)
    assert {element for element, _ in page.found} <= ELEMENTS | {"br"}
    known = {"class", "style", "alt", "src", "lang", "charset", "http-equiv", "content"}
    assert {key for _, attributes in page.found for key in attributes} <= known
    assert [attributes["alt"] for element, attributes in page.found if element == "img"] == [frame]
    assert page.text.count(name) >= 9  # title, heading, stage, tag, frame, errors and note
    assert "default-src 'none'" in text


def test_the_page_tells_the_browser_to_load_nothing(scored, tmp_path):
    write_page(scored, tmp_path / "page.html")
    metas = [attributes for tag, attributes in Elements((tmp_path / "page.html").read_text()).found if tag == "meta"]
    (policy,) = [meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "http" not in policy


def test_every_picture_of_the_page_is_one(scored, tmp_path):
    write_page(scored, tmp_path / "page.html")
    encoded = re.findall(r"data:image/png;base64,([^\"]+)", (tmp_path / "page.html").read_text())
    pictures = [cv2.imdecode(np.frombuffer(b64decode(text), np.uint8), cv2.IMREAD_COLOR) for text in encoded]
    assert len(pictures) == 7  # the curves, the calibration, five frames
    assert all(picture is not None and min(picture.shape[:2]) >= 40 for picture in pictures)


def test_pictures_of_frames_are_small_and_show_gaps_in_grey():
    pixels = np.full((1000, 500), 10, np.uint32)
    pixels[0, 0] = 100_000  # one bright pixel stays visible
    pixels[500:] = 2**32 - 1
    mask = np.zeros(pixels.shape, bool)
    mask[:, 400:] = True
    picture = cv2.imdecode(np.frombuffer(log_picture(pixels, mask, side=250), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (250, 125, 3)
    grey = (209, 201, 196)  # blue, green, red
    assert tuple(picture[200, 10]) == grey and tuple(picture[10, 120]) == grey
    assert picture[0, 0].sum() > picture[10, 10].sum()
