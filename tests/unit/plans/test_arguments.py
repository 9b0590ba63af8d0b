"""Plans that are given what does not fit say so, with the remedy, before anything moves or is stored."""

import bluesky.plans as bp
import pytest
from ophyd.sim import SynAxis
from support.cameras import Camera, flat

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import expose_until, make, scan_until, skip_empty, tag_adaptive_scan
from bluesky_xtag.plans.strategies.boundary import Boundary

X, DET = SynAxis(name="x"), Camera(lambda seconds: flat(1))
LINE = {"motor": X, "start": 0, "stop": 4, "step": 1, "until": "ring"}
NAMES = ("empty", "ring")


def adaptive(tagger, *args, detectors=(DET,), strategy="random", **more):
    return tag_adaptive_scan(detectors, tagger, strategy, *(args or (X, 0, 10)), **more)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (lambda xtag: adaptive(xtag, X, "a", 10), "the lower limit of x is 'a': give a finite number"),
        (lambda xtag: adaptive(xtag, X, 0, None), "the upper limit of x is None"),
        (lambda xtag: adaptive(xtag, "x", 0, 1), "'x' is not a motor"),
        (lambda xtag: adaptive(xtag, X, 0, 10, X, 0, 5), "x is given twice"),
        (lambda xtag: adaptive(xtag, max_points=None), "max_points=None must be a whole number"),
        (lambda xtag: adaptive(xtag, max_points=2.5), "max_points=2.5 must be a whole number"),
        (lambda xtag: adaptive("xtag"), "'xtag' is not a tagger: give what install"),
        (lambda xtag: adaptive(xtag, detectors=DET), r"det is not in a list: give a list of detectors, \[det\]"),
        (lambda xtag: adaptive(xtag, detectors=[]), "the list of detectors is empty"),
        (lambda xtag: adaptive(xtag, detectors=["det"]), "'det' cannot be read"),
        (lambda xtag: adaptive(xtag, strategy=Boundary), "is not a strategy: name one of"),
        (
            lambda xtag: adaptive(xtag, strategy=make("random", {"x": (0, 100)}, tags=NAMES)),
            "the strategy moves x from 0 to 100, the plan from 0 to 10",
        ),
        (lambda xtag: scan_until([DET], xtag, **LINE | {"motor": "x"}), "'x' is not a motor"),
        (lambda xtag: scan_until([DET], xtag, **LINE | {"step": None}), "step is None"),
        (lambda xtag: scan_until([DET], xtag, **LINE | {"stop": "4"}), "stop is '4'"),
        (lambda xtag: scan_until([DET], xtag, **LINE | {"until": "ring>80"}), "at most 1: write 0.9 for 90 %"),
        (lambda xtag: expose_until([DET], xtag, good="ring", limits=1), "limits=1: give the shortest"),
        (lambda xtag: expose_until([DET], xtag, exposure="cam"), "exposure='cam' is not a signal: give the object"),
        (lambda xtag: skip_empty(bp.count([DET]), xtag, "0.02"), "probe_exposure is '0.02'"),
        (lambda xtag: skip_empty(bp.count, xtag, 0.02), "is not a plan: give one such as"),
        (lambda xtag: skip_empty([DET], xtag, 0.02), "is not a plan: give one such as"),
        (lambda xtag: skip_empty(xtag, bp.count([DET]), 0.02), "is not a plan: give one such as"),
        (lambda xtag: skip_empty(bp.count([DET]), xtag, 0.02, probes=True), "probes=True"),
        (lambda xtag: skip_empty(scan_until([DET], xtag, **LINE), xtag, 0.02), "scan_until already decides by tags"),
    ],
)
def test_what_does_not_fit_is_named_before_a_run_begins(RE, seen, tag, plan, message):
    with pytest.raises(XTagValueError, match=message):
        RE(plan(tag()))
    assert not seen.documents


def test_a_probe_that_spares_nothing_is_refused_before_a_frame_is_taken(RE, seen, tag):
    with pytest.raises(XTagValueError, match=r"probe of 1 s is not shorter than the exposure of 1 s .*det_cam_acqui"):
        RE(skip_empty(bp.count([Camera(lambda seconds: flat(1))]), tag(), 1.0))
    assert not list(seen.events("primary"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "phases", "ignore": ["rnig"]}, "no tag rnig to ignore; known tags: empty, ring"),
        ({"name": "random", "points": 0}, "points=0"),
        ({"name": "random", "seed": -1}, "seed=-1"),
        ({"name": "boundary", "tag": "ring", "tolerance": "small"}, "boundary cannot be made with .*small"),
        ({"name": "random", "axes": [("x", 0, 10)]}, "are not axes: give them by name"),
        ({"name": "random", "axes": {"x": ("a", 10)}}, r"the axis x is \('a', 10\)"),
    ],
)
def test_what_does_not_fit_a_strategy_is_named(arguments, message):
    with pytest.raises(XTagValueError, match=message):
        make(**{"axes": {"x": (0, 10)}, "tags": NAMES} | arguments)


def test_one_tag_to_ignore_needs_no_list():
    one, listed = (make("phases", {"x": (0, 1)}, tags=NAMES, ignore=ignore) for ignore in ("ring", ["ring"]))
    assert one._used == listed._used == [0]
