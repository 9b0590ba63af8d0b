"""However a session ends after a run, the summary that waits is on disk: worker processes run no exit handlers."""

import signal
import subprocess
import sys

import pytest
from support.places import ROOT

from bluesky_xtag.search.kept import read_summaries

ENDS = {
    "it returns": "return",
    "os._exit": "_exit",
    "it raises": "raise",
    "it was forked after the session had begun": "forked later",
    "SIGTERM": str(int(signal.SIGTERM)),
    "SIGKILL": str(int(signal.SIGKILL)),
    "SIGHUP": str(int(signal.SIGHUP)),
}


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_summaries_are_kept_however_the_process_ends(tmp_path, method, end):
    script = ROOT / "tests" / "support" / "session_ends.py"
    subprocess.run([sys.executable, "-W", "ignore", script, method, end, tmp_path], check=True, timeout=120)
    assert {found.run for found in read_summaries(tmp_path)} == {"run-0", "run-1", "run-2"}
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".jsonl"]
