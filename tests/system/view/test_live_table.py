"""The live table with real detectors of ophyd-async, and in a real kernel of Jupyter."""

import io
import re

import bluesky.plans as bp
import pytest
from jupyter_client.manager import start_new_kernel
from ophyd.sim import SynAxis
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, init_devices
from ophyd_async.sim import SimBlobDetector, SimMotor
from rich.console import Console
from support.places import ROOT

from bluesky_xtag.view import LiveTags

RUN = """
import sys
sys.path.insert(0, {tests!r})
import bluesky.plans as bp
from bluesky import RunEngine
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel
from ophyd.sim import motor
from bluesky_xtag import install
from bluesky_xtag.view import LiveTags
RE = RunEngine({{}})
tagger = install(RE, model=CountsModel())
RE.subscribe(LiveTags({arguments}))
"""


@pytest.fixture
def lines(RE):
    """The lines of frames that the table of this RunEngine writes."""
    file = io.StringIO()
    table = LiveTags(console=Console(file=file, width=140))
    RE.subscribe(table)
    return lambda: [line for line in file.getvalue().splitlines() if re.match(r" +\d+ ", line)]


@pytest.fixture
def blob(RE, tmp_path):
    with init_devices():
        blob = SimBlobDetector(StaticPathProvider(StaticFilenameProvider("frames"), tmp_path), name="blob")
    return blob


def sim_motor(name):
    with init_devices():
        moved = SimMotor(name=name, instant=True)
    return moved


def test_positions_stand_beside_the_frames_of_ophyd_async(RE, tag, lines, blob):
    tag()
    m, other = sim_motor("m"), SynAxis(name="other")
    RE(bp.scan([blob], m, 1.5, 3.5, other, -1, 1, num=3))
    assert [line.split()[1:3] for line in lines()] == [["1.500", "-1.000"], ["2.500", "0.000"], ["3.500", "1.000"]]


def test_positions_of_a_grid_and_of_several_runs(RE, tag, lines, blob):
    tag(wait="point")
    m, n = sim_motor("m"), sim_motor("n")
    RE(bp.grid_scan([blob], m, 0, 1, 2, n, 5, 6, 2))
    RE(bp.scan([blob], n, 7, 8, 2))
    assert [line.split()[1:3] for line in lines()[:4]] == [
        ["0.000", "5.000"],
        ["0.000", "6.000"],
        ["1.000", "5.000"],
        ["1.000", "6.000"],
    ]
    assert [line.split()[1] for line in lines()[4:]] == ["7.000", "8.000"]


@pytest.fixture(scope="module")
def kernel(request):
    manager, client = start_new_kernel(startup_timeout=120)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def execute(kernel):
    """A function that runs code in the kernel and returns what it shows."""

    def execute(code):
        outputs = []
        reply = kernel.execute_interactive(code, timeout=120, output_hook=outputs.append)
        assert reply["content"]["status"] == "ok", reply["content"]
        return [each for each in outputs if each["msg_type"] not in ("status", "execute_input")]

    return execute


@pytest.mark.parametrize("arguments", ["", "progress=True"])
def test_jupyter_shows_one_output_for_all_lines(execute, arguments):
    execute(RUN.format(tests=str(ROOT / "tests"), arguments=arguments))
    outputs = execute("RE(bp.scan([ArrayDetector(numbered())], motor, 1, 2, 5));")
    assert {(each["msg_type"], each["content"]["name"]) for each in outputs} == {("stream", "stdout")}
    text = re.sub(r"\x1b\[[\d;]*m", "", "".join(each["content"]["text"] for each in outputs))
    assert [line.split()[0] for line in text.splitlines()] == ["#", "1", "2", "3", "4", "5", "5"]
    assert "\x1b" not in text, "a terminal's commands other than colours"


def test_jupyter_shows_what_check_found_once(execute):
    execute(RUN.format(tests=str(ROOT / "tests"), arguments=""))
    printed, result = execute("tagger.check(ArrayDetector(numbered()))")
    assert printed["content"]["text"].count("image: ") == 1 and "✓" in printed["content"]["text"]
    assert re.fullmatch(r"<\d findings, 0 to be changed>", result["content"]["data"]["text/plain"])
    assert set(result["content"]["data"]) == {"text/plain"}
