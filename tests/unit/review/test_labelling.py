"""Labels from nothing: what a person decides is on disk after each frame, once, and nothing else is."""

import os
import sys

import h5py
import numpy as np
import pytest
from support.label_sessions import frame, label, read, write_scan, write_tiff
from support.models import GradedModel, RaisingModel

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.frames import LabelledFrame, add_labelled, frames_of
from bluesky_xtag.model import DEFAULT_TAXONOMY
from bluesky_xtag.review import check_window, label_files
from bluesky_xtag.review.candidates import draw_frames
from bluesky_xtag.review.label_keys import COMMANDS, assign_keys


@pytest.fixture
def scan(tmp_path):
    return write_scan(tmp_path / "scan_7.h5", [10, 45, 95])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "labels.h5"


def test_the_model_proposes_and_the_person_decides(scan, out):
    person, done = label(scan, out, ["enter"], ["r", "enter"], ["r", "r", "enter"])
    first, *_ = person.seen
    assert [(line.tag, line.key, line.holds) for line in first.lines] == [("empty", "e", False), ("ring", "r", False)]
    assert first.lines[1].score == pytest.approx(0.1) and (first.done, first.total) == (0, 30)
    assert [page.lines[1].holds for page in person.seen[:3]] == [False, False, True]
    labels = read(out)
    assert [dict(each.truth) for each in labels.values()] == [
        {"empty": False, "ring": False},
        {"empty": False, "ring": True},
        {"empty": False},  # undecided after the second time
    ]
    assert (done.added, done.labelled, done.sources, done.left, done.stopped) == (3, 3, 1, 27, False)
    with h5py.File(out) as file:
        assert list(file.attrs["tags"]) == ["empty", "ring"] and all(file.attrs["definitions"])
        assert [list(file[name].attrs["truth"]) for name in labels] == [[0, 0], [0, 1], [0, -1]]


def test_a_frame_keeps_its_pixels_its_mask_and_where_it_comes_from(scan, out, tmp_path):
    mask = np.eye(12, 10, dtype=bool)
    person, _ = label(scan, out, ["enter"], beam_centre=(4.5, 6), mask=mask)
    assert person.seen[0].pixels.mask.sum() == 10
    ((name, labelled),) = read(out).items()
    np.testing.assert_array_equal(labelled.pixels, frame(10))
    np.testing.assert_array_equal(labelled.mask, mask)
    assert labelled.pixels.dtype == np.int32 and labelled.beam_centre == (4.5, 6)
    about = labelled.attributes
    assert (name, labelled.source) == ("scan_7_00000", f"{tmp_path.name}/scan_7")
    assert (about["by"], about["proposals"], about["file"]) == ("ab", "graded 1.0", os.path.realpath(scan))
    assert (about["dataset"], about["index"]) == ("/entry/data/data", 0)


def test_a_file_is_a_source_and_so_is_a_series_of_files(scan, out, tmp_path):
    files = [scan, *(write_tiff(tmp_path / f"gold_{n:04d}.tif", 20 + n) for n in range(2))]
    label(files, out, *[["enter"]] * 5)
    assert [each.source.split("/")[1] for each in read(out).values()] == ["gold", "gold", *["scan_7"] * 3]
    other = tmp_path / "other.h5"
    label(files, other, *[["enter"]] * 5, source="gold 12: day 2")
    assert {each.source for each in read(other).values()} == {"gold 12: day 2"}


def test_each_frame_is_on_disk_before_the_next_is_shown(scan, out):
    counts = []

    def person(session):
        while not session.finished:
            counts.append(len(read(out)) if out.exists() else 0)
            session.press("enter")

    label_files(scan, out, show=person, model=GradedModel(), order="files")
    assert counts == [0, 1, 2]
    assert sorted(path.name for path in out.parent.iterdir()) == ["labels.h5", "scan_7.h5"]


def test_the_same_call_goes_on_and_asks_nothing_twice(scan, out):
    first, done = label(scan, out, ["enter"], n=2)
    assert (first.firsts, done.left, done.stopped) == ([10, 45], 1, True)
    second, done = label(scan, out, ["enter"], n=2)
    assert (second.firsts[0], second.seen[0].done, done.left) == (45, 1, 0)
    third, done = label(scan, out, n=2)
    assert (third.seen, done.added, done.labelled, done.left) == ([], 0, 2, 0)
    fourth, done = label(scan, out, ["enter"], ["enter"])
    assert (fourth.firsts, done.added, done.left, done.stopped) == ([95], 1, 27, False)


