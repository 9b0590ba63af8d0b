"""The profile as the Queue Server and as IPython load it, one after the other in one process.

The Queue Server comes first: there is no IPython yet in the process, and its session must not need one.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
from support.places import ROOT

STARTUP = ROOT / "profiles" / "xtag" / "startup"

QUEUE_SERVER = """
import faulthandler
import sys
faulthandler.dump_traceback_later(200, exit=True)  # says where it hangs before the test gives up
from bluesky_queueserver.manager.profile_ops import (
    existing_plans_and_devices_from_nspace, load_worker_startup_code, prepare_plan, validate_plan
)
namespace = load_worker_startup_code(startup_dir=sys.argv[1])
plans, devices, in_plans, in_devices = existing_plans_and_devices_from_nspace(nspace=namespace)
print("plans:", *sorted(plans))
print("devices:", *sorted(devices))
items = [
    ("tag_adaptive_scan", [["det"], "xtag", "random", "x", 0, 10, "y", 0, 10], {"tag": "ring", "max_points": 3}),
    ("scan_until", [["det"], "xtag", "x", 0, 10, 5], {"until": "ring>0.9 for 2"}),
    ("expose_until", [["det"], "xtag"], {"limits": [0.01, 0.1]}),
]
for name, args, kwargs in items:
    item = {"item_type": "plan", "name": name, "args": args, "kwargs": kwargs, "user_group": "primary"}
    valid, message = validate_plan(item, allowed_plans=plans, allowed_devices=devices)
    assert valid, message
    plan = prepare_plan(item, plans_in_nspace=in_plans, devices_in_nspace=in_devices, nspace=namespace,
                        allowed_plans={"primary": plans}, allowed_devices={"primary": devices})
    (uid,) = namespace["RE"](plan["callable"](*plan["args"], **plan["kwargs"]))
    print("steered:", name, *sorted(namespace["catalog"][uid]))
namespace["catalog"].context.close()
"""

IPYTHON = """
import os
import IPython
assert IPython.get_ipython() is None
os.environ["XTAG_CATALOG"] = "catalog-of-ipython"
print("IPython:")
IPython.start_ipython(["--no-banner", f"--profile-dir={sys.argv[2]}", sys.argv[3]])
"""

SCAN = """
from bluesky_xtag.search import tags
(uid,) = RE(bp.scan([det], x, 0, 10, 3))
print("rows:", *tags(catalog[uid])["xtag_frame_seq_num"])
print("latest:", xtag.latest.status, bool(bps))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What is printed in the Queue Server's session and in IPython's."""
    directory = tmp_path_factory.mktemp("profile")
    # IPython writes its history into a profile, so it gets a copy.
    profile = directory / "profile"
    shutil.copytree(STARTUP, profile / "startup")
    script = directory / "scan.py"
    script.write_text(SCAN)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "IPYTHONDIR": str(directory / "ipython"),
        "XTAG_CATALOG": "catalog-of-the-queue-server",
        "COLUMNS": "150",
    }
    command = [sys.executable, "-c", QUEUE_SERVER + IPYTHON, str(STARTUP), str(profile), str(script)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    server, _, ipython = done.stdout.partition("IPython:")
    return server, ipython


def test_ipython_scans_and_reads_tags_back(told):
    _, out = told
    assert "rows: 1 2 3" in out
    assert re.search("latest: (ok|late) True", out)
    assert "3 frames: " in out, "the live table was not shown"


def test_the_queue_server_finds_plans_and_devices_and_runs_plans_steered_by_tags(told):
    out = told[0].splitlines()
    plans, devices = (next(line for line in out if line.startswith(name)).split() for name in ("plans:", "devices:"))
    assert {"count", "scan", "grid_scan", "list_scan"} <= set(plans)
    assert {"tag_adaptive_scan", "scan_until", "expose_until", "skip_empty"} <= set(plans)
    assert {"det", "x", "y", "xtag"} <= set(devices)
    steered = [line.split() for line in out if line.startswith("steered:")]
    assert [line[1] for line in steered] == ["tag_adaptive_scan", "scan_until", "expose_until"]
    assert [line[2:] for line in steered] == [["decisions", "primary", "tags"]] * 3
