"""The demo and the profile over Channel Access, as users start them."""

import re
import runpy

import bluesky.plans as bp
import pytest
from ophyd.signal import EpicsSignalBase
from support.demos import demo
from support.places import ROOT


def test_the_demo_scans_over_channel_access(tmp_path):
    done = demo(tmp_path, "--epics", "--points", "2", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "IOC on port" in done.stdout
    assert re.search(r"rows +4: ", done.stdout)
    assert re.search(r"agreement +\d+ of \d+ known tags right", done.stdout)
    assert "Traceback" not in done.stderr


@pytest.fixture
def before_any_signal(monkeypatch):
    """A session in which ophyd has made no signal, as a profile finds it."""
    for name in (
        "any_instantiated",
        *(f"default_{each}" for each in ("connection_timeout", "timeout", "write_timeout")),
    ):
        place = f"_EpicsSignalBase__{name}"
        monkeypatch.setattr(EpicsSignalBase, place, getattr(EpicsSignalBase, place))  # set back afterwards
    EpicsSignalBase._EpicsSignalBase__any_instantiated = False


def test_the_devices_of_the_profile_are_ready(before_any_signal, beamline, RE, seen, tag, tmp_path):
    startup = ROOT / "profiles" / "epics" / "startup"
    names = runpy.run_path(str(startup / "20-devices.py"), init_globals={"frames_directory": tmp_path / "raw"})
    assert names["det"].hdf5.capture.write_timeout == 20, "else a file that cannot be opened stops the session"
    tagger = tag(deadline=60.0)
    assert [finding for finding in tagger.check(names["det"]) if finding.kind == "change"] == []
    RE(bp.scan([names["det"], names["monitor"]], names["x"], 4, 6, 3))
    seen.assert_scan_went_well(3)
    assert seen.statuses() == {"ok": 3}
    for name in ("det", "x", "y", "monitor"):
        names[name].destroy()


def test_the_other_files_of_the_profile_run_those_of_the_profile_xtag():
    startup, seen = ROOT / "profiles" / "epics" / "startup", []
    others = {path for path in startup.glob("*.py")} - {startup / "00-ioc.py", startup / "20-devices.py"}
    for path in sorted(others):
        assert path.is_file() and not path.is_symlink(), "a checkout need not keep links"
        found = re.search(r'"(\d\d-\w+\.py)"', path.read_text("utf-8"))
        seen.append(found[1])
        assert (ROOT / "profiles" / "xtag" / "startup" / found[1]).is_file()
    assert seen == ["00-runengine.py", "20-tagging.py", "30-plans.py"]
    assert "watch" in runpy.run_path(str(startup / "40-plans.py"))


def test_frames_of_a_file_cannot_be_put_before_the_ioc(tmp_path):
    done = demo(tmp_path, "--epics", "--frames", "frames.h5")
    assert done.returncode == 2
    assert "leave out --frames or --epics" in done.stderr
