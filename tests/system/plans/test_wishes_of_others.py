"""A person in another terminal pins and vetoes places with the command `xtag`, and the plan goes by it."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from bluesky_xtag.catalog import as_run
from bluesky_xtag.cli import app
from bluesky_xtag.plans import make, replay_decisions, tag_adaptive_scan

PROGRAM = "from bluesky_xtag.cli import app; app()"


@pytest.fixture(autouse=True)
def runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def at_first_frame(RE, act):
    done = []

    def callback(name, doc):
        if name == "event" and "axis" in doc["data"] and not done:
            done.append(None)
            act()

    RE.subscribe(callback)


def scan(RE, tagger, det, axis):
    strategy = make("grid", {"axis": (-3, 3)}, tags=tagger.model.taxonomy.names, tag="ring", shape=7)
    return RE(tag_adaptive_scan([det], tagger, strategy, axis, -3, 3))


def test_another_process_is_heard(RE, seen, graded, axis, peak, tiled_sqlite_catalog):
    from bluesky_tiled_plugins import TiledWriter

    RE.subscribe(TiledWriter(tiled_sqlite_catalog))
    told = []

    def act():
        for words in (["pin", "axis=-0.5", "--by", "anna"], ["veto", "axis=1.5:2.5", "--by", "ben"]):
            told.append(subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True))

    at_first_frame(RE, act)
    (uid,) = scan(RE, graded(deadline=30), peak, axis)
    assert [done.returncode for done in told] == [0, 0], told
    assert told[0].stdout.startswith("anna pins axis=-0.5; tag_adaptive_scan (run ")
    assert [event["data"]["axis"] for event in seen.events("primary")] == [-3, -0.5, -2, -1, 0, 1, 3]
    again = replay_decisions(tiled_sqlite_catalog[uid])
    assert again.equal, str(again)
    stored = as_run(tiled_sqlite_catalog[uid]).table("decisions")
    assert stored["decision_reason"].iloc[1].endswith("anna pins axis=-0.5; ben vetoes axis=1.5 to 2.5")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pin", "axis=9"], "xtag: axis=9.0 is outside of the limits of the plan: pin a place from -3 to 3"),
        (["pin", "x=1"], "xtag: the plan does not move x: it moves axis"),
        (["pin", "axis=one"], "xtag: 'axis=one' is not a position: give for example x=3.2"),
        (["pin", "1"], "xtag: '1' names no motor: give for example x=3.2"),
        (["veto", "axis=2:1"], "xtag: the veto goes from 2 to 1 along axis: give the lower end first"),
        (["veto", "axis=-3:3"], "xtag: the region leaves 0.0%"),
    ],
)
def test_what_cannot_be_done_ends_with_an_error(RE, seen, graded, axis, peak, words, says):
    told = []
    at_first_frame(RE, lambda: told.append(CliRunner().invoke(app, words)))
    scan(RE, graded(), peak, axis)
    assert told[0].exit_code == 2 and says in told[0].output
    assert len(seen.events("primary")) == 7


def test_without_a_plan():
    done = CliRunner().invoke(app, ["veto", "x=1"])
    assert done.exit_code == 1
    assert "xtag: no plan runs here that takes pins and vetoes: start tag_adaptive_scan first" in done.output
