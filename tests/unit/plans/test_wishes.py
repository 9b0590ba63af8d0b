"""Pins and vetoes: what people want of a plan while it runs."""

import json

import pytest
from bluesky.utils import RunEngineInterrupted
from support.steered import pause_after

from bluesky_xtag import XTagError, XTagValueError
from bluesky_xtag.plans import make, pin, tag_adaptive_scan, veto
from bluesky_xtag.plans.wish_file import WishFile, wish_directory


@pytest.fixture(autouse=True)
def runtime(monkeypatch, tmp_path):
    """A runtime directory of the test's own."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def meanwhile(RE):
    """Do something when the event of that number of that stream was emitted."""

    def meanwhile(number, act, stream="primary"):
        streams = {}

        def callback(name, doc):
            if name == "descriptor":
                streams[doc["uid"]] = doc["name"]
            elif name == "event" and (streams[doc["descriptor"]], doc["seq_num"]) == (stream, number):
                act()

        RE.subscribe(callback)

    return meanwhile


def line(det, tagger, axis, shape=6, **options):
    strategy = make("grid", {"axis": (1, shape)}, tags=tagger.model.taxonomy.names, tag="ring", shape=shape)
    return tag_adaptive_scan([det], tagger, strategy, axis, 1, shape, **options)


@pytest.fixture
def visited(seen):
    return lambda: [event["data"]["axis"] for event in seen.events("primary")]


def test_a_pin_at_the_prompt(RE, seen, graded, decisions, computed_again, visited, axis, peak):
    pause_after(RE, "primary", 2)
    with pytest.raises(RunEngineInterrupted):
        RE(line(peak, graded(), axis))
    said = pin({"axis": 3.25}, by="anna")
    assert said.startswith("anna pins axis=3.25; tag_adaptive_scan (run ") and said.endswith("at its next decision")
    RE.resume()
    assert visited() == [1, 2, 3.25, 3, 4, 5, 6]
    row = decisions()[2]
    assert row["reason"] == "ring 0.74; the place that anna pinned; anna pins axis=3.25"
    assert (row["to_axis"], json.loads(row["wishes"])) == (3.25, [{"pin": {"axis": 3.25}, "by": "anna"}])
    assert [row["wishes"] for row in decisions()].count("") == 7
    assert computed_again() == ""
    assert not list(wish_directory().iterdir())


def test_a_veto_while_the_plan_runs(RE, graded, decisions, computed_again, visited, meanwhile, axis, peak):
    meanwhile(2, lambda: veto({"axis": (3.5, 5.5)}, by="ben"))
    RE(line(peak, graded(), axis))
    assert visited() == [1, 2, 3, 6]
    assert decisions()[2]["reason"] == "ring 0.74; ben vetoes axis=3.5 to 5.5"
    assert decisions()[-1]["reason"] == "ring 0.10; all 4 places of the grid are done"
    assert computed_again() == ""


def test_a_veto_of_a_place_holds_around_it(RE, decisions, computed_again, visited, meanwhile, graded, axis, peak):
    meanwhile(1, lambda: veto({"axis": 3.05}, by="ben"))
    RE(line(peak, graded(), axis))
    assert visited() == [1, 2, 4, 5, 6]
    assert computed_again() == ""


@pytest.mark.parametrize("name", ["boundary", "phases", "seek", "novelty", "random"])
@pytest.mark.parametrize("batch", [1, 3])
def test_strategies_keep_to_a_veto(RE, seen, graded, computed_again, meanwhile, axis, other, peak, name, batch):
    tag = "ring" if name in ("boundary", "seek") else None
    meanwhile(5, lambda: veto({"axis": (2, 5), "other": (-1, 2)}))
    options = {"max_points": 24, "batch": batch}
    RE(tag_adaptive_scan([peak], graded(), name, axis, 0, 6, other, -3, 3, tag=tag, **options))
    later = [event["data"] for event in seen.events("primary")][4 + batch :]
    assert len(later) >= 10
    assert not [each for each in later if 2 <= each["axis"] <= 5 and -1 <= each["other"] <= 2]
    assert computed_again() == ""


def test_a_veto_takes_an_earlier_pin_back(RE, decisions, computed_again, visited, meanwhile, graded, axis, peak):
    meanwhile(1, lambda: (pin({"axis": 3.5}, by="anna"), pin({"axis": 5.5}, by="anna"), veto({"axis": 3.5}, by="ben")))
    RE(line(peak, graded(), axis))
    assert visited() == [1, 5.5, 2, 3, 4, 5, 6]
    assert computed_again() == ""


def test_a_pin_is_measured_before_the_strategy_stops(RE, computed_again, visited, meanwhile, graded, axis, peak):
    meanwhile(3, lambda: pin({"axis": 1.5}))
    RE(line(peak, graded(), axis, shape=3))
    assert visited() == [1, 2, 3, 1.5]
    assert computed_again() == ""


def test_max_points_hold_for_pins(RE, computed_again, visited, meanwhile, graded, axis, peak):
    meanwhile(3, lambda: pin({"axis": 1.5}))
    RE(line(peak, graded(), axis, max_points=3))
    assert visited() == [1, 2, 3]
    assert computed_again() == ""


def test_a_pin_comes_first_in_the_next_batch(RE, decisions, computed_again, visited, meanwhile, graded, axis, peak):
    meanwhile(2, lambda: pin({"axis": 5.5}, by="anna"))
    RE(line(peak, graded(), axis, batch=3))
    assert visited() == [1, 2, 3, 5.5, 4, 5, 6]
    assert [row["reason"] for row in decisions() if "pin" in row["reason"]] == [
        "ring 0.35; anna pins axis=5.5",
        "ring 0.95; batch 2, place 1 of 3; the place that anna pinned",
    ]
    assert computed_again() == ""


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (lambda: pin({"axis": 7}), r"axis=7.0 is outside of the limits of the plan: pin a place from 0 to 6"),
        (lambda: pin({"axes": 3}), "the plan does not move axes: it moves axis"),
        (lambda: pin({"axis": 5.5}), "no frame may be taken there"),
        (lambda: pin({"axis": "3"}), "axis is '3': give a finite number"),
        (lambda: pin({"axis": float("nan")}), "give a finite number"),
        (lambda: pin({}), "give positions by motor's name"),
        (lambda: veto({"axis": (4, 3)}), "the veto goes from 4 to 3 along axis: give the lower end first"),
        (lambda: veto({"axis": (7, 9)}), "axis goes from 0 to 6: the veto is outside of that"),
        (lambda: veto({"other": 3}), "the plan does not move other: it moves axis"),
        (lambda: veto({"axis": (0, 6)}), "the region leaves 0.0%"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(RE, decisions, visited, meanwhile, graded, axis, peak, wish, says):
    errors = []

    def act():
        with pytest.raises(XTagValueError, match=says) as caught:
            wish()
        errors.append(caught)

    meanwhile(2, act)
    region = {"forbidden": [{"axis": [5, 6]}]}
    RE(tag_adaptive_scan([peak], graded(), "random", axis, 0, 6, max_points=4, region=region))
    assert errors and len(visited()) == 4
    assert not any(row["wishes"] for row in decisions())


def test_a_pin_of_one_motor_of_two_is_refused(RE, meanwhile, graded, axis, other, peak):
    errors = []

    def act():
        with pytest.raises(XTagValueError, match=r"a pin is a place of all motors: give other=\.\.\. too") as caught:
            pin({"axis": 3})
        errors.append(caught)

    meanwhile(2, act)
    RE(tag_adaptive_scan([peak], graded(), "random", axis, 0, 6, other, 0, 1, max_points=3))
    assert errors


def test_vetoes_of_two_people_count_together(RE, decisions, meanwhile, graded, axis, peak):
    errors = []

    def act():
        veto({"axis": (0, 3)}, by="anna")
        with pytest.raises(XTagValueError, match="the region leaves") as caught:
            veto({"axis": (3, 6)}, by="ben")
        errors.append(caught)

    meanwhile(1, act)
    RE(tag_adaptive_scan([peak], graded(), "random", axis, 0, 6, max_points=4))
    assert errors and decisions()[-1]["action"] == "stop"


def write(*lines):
    """Add lines to the file of the plan, as something else than this package would."""
    (path,) = wish_directory().iterdir()
    with open(path, "ab") as file:
        file.write(b"".join(lines))


def test_what_others_write_never_stops_the_plan(
    RE, decisions, computed_again, visited, meanwhile, graded, axis, peak, caplog
):
    lines = [
        b"\xff\xfe nonsense\n",
        b"[" * 5000 + b"\n",
        b'{"pin": 3}\n',
        b'{"pin": {"axis": 99}, "by": "e\\u001bve"}\n',
        b'{"veto": {"axis": [0, 9]}}\n',
        b'{"pin": {"axis": 2.5}, "by": "anna"}\n',
        b'{"pin": {"axis": 3.',  # that never ends
    ]
    meanwhile(2, lambda: write(*lines))
    RE(line(peak, graded(), axis))
    assert visited() == [1, 2, 2.5, 3, 4, 5, 6]
    reason = decisions()[2]["reason"]
    assert "refused: axis=99.0 is outside of the limits" in reason and "refused: the region leaves" in reason
    assert reason.endswith("anna pins axis=2.5")
    assert caplog.text.count("a wish is left out") == 3
    assert computed_again() == ""


def test_much_at_once_is_read_in_parts(RE, computed_again, visited, meanwhile, graded, axis, peak):
    meanwhile(1, lambda: write(b"x" * 200_000 + b"\n", b'{"pin": {"axis": 2.5}}\n'))
    RE(line(peak, graded(), axis))
    assert 2.5 in visited()
    assert computed_again() == ""


@pytest.mark.parametrize("how", ["others may write", "file in its place", "file is removed"])
def test_a_plan_runs_without_its_file(RE, visited, meanwhile, graded, axis, peak, runtime, caplog, how):
    if how == "others may write":
        wish_directory().mkdir(parents=True)
        wish_directory().chmod(0o777)
    elif how == "file in its place":
        (runtime / "bluesky_xtag").write_text("")
    else:
        meanwhile(2, lambda: [path.unlink() for path in wish_directory().iterdir()])
    RE(line(peak, graded(), axis))
    assert visited() == [1, 2, 3, 4, 5, 6]
    assert ("nobody can pin or veto" in caplog.text) == (how != "file is removed")


def test_without_a_plan_the_error_says_so(runtime):
    with pytest.raises(XTagError, match="no plan runs here that takes pins and vetoes: start tag_adaptive_scan"):
        pin({"axis": 3})


def test_a_plan_that_was_killed_is_not_told():
    wish_directory().mkdir(parents=True)
    left = wish_directory() / "killed.jsonl"
    left.write_text('{"run": "killed"}\n')
    with pytest.raises(XTagError, match="no plan runs here"):
        pin({"axis": 3})
    assert not left.exists()


@pytest.mark.parametrize("how", ["abort", "stop", "halt"])
def test_a_plan_that_was_ended_is_not_told(RE, graded, axis, peak, how):
    pause_after(RE, "primary", 2)
    with pytest.raises(RunEngineInterrupted):
        RE(line(peak, graded(), axis))
    pin({"axis": 3.25})
    getattr(RE, how)()
    with pytest.raises(XTagError, match="no plan runs here"):
        pin({"axis": 3.25})
    assert not list(wish_directory().iterdir())


def test_of_several_plans_one_is_named():
    offer = {"axes": {"axis": [0, 6]}, "region": None, "vetoes": True}
    one, two = (WishFile(run, "tag_adaptive_scan", offer) for run in ("aa1", "bb2"))
    with pytest.raises(XTagError, match="2 plans run: name the run, aa1 or bb2"):
        pin({"axis": 3})
    pin({"axis": 3}, run="bb", by="anna")
    assert (one.new(), two.new()) == ([], [{"pin": {"axis": 3}, "by": "anna"}])
    with pytest.raises(XTagError, match="no plan of run cc runs here"):
        pin({"axis": 3}, run="cc")
    one.close()
    two.close()


def test_a_strategy_of_another_make_takes_pins_only(RE, decisions, visited, meanwhile, graded, axis, peak):
    class Mine:
        told = 0

        def suggest(self, num_points=None):
            return [{"_id": self.told, "axis": 1.0}]

        def ingest(self, points):
            self.told += 1

        def skip(self, points): ...

        def get_best_points(self):
            return []

        def should_stop(self):
            return False

    errors = []

    def act():
        pin({"axis": 2.5}, by="anna")
        with pytest.raises(XTagValueError, match="is not one of bluesky_xtag") as caught:
            veto({"axis": 3})
        errors.append(caught)

    meanwhile(2, act)
    RE(tag_adaptive_scan([peak], graded(), Mine(), axis, 0, 6, max_points=4))
    assert errors and visited() == [1, 1, 2.5, 1]
