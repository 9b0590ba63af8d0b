"""The catalogue fails in every way it can: the scan is untouched, nothing is lost, the next call completes it."""

import os
import signal
import time

import bluesky.plans as bp
import pytest
from bluesky_tiled_plugins import TiledWriter
from support.exposures import Numbered
from support.models import GradedModel
from typer.testing import CliRunner

from bluesky_xtag.catalog import open_any
from bluesky_xtag.cli import app
from bluesky_xtag.search import runs_with_tag, tags
from bluesky_xtag.search.kept import read_summaries
from bluesky_xtag.simulate import PhotonCounter, motor


class Bright(Numbered):
    """Frames whose first pixel says where the motor stands."""

    fixed_beam = False

    def expose(self, x, y, seconds):
        frame = super().expose(x, y, seconds)
        frame[0, 0] = round(x)
        return frame


@pytest.fixture
def beamline(tmp_path):
    """A detector that writes files, and a motor."""
    x, y = motor("x"), motor("y")
    return PhotonCounter(name="det", exposures=Bright(), x=x, y=y, directory=tmp_path / "frames", exposure=0.0), x


@pytest.fixture
def catalog(tiled_server, monkeypatch):
    """A client of the server, which does not try again for long."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 2)
    client = open_any(tiled_server.uri("sqlite"), tiled_server.key)
    yield client
    client.context.close()


def recovered(server, backup):
    """Recover what was kept, as a person does."""
    done = CliRunner().invoke(app, ["recover", server.uri("sqlite"), str(backup)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert list(backup.iterdir()) == []
    return done.stdout


def scanned(RE, seen, beamline, during=lambda: None):
    """Take a run of three points, with something that happens after the first; return its uid."""
    detector, x = beamline

    def plan():
        yield from bp.scan([detector], x, 92, 96, 3)

    happened = []

    def happen(name, doc):
        if name == "event" and not happened:
            happened.append(True)
            during()

    token = RE.subscribe(happen)
    (uid,) = RE(plan())
    RE.unsubscribe(token)
    seen.assert_scan_went_well(3)
    assert seen.statuses() == {"ok": 3}
    return uid


def test_a_server_that_is_killed_and_comes_again(RE, seen, tag, beamline, catalog, tiled_server, tmp_path, monkeypatch):
    backup = tmp_path / "backup"
    backup.mkdir()
    RE.subscribe(TiledWriter(catalog, backup_directory=str(backup)))
    tagger = tag(model=GradedModel(), catalog=catalog, backup=backup)
    uid = scanned(RE, seen, beamline, during=tiled_server.kill)
    tagger.uninstall()
    assert [found.run for found in read_summaries(backup)] == [uid]

    tiled_server.start()
    monkeypatch.setenv("TILED_API_KEY", tiled_server.key)
    assert "recovered 1 runs and 1 summaries" in recovered(tiled_server, backup)
    assert uid in list(runs_with_tag(catalog, "ring"))
    assert list(tags(catalog[uid])["xtag_p_ring"]) == pytest.approx([0.92, 0.94, 0.96])
    assert catalog[uid]["primary"]["det_image"].shape[0] == 3


def test_a_permission_that_is_withdrawn(RE, seen, tag, beamline, catalog, tiled_server, tmp_path, monkeypatch):
    backup = tmp_path / "backup"
    RE.subscribe(TiledWriter(catalog))
    reader = open_any(tiled_server.uri("sqlite"))
    tagger = tag(model=GradedModel(), catalog=reader, backup=backup)
    uid = scanned(RE, seen, beamline)
    tagger.uninstall()
    reader.context.close()
    assert [found.run for found in read_summaries(backup)] == [uid]
    assert "xtag" not in catalog[uid].metadata["start"]

    refused = CliRunner().invoke(app, ["recover", tiled_server.uri("sqlite"), str(backup)])
    assert (refused.exit_code, [found.run for found in read_summaries(backup)]) == (1, [uid])
    assert "does not allow you to do that" in refused.stderr
    monkeypatch.setenv("TILED_API_KEY", tiled_server.key)
    assert "recovered 0 runs and 1 summaries" in recovered(tiled_server, backup)
    assert uid in list(runs_with_tag(catalog, "ring"))


def test_a_disk_that_is_full(RE, seen, tag, beamline, catalog, tiled_server, tmp_path, monkeypatch):
    backup = tmp_path / "backup"
    backup.mkdir()
    RE.subscribe(TiledWriter(catalog, backup_directory=str(backup)))
    tagger = tag(model=GradedModel(), catalog=catalog, backup=backup)
    with tiled_server.full_disk():
        uid = scanned(RE, seen, beamline)
        tagger.uninstall()
        assert [found.run for found in read_summaries(backup)] == [uid]
    monkeypatch.setenv("TILED_API_KEY", tiled_server.key)
    assert "recovered 1 runs and 1 summaries" in recovered(tiled_server, backup)
    assert uid in list(runs_with_tag(catalog, "ring"))


def test_a_server_that_does_not_answer_holds_nothing_up(RE, seen, tag, beamline, catalog, tiled_server, tmp_path):
    tagger = tag(model=GradedModel(), catalog=catalog, backup=tmp_path / "backup")
    os.kill(tiled_server.pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        uid = scanned(RE, seen, beamline)
        taken = time.monotonic() - begin
        tagger.uninstall()
        ended = time.monotonic() - begin - taken
    finally:
        os.kill(tiled_server.pid, signal.SIGCONT)
    assert taken < 10  # the client's own patience is 30 s
    assert ended < 10
    assert [found.run for found in read_summaries(tmp_path / "backup")] == [uid]


def test_a_backup_that_cannot_be_written_does_not_harm_the_scan(RE, seen, tag, beamline, request, tmp_path, caplog):
    import databroker

    broker = databroker.temp()
    request.addfinalizer(broker.v2.context.close)
    file = tmp_path / "file"
    file.touch()
    tagger = tag(model=GradedModel(), catalog=broker, backup=file)
    scanned(RE, seen, beamline)
    tagger.uninstall()
    assert "is neither stored" in caplog.text