def test_the_same_pixels_are_not_asked_again_whatever_their_file_is_called(scan, out, tmp_path):
    label(scan, out, ["enter"], ["enter"])
    copied = write_scan(tmp_path / "copied.h5", [45, 95])
    linked = tmp_path / "linked.h5"
    linked.symlink_to(scan)
    person, done = label([linked, copied], out, ["enter"], ["enter"])
    assert (person.firsts, done.added, done.known) == ([95], 1, 2)


@pytest.mark.parametrize("key", ["backspace", "c-z"])
def test_undo_takes_labels_back_from_the_disk(scan, out, key):
    person, done = label(scan, out, ["r", "enter"], [key], ["r", "enter"], ["right"], [key, key], ["enter"])
    assert person.firsts == [10, 45, 10, 45, 95, 10, 45]
    again = person.seen[2]
    assert again.lines[1].holds is True and "taken back" in again.message and again.done == 0
    assert [dict(each.truth) for each in read(out).values()] == [{"empty": False}]  # the ring is undecided by now
    assert (done.added, done.skipped, done.labelled) == (1, 0, 1)


def test_undo_of_nothing_says_so(scan, out):
    person, _ = label(scan, out, ["backspace"])
    assert "nothing to undo" in person.seen[1].message and person.firsts == [10, 10]


def test_undo_of_a_clear_brings_the_choices_and_the_proposals_back(scan, out):
    person, done = label(scan, out, ["r", "."], [".", "backspace"], ["backspace"], ["r", "r", "enter"])
    before, cleared, again, nothing, _ = person.seen
    assert [line.holds for line in cleared.lines] == [None, None]
    assert [(line.holds, line.proposed) for line in again.lines] == [(False, False), (True, False)]
    assert "undone" in again.message and "nothing to undo" in nothing.message  # the second clear changed nothing
    assert [dict(each.truth) for each in read(out).values()] == [{"empty": False, "ring": False}]


def test_undo_goes_back_through_a_clear_and_a_frame(scan, out):
    person, done = label(scan, out, [".", "r", "enter"], ["backspace"], ["backspace"], ["enter"])
    assert [line.holds for line in person.seen[2].lines] == [None, True]
    assert [line.holds for line in person.seen[3].lines] == [False, False]
    assert [dict(each.truth) for each in read(out).values()] == [{"empty": False, "ring": False}] and done.added == 1


def test_a_key_says_when_a_tag_holds_and_changes_nothing(scan, out):
    person, done = label(scan, out, ["?"], ["shift", "r"], ["r"], ["?", "?", "r", "enter"])
    (ring,) = (tag for tag in DEFAULT_TAXONOMY.tags if tag.name == "ring")
    asked, told, changed = person.seen[1:4]
    assert "which tag" in asked.message
    assert told.message == f"ring holds when: {ring.definition}"
    assert [line.holds for line in told.lines] == [False, False]
    assert [line.holds for line in changed.lines] == [False, True] and changed.message == ""
    assert [each.truth["ring"] for each in read(out).values() if "ring" in each.truth] == []
    person, _ = label(scan, out, ["?", "i"], ["?", "enter"], tags={"ring": "", "ice": "rings of ice"})
    assert person.seen[1].message == "ice holds when: rings of ice" and person.seen[2].done == 2
    other = out.with_name("other.h5")
    with h5py.File(other, "w") as file:
        file.attrs["tags"] = ["mine"]
    person, _ = label(scan, other, ["?", "m"])
    assert person.seen[1].message == "mine holds when: nobody has said it"


def test_what_is_skipped_or_undecided_is_not_stored(scan, out):
    person, done = label(scan, out, ["right"], [".", "enter"], ["r", "enter"])
    assert "no tag is decided" in person.seen[2].message
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True}]
    assert (done.skipped, done.added) == (1, 1)


