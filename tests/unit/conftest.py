"""A unit test has no TensorFlow, no catalogues, no other process, and an end within ten seconds (compiling aside)."""

import multiprocessing.process
import sys
from contextlib import contextmanager

import pytest

HEAVY = frozenset({"ai_edge_litert", "databroker", "distributed", "keras", "tensorflow", "tiled"})
SECONDS = 10
COMPILING = 60  # where the first test compiles the loops over pixels
_here = __file__.removesuffix("conftest.py")
_guarded = []  # not empty while a unit test runs


def _refuse(event, arguments):
    """An audit hook: it can be switched off, but never taken out again."""
    if not _guarded:
        return
    if event == "import" and arguments[0].partition(".")[0] in HEAVY:
        raise RuntimeError(f"a unit test imports {arguments[0]}: move it to tests/system")
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        raise RuntimeError("a unit test starts a process: move it to tests/system")


sys.addaudithook(_refuse)


def _start(process):
    raise RuntimeError("a unit test starts a process: move it to tests/system")


@contextmanager
def _guard():
    start = multiprocessing.process.BaseProcess.start
    multiprocessing.process.BaseProcess.start = _start
    _guarded.append(True)
    try:
        yield
    finally:
        _guarded.pop()
        multiprocessing.process.BaseProcess.start = start


def _wrap(item):
    if not str(item.path).startswith(_here):
        return (yield)
    with _guard():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _wrap(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _wrap(item))


def pytest_collection_modifyitems(items):
    for item in items:
        if str(item.path).startswith(_here) and item.get_closest_marker("timeout") is None:
            compiles = "model/prepare" in item.path.as_posix()
            item.add_marker(pytest.mark.timeout(COMPILING if compiles else SECONDS))
