import numpy as np
import pandas as pd

from bluesky_xtag import Tagging
from bluesky_xtag.documents import Correction, FrameId, overlay, verdicts
from bluesky_xtag.documents import columns as documents
from bluesky_xtag.model import DEFAULT_TAXONOMY

TAGS = DEFAULT_TAXONOMY.subset(["empty", "halo", "ring"])


def frame(event, key, seq_num, index):
    return FrameId("run", "", key, seq_num, index, event)


def table(*places, tags=("halo",), name="xtag"):
    """Rows of frames at (event, key, seq_num, index), all with the same tags."""
    taggings = [Tagging(frame(*place), status="ok", scores=(0.1, 0.8, 0.4), tags=tags) for place in places]
    rows = [documents.row(name, TAGS, tagging) for tagging in taggings]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="seq_num"))


def said(time, seq_num=1, *, event="e1", added=(), removed=(), by="ab", note=""):
    return Correction(frame(event, "det", seq_num, 0), tuple(added), tuple(removed), by, note, time, f"c{time}")


FRAMES = ("e1", "det", 1, 0), ("e2", "det", 2, 0)


def test_what_nobody_spoke_of_stays_the_models():
    shown = overlay(table(*FRAMES), [])
    assert list(shown["xtag_tags"]) == ["halo", "halo"]
    assert list(shown["xtag_decided_by"]) == ["model", "model"]


def test_a_correction_changes_tags_and_leaves_scores():
    before = table(*FRAMES)
    shown = overlay(before, [said(1, added=["ring"], removed=["halo"])])
    assert list(shown["xtag_tags"]) == ["ring", "halo"]
    assert list(shown["xtag_decided_by"]) == ["ab", "model"]
    np.testing.assert_array_equal(shown["xtag_p_halo"], [0.8, 0.8])
    assert list(before["xtag_tags"]) == ["halo", "halo"]


def test_of_each_tag_the_newest_word_counts_whatever_the_order_of_reading():
    words = [
        said(3, removed=["ring"], by="cd"),
        said(1, added=["ring", "empty"], by="ab", note="clear"),
        said(2, removed=["halo"], by="ef"),
    ]
    (verdict,) = verdicts([frame(*place) for place in FRAMES], words).values()
    assert verdict.truth == {"ring": False, "empty": True, "halo": False}
    assert verdict.by == "cd"
    shown = overlay(table(*FRAMES), words)
    assert shown["xtag_tags"][1] == "empty" and shown["xtag_decided_by"][1] == "cd"


def test_tags_stand_in_the_order_of_the_taxonomy_and_foreign_ones_last():
    shown = overlay(table(*FRAMES), [said(1, added=["ice", "empty", "ring"])])
    assert shown["xtag_tags"][1] == "empty halo ring ice"


def test_another_tagging_of_the_same_frames_shows_what_was_said_although_its_events_are_called_otherwise():
    replayed = table(("r1", "det", 1, 0), ("r2", "det", 2, 0), name="again")
    assert list(overlay(replayed, [said(1, 2, event="e2", added=["ring"])])["again_tags"]) == ["halo", "halo ring"]


def test_frames_of_two_streams_with_one_number_are_told_apart_by_their_event():
    both = table(("e1", "det", 1, 0), ("x1", "det", 1, 0))
    assert list(overlay(both, [said(1, event="x1", removed=["halo"])])["xtag_tags"]) == ["halo", ""]


def test_where_the_event_does_not_tell_nothing_is_guessed(caplog):
    both = table(("r1", "det", 1, 0), ("r2", "det", 1, 0))
    assert list(overlay(both, [said(1, removed=["halo"])])["xtag_tags"]) == ["halo", "halo"]
    assert "det, point 1, image 0" in caplog.text
