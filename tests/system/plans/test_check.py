"""Decisions are computed again from what is stored, and what differs is named."""

import json

import bluesky.plans as bp
import pandas as pd
import pytest
from ophyd.sim import SynAxis
from support.cameras import Camera, GradedModel, flat
from typer.testing import CliRunner

from bluesky_xtag.catalog import as_run
from bluesky_xtag.catalog.tiled import TiledRun
from bluesky_xtag.cli import app
from bluesky_xtag.errors import XTagError
from bluesky_xtag.plans import expose_until, make, replay_decisions, scan_until, skip_empty, tag_adaptive_scan
from bluesky_xtag.plans.decisions import make_decider
from bluesky_xtag.plans.strategies import NAMES


@pytest.fixture
def store(catalog):
    """A function that returns a stored run."""
    return catalog.__getitem__


@pytest.fixture
def tiled(RE, tiled_sqlite_catalog):
    """The embedded catalogue, subscribed."""
    from bluesky_tiled_plugins import TiledWriter

    RE.subscribe(TiledWriter(tiled_sqlite_catalog))
    return tiled_sqlite_catalog


@pytest.fixture
def axis():
    return SynAxis(name="axis")


@pytest.fixture
def det(axis):
    return Camera(lambda seconds: flat(int(250 * axis.position * seconds)))


@pytest.mark.filterwarnings("ignore:.*actually has dtype:UserWarning")  # databroker, of NaN
@pytest.mark.parametrize("catalog", ["databroker.temp", "tiled sqlite"], indirect=True)
def test_every_plan_comes_out_equal(RE, seen, tag, store, axis, det):
    tagger = tag(model=GradedModel())
    plans = [
        tag_adaptive_scan([det], tagger, "random", axis, 0, 4, tag="ring", max_points=3),
        scan_until([det], tagger, axis, 0, 4, 1, until="ring>0.4 for 2"),
        expose_until([det], tagger, limits=(0.5, 10)),
        skip_empty(bp.scan([det], axis, 0, 2, 3), tagger, 0.1, empty="ring<0.02", probes=2),
    ]
    for plan in plans:
        (uid,) = RE(plan)
        run = store(uid)
        again = replay_decisions(run)
        assert again.equal, str(again)
        assert again.decisions == seen.stop(uid)["num_events"]["decisions"] >= 2
        emitted = pd.DataFrame([event["data"] for event in seen.events("decisions", uid)])
        stored = as_run(run).table("decisions").drop(columns="time").reset_index(drop=True)
        pd.testing.assert_frame_equal(stored, emitted, check_dtype=True)


def looks_for(name):
    try:
        make(name, {"axis": (0, 1)}, tags=["ring"])
    except ValueError:
        return "ring"
    return None


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_decides_the_same_again(RE, tag, tiled, axis, det, name):
    other = SynAxis(name="other")
    plan = tag_adaptive_scan(
        [det], tag(model=GradedModel()), name, axis, 0, 4, other, 0, 1, tag=looks_for(name), max_points=12
    )
    (uid,) = RE(plan)
    again = replay_decisions(tiled[uid])
    assert again.equal, str(again)


def test_options_of_a_strategy_are_kept(RE, tag, tiled, axis, det):
    tagger = tag(model=GradedModel())
    strategy = make("random", {"axis": (0, 4, 0.5)}, tags=tagger.model.taxonomy.names, seed=7, points=3)
    (uid,) = RE(tag_adaptive_scan([det], tagger, strategy, axis, 0, 4))
    assert replay_decisions(tiled[uid]).equal
    settings = as_run(tiled[uid]).descriptor("decisions")["configuration"]["decisions"]["data"]["decision_settings"]
    assert json.loads(settings)["recipe"]["options"] == {"points": 3}


@pytest.fixture
def decided(RE, tag, tiled, axis, det):
    """A stored scan_until, and its tables for a test to change."""
    (uid,) = RE(scan_until([det], tag(model=GradedModel()), axis, 0, 4, 1, until="ring>0.4 for 2"))
    return tiled[uid]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("decision_action", "skip", "decision 3: decision_action is stored as 'skip', but computed again it is 'move'"),
        ("decision_to_axis", 2.5, "decision 3: decision_to_axis is stored as 2.5, but computed again it is 2.0"),
        ("decision_p", 0.5, "decision 3: decision_p is stored as 0.5, but computed again it is 0.25"),
        ("decision_row", 7, "decision 3 uses row 7 of the stream 'tags', which is not stored"),
    ],
)
def test_the_first_divergence_is_named(decided, monkeypatch, column, value, says):
    """What is stored is changed on its way in, as a damaged store or other code would have it."""
    read = TiledRun.table

    def changed(run, stream):
        table = read(run, stream)
        if stream == "decisions":
            table.loc[[3, 4], column] = value
        return table

    monkeypatch.setattr(TiledRun, "table", changed)
    again = replay_decisions(decided)
    assert not again.equal
    assert again.divergence == says


def test_other_tags_lead_to_another_decision(decided, monkeypatch):
    read = TiledRun.table

    def changed(run, stream):
        table = read(run, stream)
        if stream == "tags":
            table.loc[2, "xtag_p_ring"] = 0.9
        return table

    monkeypatch.setattr(TiledRun, "table", changed)
    assert "decision 3: decision_p" in replay_decisions(decided).divergence


@pytest.mark.parametrize("how", ["function", "used strategy", "strategy of another make"])
def test_what_cannot_be_computed_again_says_so(RE, tag, tiled, axis, det, how):
    tagger = tag(model=GradedModel())
    if how == "function":
        plan = scan_until([det], tagger, axis, 0, 2, 1, until=lambda seen: False)
    else:
        strategy = make("random", {"axis": (0, 4)}, tags=tagger.model.taxonomy.names)
        if how == "used strategy":
            strategy.suggest()
        else:
            strategy = type("Mine", (type(strategy),), {})({"axis": (0, 4)}, tags=tagger.model.taxonomy.names)
        plan = tag_adaptive_scan([det], tagger, strategy, axis, 0, 4, max_points=2)
    (uid,) = RE(plan)
    with pytest.raises(XTagError, match="cannot be computed again: a function, or a strategy"):
        replay_decisions(tiled[uid])


def test_a_run_without_decisions_says_so(RE, tag, tiled, axis, det):
    tag()
    (uid,) = RE(bp.scan([det], axis, 0, 1, 2))
    with pytest.raises(XTagError, match=f"run {uid} has no stream 'decisions'"):
        replay_decisions(tiled[uid])


def test_deciders_of_a_later_version_say_so():
    with pytest.raises(XTagError, match="a newer version"):
        make_decider({"known": True, "decider": "by_magic"})


def test_the_command(RE, tag, axis, det, tmp_path):
    from bluesky_tiled_plugins import TiledWriter

    from bluesky_xtag.catalog import open_catalog

    catalog = open_catalog(tmp_path / "catalog")
    RE.subscribe(TiledWriter(catalog))
    (uid,) = RE(scan_until([det], tag(model=GradedModel()), axis, 0, 4, 1, until="ring>0.4 for 2"))
    catalog.context.close()
    for run in ("-1", uid):
        done = CliRunner().invoke(app, ["decisions", str(tmp_path / "catalog"), "--run", run])
        assert done.exit_code == 0, done.output
        assert f"run {uid}: 5 decisions, all equal when computed again" in done.output
    done = CliRunner().invoke(app, ["decisions", str(tmp_path / "catalog"), "--run", "nosuchrun"])
    assert done.exit_code == 2
    assert "there is no run 'nosuchrun'" in done.output
