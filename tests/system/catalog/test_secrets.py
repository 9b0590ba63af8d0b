"""Keys and passwords of a catalogue's address are shown nowhere."""

import gc
import logging
import subprocess
import sys
import traceback
from types import SimpleNamespace

import httpx
import pytest
from support.archives import record
from support.places import ROOT

from bluesky_xtag import CatalogError, XTagError
from bluesky_xtag.catalog import as_catalog, catalog_errors, open_any
from bluesky_xtag.catalog.tiled import TiledCatalog
from bluesky_xtag.search import LiveSummary

ADDRESSES = (
    "http://127.0.0.1:9/?api_key=hunter22",
    "http://me:hunter22@127.0.0.1:9/api/v1",
    "https://hunter22@127.0.0.1:9/",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_server_that_is_not_there(address):
    with pytest.raises(XTagError) as caught:
        open_any(address, api_key="hunter23")
    lines = "".join(traceback.format_exception(caught.value)).splitlines()
    assert not [line for line in lines if "hunter2" in line and not line.startswith("    ")]
    assert "hunter2" not in str(caught.value)


def test_a_traceback_holds_no_secret():
    request = httpx.Request("GET", "https://me:hunter22@host/?api_key=hunter23")
    for error in (
        httpx.ConnectError("https://me:hunter22@host is not there"),
        httpx.HTTPStatusError("for https://host/?api_key=hunter23", request=request, response=httpx.Response(500)),
        OSError("https://me:hunter22@host"),
    ):
        with pytest.raises(XTagError) as caught, catalog_errors("https://me:hunter22@host/?api_key=hunter23"):
            raise error
        text = "".join(traceback.format_exception(caught.value))
        assert "hunter2" not in "".join(line for line in text.splitlines() if not line.startswith("    "))


def test_a_name_that_is_no_catalogue_holds_no_secret():
    with pytest.raises(XTagError) as caught:
        open_any("ftp://me:hunter22@host")
    assert "hunter2" not in str(caught.value)


def test_a_command_shows_none():
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bluesky_xtag.cli import app; app()"
    command = [sys.executable, "-W", "ignore", "-c", script, "summarise", ADDRESSES[0], "--api-key", "hunter23"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1
    assert "could not be opened" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


class Away:
    """A catalogue whose server refuses with an error that names its address and key."""

    name = "away"

    def get(self, uid):
        raise httpx.ConnectError("http://me:hunter22@host/?api_key=hunter23 does not answer")

    find = get


def test_a_summary_that_is_not_stored_logs_none(tmp_path, caplog):
    writer = LiveSummary(Away(), tmp_path, patience=0.0)
    with caplog.at_level(logging.DEBUG):
        record(writer, [95])
        assert writer.flush()
        writer.close()
    assert "is not in the catalogue" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_name_of_a_catalogue_holds_none(tiled_server):
    uri = tiled_server.uri("sqlite")
    catalog = open_any(f"{uri}?api_key={tiled_server.key}")
    try:
        assert tiled_server.key not in as_catalog(catalog).name
    finally:
        catalog.context.close()
    with pytest.raises(CatalogError) as caught:
        open_any(f"{uri}?api_key=hunter22hunter22")
    assert "hunter2" not in str(caught.value)
    del caught
    gc.collect()  # Tiled leaves the connection open that was refused


def test_the_name_of_a_catalogue_holds_no_password():
    """Tiled takes a key out of an address, but not the password of its user."""
    client = SimpleNamespace(uri="http://me:hunter22@host/api/v1/metadata/")
    assert TiledCatalog(client).name == "http://***@host/api/v1/metadata/"
