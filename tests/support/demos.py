"""The demo as a user starts it."""

import os
import subprocess
import sys


def demo(directory, *arguments, command="demo"):
    """Run `xtag demo`, or `xtag map`, in a directory, with the catalogue in its directory `catalog`."""
    code = "from bluesky_xtag.cli import app; app(prog_name='xtag')"
    started = [sys.executable, "-c", code, command, "--catalog", "catalog", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "150"}
    return subprocess.run(started, cwd=directory, capture_output=True, text=True, env=environment, timeout=240)
