"""`xtag serve` as systemd starts and stops it."""

import configparser
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import bluesky.plans as bp
import pytest
import typer
from support.buses import Heard, running_proxy, zeromq
from support.detectors import ArrayDetector, numbered
from support.places import ROOT
from typer.testing import CliRunner

from bluesky_xtag.catalog import as_catalog, open_catalog
from bluesky_xtag.cli import app

PAGE = (ROOT / "docs" / "how-to" / "serve.md").read_text("utf-8")
UNIT = re.search(r"^```ini\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.timeout(300)
def test_it_tells_that_it_is_ready_and_ends_the_run_when_it_is_told_to_stop(RE, tmp_path):
    taken = []
    RE.subscribe(lambda name, doc: taken.append((name, doc)))
    RE(bp.count([ArrayDetector(numbered())], 3))
    uid = taken[0][1]["uid"]
    open_catalog(tmp_path / "catalog").context.close()
    with running_proxy() as ports, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(200)
        with closing(zeromq(ports)) as bus:
            bus.join(60)
            heard = Heard(bus)
            command = [str(Path(sys.executable).parent / "xtag"), "serve", str(tmp_path / "catalog")]
            command += ["--subscribe", f"127.0.0.1:{ports[1]}", "--publish", f"127.0.0.1:{ports[0]}"]
            environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "PYTHONPATH": str(ROOT)}
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as service:
                try:
                    assert systemd.recv(100) == b"READY=1"
                    for name, doc in taken[:-1]:
                        bus.send(name, doc)
                    heard.listen(lambda: heard.derived(uid) and len(heard.rows(heard.derived(uid)[0]["uid"])) == 3)
                    service.send_signal(signal.SIGTERM)
                    told, _ = service.communicate(timeout=60)
                finally:
                    service.kill()
            derived = heard.derived(uid)[0]["uid"]
            heard.listen(lambda: heard.stop(derived))
    assert service.returncode == 0
    assert told.startswith("ready: ") and told.endswith("stopped: 1 runs, 3 frames\n")
    assert heard.stop(derived)["exit_status"] == "abort"
    catalog = open_catalog(tmp_path / "catalog")
    stored = as_catalog(catalog).find(derived)
    assert stored.stop["reason"] == "xtag serve was stopped" and len(stored.table("tags")) == 3
    catalog.context.close()


def parsed(command):
    """What the command understands of a line of the page."""
    _, name, *arguments = shlex.split(command, comments=True)
    group = typer.main.get_command(app)
    return group.commands[name].make_context(name, arguments).params


def test_the_lines_of_the_page_are_understood():
    lines = re.findall(r"^xtag serve .*$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        assert parsed(line)["catalog"] == "my-catalog"


def test_the_unit_file_of_the_page_is_one(tmp_path):
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string(UNIT)
    assert unit["Service"]["Type"] == "notify"
    options = parsed(unit["Service"]["ExecStart"])
    assert options["subscribe"] and options["publish"] and [str(root) for root in options["roots"]] == ["/data"]
    try:
        path = tmp_path / "xtag.service"
        path.write_text(UNIT.replace("/opt/xtag/bin/xtag", sys.executable).replace("User=xtag", "User=root"))
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not here: the file was read, but not by systemd")
    assert "Unknown" not in done.stderr and done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name the bus: --subscribe and --publish"),
        (["--subscribe", "a:1"], "name the bus"),
        (["--kafka", "a:1"], "--topic"),
        (["--kafka", "a:1", "--topic", "t", "--subscribe", "b:1"], "name one bus"),
        (["--subscribe", "a:1", "--publish", "b:1", "--format", "pickle"], "choose one of msgpack, json"),
        (["--subscribe", "127.0.0.1:1", "--publish", "127.0.0.1:2", "--root", "/nowhere"], "'/nowhere' is not a dir"),
        (["--subscribe", "127.0.0.1:1", "--publish", "127.0.0.1:2", "--backend", "tcp://host:8786"], "--insecure"),
    ],
)
def test_what_does_not_fit_is_explained(arguments, told):
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert done.exit_code == 2 and told in done.output.replace("\n", " ")
