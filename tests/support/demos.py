"""The demo as a user starts it, and within this process, which need not load TensorFlow and Tiled again."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from bluesky_xtag.cli import app


def demo(directory, *arguments, command="demo"):
    """Run `xtag demo`, or `xtag map`, in a directory, with the catalogue in its directory `catalog`."""
    code = "from bluesky_xtag.cli import app; app(prog_name='xtag')"
    started = [sys.executable, "-c", code, command, "--catalog", "catalog", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "150"}
    return subprocess.run(started, cwd=directory, capture_output=True, text=True, env=environment, timeout=240)


def demo_here(directory, *arguments, command="demo"):
    """Run the same within this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        done = CliRunner(env={"COLUMNS": "150"}).invoke(app, [command, "--catalog", "catalog", *arguments])
    return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr + repr(done.exception))
