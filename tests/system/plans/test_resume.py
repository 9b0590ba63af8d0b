"""A map goes on from what stored runs know: their places and tags, with people's corrections."""

import bluesky.plans as bp
import pytest
from support.cameras import GradedModel

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import known_places, make, replay_decisions, tag_adaptive_scan
from bluesky_xtag.review import correct

TAGS = GradedModel.taxonomy.names


@pytest.fixture
def before(RE, graded, catalog, axis, other, peak):
    """A raster of the sample, stored: ten places along the axis."""
    tagger = graded(catalog=catalog)
    (uid,) = RE(bp.scan([peak], axis, 0, 6, other, 0, 0, num=10))
    tagger.uninstall()
    return uid


def more(peak, tagger, axis, other, **options):
    return tag_adaptive_scan([peak], tagger, "boundary", axis, 0, 6, other, -1, 1, tag="ring", **options)


def test_what_a_run_knows(catalog, before):
    points = known_places(catalog[before], ["axis", "other"], TAGS)
    assert [point["axis"] for point in points] == pytest.approx([6 * n / 9 for n in range(10)])
    best = max(points, key=lambda point: point["ring"])
    assert best["axis"] == pytest.approx(3, abs=0.5)
    assert set(best) == {"axis", "other", *TAGS}


@pytest.mark.parametrize("how", ["uid", "number", "run"])
def test_a_map_goes_on_from_it(RE, seen, graded, decisions, catalog, axis, other, peak, before, how):
    tagger = graded(catalog=catalog)
    run = {"uid": before[:12], "number": -1, "run": catalog[before]}[how]
    (uid,) = RE(more(peak, tagger, axis, other, max_points=4, resume=[run]))
    assert decisions(uid)[0]["reason"] == "10 places are known; the first new one"
    assert seen.stop(uid)["num_events"] == {"primary": 4, "tags": 4, "decisions": 5}
    again = replay_decisions(catalog[uid])
    assert again.equal, str(again)


def test_what_is_known_takes_the_place_of_the_first_places(RE, seen, graded, catalog, axis, other, peak, before):
    """Of the 16 first places of two motors 6 are left; then the strategy chooses."""
    tagger = graded(catalog=catalog)
    (uid,) = RE(more(peak, tagger, axis, other, max_points=7, resume=[before]))
    taken = [event["data"]["axis"] for event in seen.events("primary", uid)]
    spread = make("boundary", {"axis": (0, 6), "other": (-1, 1)}, tags=TAGS, tag="ring").suggest(7)
    places = [point["axis"] for point in spread]
    assert taken[:6] == pytest.approx(places[:6])
    assert taken[6] != pytest.approx(places[6])


def test_places_beyond_the_limits_are_left_out(RE, graded, decisions, catalog, axis, other, peak, before):
    plan = tag_adaptive_scan([peak], graded(), "boundary", axis, 0, 3, other, -1, 1, tag="ring", max_points=2,
                             resume=[catalog[before]])  # fmt: skip
    (uid,) = RE(plan)
    assert decisions(uid)[0]["reason"].startswith("5 places are known")


def test_what_a_person_said_is_certain(catalog, before):
    correct(catalog[before], 1, add=["ring"], by="someone")
    points = known_places(catalog[before], ["axis"], TAGS)
    assert points[0]["ring"] == 1.0
    assert points[1]["ring"] < 0.5


@pytest.mark.parametrize(
    ("resume", "says"),
    [
        ("uid", "is not a list of runs"),
        ([], "is not a list of runs"),
        (["nosuchrun"], "there is no run 'nosuchrun'"),
    ],
)
def test_what_is_not_there_is_told_before_the_run(RE, seen, graded, catalog, axis, other, peak, resume, says):
    with pytest.raises(XTagValueError, match=says):
        RE(more(peak, graded(catalog=catalog), axis, other, resume=resume))
    assert not seen.documents


def test_runs_that_do_not_fit_say_so(RE, graded, catalog, axis, other, peak, before):
    with pytest.raises(XTagValueError, match="the tagger has no catalogue"):
        RE(more(peak, graded(), axis, other, resume=[-1]))
    (uid,) = RE(bp.count([peak]))
    with pytest.raises(XTagValueError, match=f"run {uid} has no axis, other in its stream 'primary'"):
        RE(more(peak, graded(), axis, other, resume=[catalog[uid]]))
    tagger = graded()
    tagger.uninstall()
    (uid,) = RE(bp.scan([peak], axis, 0, 1, other, 0, 1, num=2))
    with pytest.raises(XTagValueError, match="resume: run .* has no stream 'tags'"):
        RE(more(peak, graded(), axis, other, resume=[catalog[uid]]))
