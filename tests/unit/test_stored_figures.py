"""Every figure and picture that the documentation keeps is of the packaged model."""

import json
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from bluesky_xtag.cli.bench import all_bench
from bluesky_xtag.cli.bench.all_bench import PARTS, Part, measure_all, model_named
from bluesky_xtag.cli.bench.machine import NO_MODEL
from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import ModelCard

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = sorted((DOCS / "reference").glob("*.json"))
PICTURES = sorted((DOCS / "images").glob("*.*"))
OF_NO_MODEL = {"bench-search.json", "tradeoff.json", "gallery.jpg", "label.png", "tradeoff.png"}
"""Searches, variants that are trained on the spot, simulated frames, and frames with a person's labels."""


def packaged():
    card = ModelCard.load()
    return f"{card.name} {card.version}"


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.name)
def test_stored_figures_name_the_packaged_model(path):
    wanted = NO_MODEL if path.name in OF_NO_MODEL else packaged()
    assert model_named(path) == wanted, "make it anew: xtag bench all --out docs/reference"


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_stored_pictures_name_the_packaged_model(path):
    with Image.open(path) as picture:
        named = picture.info.get("Model") or picture.getexif().get(ExifTags.Base.Model, NO_MODEL)  # PNG, JPEG
    wanted = NO_MODEL if path.name in OF_NO_MODEL else packaged()
    assert named == wanted, "make it anew, with the command that the page with the picture names"


def test_there_are_figures_and_pictures():
    assert {part.figures for part in PARTS} <= {path.name for path in FIGURES}
    assert {part.picture for part in PARTS if part.picture} <= {path.name for path in PICTURES}


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '{"model": null}'])
def test_figures_that_name_no_model_are_of_none(tmp_path, text):
    (tmp_path / "figures.json").write_text(text)
    assert model_named(tmp_path / "figures.json") == ""
    assert model_named(tmp_path / "missing.json") == ""


class Measurements:
    """Two measurements that write what they are told; the second can be stopped."""

    def __init__(self, monkeypatch):
        self.made, self.stopped = [], False
        parts = (Part("one", "one.json", self.make), Part("two", "two.json", self.make, "two.png"))
        monkeypatch.setattr(all_bench, "PARTS", parts)

    def make(self, figures, picture, directory):
        self.made.append(figures.stem)
        if picture is not None:
            picture.write_bytes(b"picture")
            if self.stopped:
                raise KeyboardInterrupt
        figures.write_text(json.dumps({"model": packaged()}))


def test_all_figures_are_made_and_kept_the_next_time(tmp_path, monkeypatch):
    measurements, said = Measurements(monkeypatch), []
    assert measure_all(tmp_path / "new", say=said.append) == ["one", "two"]
    assert (tmp_path / "new" / "two.png").read_bytes() == b"picture"
    assert measure_all(tmp_path / "new", say=said.append) == []
    assert measurements.made == ["one", "two"]
    assert said[-1].startswith("two: kept") and packaged() in said[-1]


def test_figures_of_another_model_are_made_anew(tmp_path, monkeypatch):
    Measurements(monkeypatch)
    for name, model in (("one", "default 0.0.1"), ("two", f"{packaged()}, sha256 0123")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"model": model}))
    assert measure_all(tmp_path) == ["one"]


def test_after_a_stop_the_same_call_goes_on(tmp_path, monkeypatch):
    measurements = Measurements(monkeypatch)
    measurements.stopped = True
    with pytest.raises(KeyboardInterrupt):
        measure_all(tmp_path)
    assert not (tmp_path / "two.json").exists() and not (tmp_path / "two.png").exists()
    measurements.stopped = False
    assert measure_all(tmp_path) == ["two"]
    assert measurements.made == ["one", "two", "two"]


def test_only_some_figures_are_made_and_an_unknown_name_is_named(tmp_path, monkeypatch):
    Measurements(monkeypatch)
    assert measure_all(tmp_path, only=["two"]) == ["two"]
    with pytest.raises(XTagValueError, match="no figures three; known figures: one, two"):
        measure_all(tmp_path, only=["three"])
