"""Where two taggings of the same runs disagree."""

import bluesky.plans as bp
import pytest
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel
from support.retagged import tag_again

from bluesky_xtag import DEFAULT_TAXONOMY, NoTagsError, XTagValueError
from bluesky_xtag.review import compare, correct, draw_disputed


class Other(CountsModel):
    name = "other"
    version = "2"
    sha256 = "1" * 64
    taxonomy = DEFAULT_TAXONOMY.subset(["empty", "halo", "ring"])


@pytest.fixture
def twice_tagged(RE, tag, catalog):
    """A run of four frames: "ring" by the model beside the scan; by another one no ring in the last two, a halo too."""
    tag()
    (uid,) = RE(bp.count([ArrayDetector(numbered())], 4))
    tag_again(
        catalog, catalog[uid], Other(), lambda row: (0.0, 0.9, [0.8, 0.7, 0.4, 0.1][row["xtag_frame_seq_num"] - 1])
    )
    return catalog[uid]


def test_tags_and_frames_on_which_two_models_disagree(twice_tagged, catalog, tmp_path):
    uid = getattr(twice_tagged, "start", None) or twice_tagged.metadata["start"]
    found = compare(catalog, "counts", "other 2", last=1)
    assert found.models == (f"counts 1, sha256 {'0' * 12}", f"other 2, sha256 {'1' * 12}")
    assert (found.compared, found.left_out) == (4, 0)
    assert list(found.tags.index) == ["empty", "ring"]  # the first does not know halo
    assert found.tags.loc["ring", ["both", "only_first", "only_second", "neither"]].to_list() == [2, 2, 0, 0]
    assert found.tags["kappa"].isna().all()  # the first gave ring to all
    assert list(found.frames["seq_num"]) == [4, 3] and set(found.frames["run"]) == {uid["uid"]}
    assert list(found.frames["only_first"]) == ["ring", "ring"] and list(found.frames["only_second"]) == ["", ""]
    assert list(found.frames["tag"]) == ["ring", "ring"]
    assert list(found.frames["first"]) == [1, 1] and list(found.frames["second"]) == pytest.approx([0.1, 0.4])
    assert [table.row_count for table in found.tables()] == [2, 2]
    draw_disputed(catalog, found, tmp_path / "compared.png")
    assert (tmp_path / "compared.png").stat().st_size > 10_000


@pytest.mark.parametrize("catalog", ["databroker.temp"], indirect=True)  # one of its own, since it looks at all
def test_what_people_said_is_left_aside_and_agreement_beyond_chance_is_told(RE, tag, catalog):
    tag()
    (uid,) = RE(bp.count([ArrayDetector(numbered())], 4))
    for name, sha, last in (("a", "a", 0.2), ("b", "b", 0.9)):
        model = type("Model", (Other,), {"name": name, "sha256": sha * 64})()
        tag_again(
            catalog,
            catalog[uid],
            model,
            lambda row, last=last: (0.0, 0.0, [0.1, 0.9, 0.9, last][row["xtag_frame_seq_num"] - 1]),
        )
    correct(catalog[uid], 4, add="ring", by="ab")
    found = compare(catalog, "a" * 8, "b" * 64)
    assert found.tags.loc["ring", "only_second"] == 1
    assert found.tags.loc["ring", "kappa"] == pytest.approx(0.5)


@pytest.mark.parametrize("catalog", ["databroker.temp"], indirect=True)  # one of its own, since it looks at all
def test_models_that_cannot_be_compared_are_named(twice_tagged, catalog):
    with pytest.raises(NoTagsError, match="tags by both 'counts' and 'none'"):
        compare(catalog, "counts", "none")
    with pytest.raises(NoTagsError, match="'othr 2' is in no summary, did you mean 'other 2' or 'other'"):
        compare(catalog, "counts", "othr 2")
    with pytest.raises(XTagValueError, match="'counts' and '00000000' are one model"):
        compare(catalog, "counts", "00000000")