def test_other_keys_do_nothing(scan, out):
    person, done = label(scan, out, ["x", "up", "R", "<any>", "f5"])
    assert person.seen[0].lines == person.seen[1].lines and done.added == 0 and not out.exists()


def test_blind_shows_no_scores_and_proposes_nothing(scan, out):
    model = RaisingModel()
    person, _ = label(scan, out, ["r", "enter"], blind=True, model=model)
    assert all(line.holds is None and np.isnan(line.score) for line in person.seen[0].lines)
    (labelled,) = read(out).values()
    assert (dict(labelled.truth), labelled.attributes["proposals"], model.seen) == ({"ring": True}, "", 0)


def test_a_model_that_fails_leaves_the_frames_to_the_person(scan, out, caplog):
    person, done = label(scan, out, ["r", "enter"], model=RaisingModel())
    assert person.seen[0].lines[1].holds is None and done.added == 1
    assert "nothing is proposed for it" in caplog.text


def test_frames_that_cannot_be_read_are_told_and_counted(scan, out, tmp_path):
    torn = tmp_path / "torn.tif"
    torn.write_bytes(b"II*\0torn")
    odd = tmp_path / "odd.h5"
    with h5py.File(odd, "w") as file:
        file["other"] = np.zeros(3)
    for order in ("files", "novel"):
        place = out.with_name(f"{order}.h5")
        person, done = label([torn, odd, scan], place, *[["enter"]] * 3, order=order)
        assert sorted(done.unreadable) == ["odd.h5 [0]", "torn.tif [0]"] and all(done.unreadable.values())
        assert done.added == 3 and len(read(place)) == 3
    assert "2 frames could not be read" in label([torn, odd, scan], out)[0].seen[0].message


def test_a_mask_of_another_shape_is_told_and_not_left_out(scan, out):
    person, done = label(scan, out, ["enter"], mask=np.zeros((3, 3), bool), blind=True)
    assert len(done.unreadable) == 3 and "mask" in next(iter(done.unreadable.values())) and not out.exists()


def test_a_disk_that_takes_nothing_keeps_the_frame_until_it_does(scan, out, monkeypatch):
    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    label(scan, out, ["enter"])
    before = out.read_bytes()

    def person(session):
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", refuse)
            session.press("r")
            session.press("enter")
        assert "No space left" in session.page.message and session.page.done == 1
        assert out.read_bytes() == before
        session.press("enter")
        session.press("escape")

    done = label_files(scan, out, show=person, model=GradedModel(), order="files")
    assert [each.truth["ring"] for each in read(out).values()] == [False, True] and done.added == 1


def test_somebody_else_who_writes_the_file_loses_nothing(scan, out):
    def person(session):
        session.press("enter")
        with h5py.File(out, "a") as file:
            add_labelled(file, LabelledFrame("theirs", frame(1), {"ring": True}), ["empty", "ring"])
        session.press("enter")
        assert "somebody else changed" in session.page.message

    label_files(
        scan, out, show=lambda session: (person(session), session.press("escape")), model=GradedModel(), order="files"
    )
    assert set(read(out)) == {"scan_7_00000", "theirs"}


def test_own_tags_need_a_meaning_once_and_start_undecided(scan, out):
    with pytest.raises(XTagValueError, match="no tag 'ice' is known.*'ice=when it holds'"):
        label(scan, out, tags=["ice"])
    person, _ = label(scan, out, ["i", "enter"], tags={"ice": "rings of ice"})
    assert [(line.tag, line.holds) for line in person.seen[0].lines] == [("ice", None)]
    person, _ = label(scan, out, ["enter"], ["i", "enter"])  # the tags of the file, whatever the model knows
    assert [line.tag for line in person.seen[0].lines] == ["ice"]
    with h5py.File(out) as file:
        assert list(file.attrs["tags"]) == ["ice"] and list(file.attrs["definitions"]) == ["rings of ice"]


def test_tags_that_are_asked_for_later_are_uncertain_for_frames_of_before(scan, out):
    label(scan, out, ["r", "enter"], tags=["ring"])
    label(scan, out, ["enter"], tags={"empty": "", "ice": "rings of ice"})
    with h5py.File(out) as file:
        assert list(file.attrs["tags"]) == ["ring", "empty", "ice"]
        assert [list(each.attrs["truth"]) for each in file.values()] == [[1, -1, -1], [-1, 0, -1]]
    assert [dict(each.truth) for each in read(out).values()] == [{"ring": True}, {"empty": False}]


