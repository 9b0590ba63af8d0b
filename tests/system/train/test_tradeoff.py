import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

from bluesky_xtag.cli.bench.tradeoff_bench import draw, tradeoff
from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import TagModel
from bluesky_xtag.simulate import TAGS
from bluesky_xtag.train import SPOILED, VARIANTS, Settings, Variant, model_directory, select_variants, study
from bluesky_xtag.train.data import load
from bluesky_xtag.train.fit import tradeoff as trained

# Keras 3.15 saves its variables through an old signature of __array__, which NumPy 2.4 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SETTINGS = Settings(samples=40, epochs=1, batch=10, chunk=10)
# One view each: these are quick to build.
PLAIN = Variant("plain, narrow", width=0.25, views=("plain",))
PROFILE = Variant("profile, half", width=0.25, views=("profile",), share=0.5)
MEASURED = ("train_seconds", "map", "map_error", "clean_map")


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """Each set of samples would start as many processes as there are cores; test_data.py simulates in several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="module")
def done(one_process, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    return out, study(out, SETTINGS, [PLAIN, PROFILE])


def chunk(out, name):
    return vars(load(out / "data" / "64" / name, 1))


def test_each_variant_is_trained_and_tested(done):
    out, results = done
    assert [result["visits"] for result in results] == [40, 20]
    for result, variant in zip(results, (PLAIN, PROFILE), strict=True):
        assert result["name"] == variant.name
        assert 0 < result["map"] < 1 and 0 < result["chance"] < 1
        assert set(result["drops"]) == set(SPOILED)
        model = TagModel.load(model_directory(out, variant))
        assert model.taxonomy == TAGS and model.network.count_params() == result["parameters"]


def test_a_second_call_goes_on_with_what_is_missing(done, monkeypatch):
    out, results = done
    names = []

    def remember(samples, settings, variant):
        names.append(variant.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(trained, "_train", remember)
    assert study(out, SETTINGS, [PLAIN, PROFILE]) == results
    with pytest.raises(KeyboardInterrupt):
        study(out, SETTINGS, [PLAIN, PROFILE, Variant("another")])
    assert names == ["another"]


def test_the_same_settings_give_the_same_figures(done, tmp_path):
    out, results = done
    shutil.copytree(out / "data", tmp_path / "data")
    (again,) = study(tmp_path, SETTINGS, [PROFILE])
    assert again["map"] == pytest.approx(results[1]["map"], abs=0.02)
    assert {**again, **dict.fromkeys(MEASURED)} == {**results[1], **dict.fromkeys(MEASURED)}


def test_other_settings_in_the_same_place_are_refused(done):
    with pytest.raises(XTagValueError, match="other settings"):
        study(done[0], replace(SETTINGS, epochs=2), [PLAIN])


def test_an_untold_centre_is_all_that_differs_from_the_clean_frames(done):
    clean, untold = (chunk(done[0], name) for name in ("clean", "centre_unknown"))
    np.testing.assert_array_equal(untold["plain"], clean["plain"])
    np.testing.assert_array_equal(untold["labels"], clean["labels"])
    assert (untold["scalars"] != clean["scalars"]).any()


def test_gaps_and_hot_pixels_are_in_the_frames_that_are_named_after_them(done):
    clean, gaps, hot = (chunk(done[0], name) for name in ("clean", "gaps", "hot_pixels"))
    tag = TAGS.index("detector_gaps")
    assert (clean["labels"][:, tag] == 0).all() and (gaps["labels"][:, tag] == 1).all()
    assert (hot["plain"] != clean["plain"]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_can_be_prepared_and_built(variant):
    from bluesky_xtag.train.fit.network import build

    network = build(variant.preparation.shapes, len(TAGS), width=variant.width, views=variant.views)
    inputs = variant.preparation(np.random.default_rng(0).poisson(3, (195, 487)))
    given = {name: getattr(inputs, name)[None] for name in variant.preparation.shapes}
    assert network(given).shape == (1, len(TAGS))


def test_an_unknown_variant_is_refused_with_those_that_there_are():
    assert select_variants(["polar view"]) == (VARIANTS[2],)
    assert select_variants([]) == VARIANTS
    with pytest.raises(XTagValueError, match="known: 'size 64, all views', "):
        select_variants(["size 65"])


@pytest.mark.parametrize("wrong", [{"samples": 100}, {"epochs": 0}])
def test_settings_that_do_not_fit_are_refused(wrong):
    with pytest.raises(XTagValueError, match="at least"):
        Settings(**wrong)


def test_the_figures_are_timed_written_and_drawn(done, tmp_path):
    out, results = done
    json_path, picture = tmp_path / "figures.json", tmp_path / "figures.png"
    figures = tradeoff(out, SETTINGS, [PLAIN, PROFILE], json_path, picture, repeats=1)
    assert json.loads(json_path.read_text()) == figures
    assert figures["settings"] == asdict(SETTINGS)
    for row, result in zip(figures["variants"], results, strict=True):
        assert row["frame_ms"] > 0 and row["batched_frame_ms"] > 0
        assert row["map"] == result["map"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_figures_that_could_not_be_told_leave_their_places_empty(tmp_path):
    row = asdict(VARIANTS[0]) | {"map": None, "map_error": None, "parameters": 1e6, "frame_ms": 3.0}
    nothing = dict.fromkeys(SPOILED)
    draw({"variants": [row | {"drops": nothing, "drop_errors": nothing}]}, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000
