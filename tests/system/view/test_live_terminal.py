"""A session ends well although nobody reads what the live table writes."""

import subprocess
import sys

SESSION = """
import bluesky.plans as bp
from bluesky import RunEngine
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel
from bluesky_xtag import install
from bluesky_xtag.view import LiveTags

RE = RunEngine({})
install(RE, model=CountsModel())
RE.subscribe(LiveTags())
RE(bp.count([ArrayDetector(numbered((800, 16, 16)), shape=(800, 16, 16))], 2))
"""


def test_a_session_whose_output_nobody_reads_ends_by_itself():
    command = [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{SESSION}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.wait(120) == 0
            text, errors = process.stdout.read(), process.stderr.read()
        finally:
            process.kill()
    assert text.count(" ok ") > 100
    assert "the last lines of the live table are left out" in errors