def test_the_most_different_frames_come_first_also_after_a_stop(tmp_path, out):
    scan = write_scan(tmp_path / "scan.h5", [50, 51, 49, 0, 52, 100])
    whole, _ = label(scan, tmp_path / "whole.h5", *[["enter"]] * 6, order="novel")
    assert set(whole.firsts[:2]) == {0, 100}
    parts = []
    for _ in range(6):
        parts += label(scan, out, ["enter"], order="novel")[0].firsts[:1]
    assert parts == whole.firsts[:6]


def test_doubtful_frames_come_first(tmp_path, out):
    scan = write_scan(tmp_path / "scan.h5", [1, 48, 99, 70])
    person, _ = label(scan, out, *[["right"]] * 4, order="uncertain")
    assert person.firsts[:2] == [48, 70] and set(person.firsts[2:4]) == {1, 99}


def test_a_seed_draws_the_same_frames_and_short_files_are_not_crowded_out(tmp_path, out):
    long = write_scan(tmp_path / "long.h5", range(1, 60))
    short = write_scan(tmp_path / "short.h5", [95])
    runs = [label([long, short], out, *[["right"]] * 9, order="random", seed=seed)[0].firsts for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]

    frames = [frame for path in (long, short) for frame in frames_of(str(path))]
    for seed in range(5):
        drawn = draw_frames(frames, "novel", 4, seed)
        assert len(drawn) == 4 and str(short) in [frame.id.run for frame in drawn]
    assert draw_frames(frames, "files", 4, 0) == frames
    assert len(draw_frames(frames, "random", 4, 0)) == 60


def test_the_file_of_labels_is_not_labelled_itself(scan, out):
    label(scan, out, ["enter"])
    person, done = label(str(out.parent / "*.h5"), out, ["enter"], ["enter"])
    assert (person.firsts, done.labelled) == ([45, 95], 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "nowhere/labels.h5"}, "no directory .*nowhere for labels.h5: make it first"),
        ({"out": "."}, "is a directory: name a file for the labels"),
        ({"out": "scan_7.h5"}, "is not a file of labels.*name the file for the labels last"),
        ({"out": "text.h5"}, "cannot be read as HDF5.*name another file for the labels"),
        ({"files": "none*.h5"}, "no file matches none"),
        ({"files": "labels.h5", "out": "labels.h5"}, "no file to label"),
        ({"order": "doubt"}, "order='doubt' is not known: choose one of novel, uncertain, random, files"),
        ({"tags": {"Ice": "rings"}}, "tag name 'Ice' is not usable"),
        ({"tags": {f"tag_{n}": "own" for n in range(37)}}, "37 tags have not enough keys: choose 36"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_shown(scan, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5")
    if options.get("files") == "labels.h5":
        label("scan_7.h5", "labels.h5", ["enter"])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(XTagValueError, match=message):
        label(**{"files": "scan_7.h5", "out": "other.h5"} | options)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_labels_of_others_are_added_to(scan, out):
    with h5py.File(out, "w") as file:
        file.attrs["tags"] = ["ring"]
        add_labelled(file, LabelledFrame("theirs", frame(1), {"ring": True}, source="gold"), ["ring"])
    label(scan, out, ["r", "enter"])
    assert {name: dict(each.truth) for name, each in read(out).items()} == {
        "theirs": {"ring": True},
        "scan_7_00000": {"ring": True},
    }


def test_each_tag_has_a_key_of_its_own():
    tags = [*DEFAULT_TAXONOMY.names, "ice", "own"]
    keys = assign_keys(tags)
    assert list(keys) == tags and len(set(keys.values())) == len(tags)
    assert not set(keys.values()) & set(COMMANDS)
    assert [keys[tag] for tag in ("ring", "halo", "empty", "symmetry_4", "symmetry_6")] == ["r", "h", "e", "4", "6"]


def test_without_matplotlib_the_window_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tornado.web", None)
    with pytest.raises(XTagValueError, match=r'pip install "bluesky_xtag\[window\]"'):
        check_window()
