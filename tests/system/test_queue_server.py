"""The Queue Server: its real manager runs the profile's plans from a queue, and the tags are as in a session."""

import os
import re
import shlex
import shutil
import sys
import time

import psutil
import pytest
import yaml
from support.places import ROOT
from support.queue_server import Manager, Redis

from bluesky_xtag.catalog import as_run, open_catalog
from bluesky_xtag.plans import replay_decisions
from bluesky_xtag.review import review
from bluesky_xtag.search import tags

STARTUP = ROOT / "profiles" / "xtag" / "startup"
LISTS = "existing_plans_and_devices.yaml"
OWN_PLANS = re.search(
    r"^```\{code-block\} python\n:caption: own_plans.py.*?\n(.*?)^```$",
    (ROOT / "docs" / "how-to" / "wait-for-tags.md").read_text("utf-8"),
    re.M | re.S,
)[1]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the manager works, with a copy of the profile: the manager writes its lists into it."""
    directory = tmp_path_factory.mktemp("queue")
    shutil.copytree(STARTUP, directory / "startup", ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "startup" / "40-own-plans.py").write_text(OWN_PLANS)
    return directory


@pytest.fixture(scope="module")
def manager(directory):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "XTAG_CATALOG": str(directory / "catalog"),
        "XDG_DATA_HOME": str(directory / "data"),
    }
    redis = Redis(directory)
    try:
        manager = Manager(directory, directory / "startup", redis, environment)
        try:
            yield manager
        finally:
            left = manager.stop()
    finally:
        redis.stop()
    assert not left, "processes are left over"


@pytest.fixture(scope="module")
def opened(manager):
    """The manager with an open environment, and the catalogue of the runs as another process sees it."""
    manager.open()
    return manager


@pytest.fixture(scope="module")
def catalog(opened, directory):
    catalog = open_catalog(directory / "catalog")
    yield catalog
    catalog.context.close()


def check_rows(catalog, uid, ended="success"):
    """Every frame of a run has its row; return the number of frames."""
    run = as_run(catalog[uid])
    assert run.stop["exit_status"] == ended
    frames = list(run.table("primary", ["time"]).index)
    rows = tags(catalog[uid])
    assert list(rows["xtag_frame_seq_num"]) == frames
    assert set(rows["xtag_status"]) <= {"ok", "late"}
    assert run.stop["num_events"]["tags"] == len(rows)
    return len(frames)


def test_the_lists_of_the_profile_tell_what_there_is_before_an_environment_is_opened(manager):
    plans = set(manager.do("plans_allowed", user_group="primary")["plans_allowed"])
    assert plans == {
        *("count", "scan", "grid_scan", "list_scan"),
        *("tag_adaptive_scan", "scan_until", "expose_until", "skip_empty_grid", "watch", "compare_samples"),
    }
    assert {"det", "x", "y", "xtag"} <= set(manager.do("devices_allowed", user_group="primary")["devices_allowed"])


def test_the_lists_of_the_profile_are_those_of_its_code(opened, directory):
    opened.do("environment_update")  # so that the manager has written them
    opened.until(lambda status: status["manager_state"] == "idle")
    written, kept = (yaml.safe_load((place / LISTS).read_text()) for place in (directory / "startup", STARTUP))
    assert set(written["existing_plans"]) - set(kept["existing_plans"]) == {"scan_twice"}
    del written["existing_plans"]["scan_twice"]
    assert written == kept, f"run `qserver-list-plans-devices --startup-dir {STARTUP} --file-dir {STARTUP}`"


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "frames"),
    [
        ("scan", [["det"], "x", 1, 9, 3], {}, 3),
        ("count", [["det"], 2], {}, 2),
        ("tag_adaptive_scan", [["det"], "xtag", "random", "x", 0, 10, "y", 0, 10], {"tag": "ring", "max_points": 3}, 3),
        ("scan_until", [["det"], "xtag", "x", 0, 4, 2], {"until": "ring>1"}, 3),
        ("expose_until", [["det"], "xtag"], {"limits": [0.01, 0.1]}, None),
        ("expose_until", [["det"], "xtag"], {"limits": [0.01, 0.1], "exposure": "det.cam.acquire_time"}, None),
        ("skip_empty_grid", [["det"], "xtag", 0.001, [["x", 0, 10, 2], ["y", 0, 10, 2]]], {}, None),
        ("watch", [["det"], "xtag"], {"interval": [0.1, 1], "max_frames": 3, "until": "ring>1"}, 3),
        ("compare_samples", [["det"], "xtag", ["x"], {"A": [1], "B": [5]}], {"target": "ring>1", "max_frames": 5}, 5),
        ("scan_twice", [["det"], "xtag", "x", 0, 10, 3], {"condition": "not ring>1"}, 6),
    ],
)
def test_plans_run_from_the_queue(opened, catalog, name, args, kwargs, frames):
    result = opened.run(name, *args, **kwargs)
    assert result["exit_status"] == "completed", result
    (uid,) = result["run_uids"]
    assert check_rows(catalog, uid) == (frames or check_rows(catalog, uid))
    if "xtag" in args:
        assert replay_decisions(catalog[uid]).equal


def test_commands_of_the_page_run(opened, catalog):
    page = (ROOT / "docs" / "how-to" / "queue-server.md").read_text("utf-8")
    block = re.search(r"<!-- commands -->\n```bash\n(.*?)```", page, re.S)[1]
    before = len(opened.do("history_get")["items"])
    opened.do("queue_clear")
    for line in block.splitlines():
        if line != "qserver environment open":  # it is
            opened.command(*shlex.split(line)[1:])
    results = [item["result"] for item in opened.end_of_queue()[before:]]
    assert [result["exit_status"] for result in results] == ["completed"] * block.count("queue add")
    for result in results:
        (uid,) = result["run_uids"]
        check_rows(catalog, uid)


def test_a_plan_that_does_not_fit_ends_with_a_message_before_its_run(opened):
    result = opened.run("scan_until", ["det"], "xtag", "x", 0, 4, 2, until="rong")
    assert result["exit_status"] == "failed" and "rong" in result["msg"]
    assert not result["run_uids"]


def test_a_plan_with_an_unknown_device_never_enters_the_queue(opened):
    item = {"item_type": "plan", "name": "skip_empty", "args": [[], "xtag", 0.1]}
    refused = opened.ask("queue_item_add", item=item, user="tester", user_group="primary")
    assert not refused["success"] and "skip_empty" in refused["msg"]


@pytest.mark.parametrize("option", ["deferred", "immediate"])
@pytest.mark.parametrize(
    ("end", "status", "exit_status"),
    [("re_resume", "completed", "success"), ("re_abort", "aborted", "abort"), ("re_stop", "stopped", "success")],
)
def test_a_paused_plan_keeps_its_rows_whatever_comes_then(opened, catalog, option, end, status, exit_status):
    opened.start("count", ["det"], 40, delay=0.15)
    _wait_for_frames(opened)
    opened.do("re_pause", option=option)
    opened.until(lambda status: status["manager_state"] == "paused")
    time.sleep(0.3)
    opened.do(end)
    result = opened.end()["result"]
    assert result["exit_status"] == status, result
    (uid,) = result["run_uids"]
    frames = check_rows(catalog, uid, exit_status)
    assert frames == 40 if end == "re_resume" else 1 <= frames < 40


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "frames"),
    [
        ("scan_until", ["x", 0, 10, 0.2], {"until": "ring>1"}, 51),
        ("scan_twice", ["x", 0, 10, 20], {"condition": "not ring>1"}, 40),
    ],
)
def test_a_steered_plan_goes_on_after_a_pause(opened, catalog, name, args, kwargs, frames):
    opened.start(name, ["det"], "xtag", *args, **kwargs)
    _wait_for_frames(opened)
    opened.do("re_pause", option="immediate")
    opened.until(lambda status: status["manager_state"] == "paused")
    opened.do("re_resume")
    (uid,) = opened.end()["result"]["run_uids"]
    assert check_rows(catalog, uid) == frames
    assert replay_decisions(catalog[uid]).equal


def test_an_environment_destroyed_in_a_scan_leaves_nothing_over_and_the_next_one_goes_on(opened, catalog):
    before = as_run(catalog[opened.run("count", ["det"], 2)["run_uids"][0]]).start["scan_id"]
    opened.start("count", ["det"], 1000, delay=0.1)
    _wait_for_frames(opened)
    killed = opened.do("re_runs")["run_list"][0]["uid"]
    processes = opened.processes()
    opened.destroy()
    gone, _ = psutil.wait_procs(processes, timeout=5)
    assert gone, "the worker is still there"
    opened.open()
    result = opened.run("count", ["det"], 3)
    (uid,) = result["run_uids"]
    assert check_rows(catalog, uid) == 3
    after = as_run(catalog[uid]).start["scan_id"]
    assert after == as_run(catalog[killed]).start["scan_id"] + 1 == before + 2
    assert not as_run(catalog[killed]).stop
    assert uid in set(review(catalog, 1000)["run"])
    (next_uid,) = opened.run("scan_until", ["det"], "xtag", "x", 0, 4, 2, until="ring>1")["run_uids"]
    assert check_rows(catalog, next_uid) == 3


def test_an_environment_is_closed_and_its_process_ends(opened):
    opened.close()
    assert len(opened.processes()) <= 2  # the manager's own, and multiprocessing's tracker
    text = opened.log.read_text()
    assert not re.search(r"Traceback.*bluesky_xtag", text), text[-3000:]


def _wait_for_frames(opened):
    """Wait until the plan has opened its run and taken a frame or two."""
    opened.until(lambda status: status["re_state"] == "running")
    opened.until(lambda status: bool(opened.do("re_runs")["run_list"]) or status["manager_state"] == "idle")
    assert opened.do("re_runs")["run_list"], opened.do("history_get")["items"][-1]["result"]
    time.sleep(0.6)
