import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.simulate.gallery import draw
from bluesky_xtag.simulate.labels import TAGS
from bluesky_xtag.simulate.nuisances import NUISANCES


def test_the_picture_names_every_tag_and_the_nuisances(tmp_path):
    shown = ["exposure", "mask_wrong", "centre_unknown"]
    text = draw(tmp_path / "gallery.svg", seed=0, nuisances=shown, draws=60).read_text("utf-8")
    for words in (*TAGS.names, *(NUISANCES[name].title for name in shown), "no → yes", "3 nuisances"):
        assert f"<!-- {words}" in text, words
    assert text.count("<image ") == len(TAGS) + 2 * len(shown)


@pytest.mark.parametrize(
    ("name", "nuisances", "remedy"),
    [
        ("gallery.foo", None, "choose one of .*png"),
        ("nowhere/gallery.png", None, "make it first"),
        ("gallery.png", ["fog"], "no nuisance fog; known: exposure"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_simulated(tmp_path, name, nuisances, remedy):
    with pytest.raises(XTagValueError, match=remedy):
        draw(tmp_path / name, nuisances=nuisances)
    assert not list(tmp_path.iterdir())
