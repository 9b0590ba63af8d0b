"""Catalogues that fail at a request that a test chooses: by hooks of their client, or with their server's process."""

import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from support.faults import AWAY, FAULTS, FULL, LOST, REFUSED

WRITING = {"POST", "PUT", "PATCH", "DELETE"}
MOST = 40  # requests that write, of any step
PROVEN = set()  # what tests declare with `of`

_HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1])
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def of(step, *faults):
    """Parametrise a test with faults of a step, which it proves; with all that the table has if none is named."""
    faults = faults or [each.fault for each in FAULTS if each.step == step]
    PROVEN.update((step, fault) for fault in faults)
    return pytest.mark.parametrize("fault", faults)


@contextmanager
def hooked(catalog, before=None, after=None):
    """Call something before each request of a catalogue's client, or after each answer."""
    client = catalog.context.http_client
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks.get("request", ()), *([before] if before else ())],
        "response": [*hooks.get("response", ()), *([after] if after else ())],
    }
    try:
        yield
    finally:
        client.event_hooks = hooks


@contextmanager
def failing(catalog, fault, number):
    """Let the request that writes with this number fail, and all after it; yield how many were met."""
    met = [0]

    def trouble(request):
        if fault in (AWAY, LOST):
            raise httpx.ConnectError("no server", request=request)
        status, says = {REFUSED: (403, "Not enough permissions"), FULL: (500, "database or disk is full")}[fault]
        response = httpx.Response(status, json={"detail": says}, request=request)
        raise httpx.HTTPStatusError(says, request=request, response=response)

    def asked(request):
        if request.method in WRITING:
            met[0] += 1
            if met[0] >= number + (fault == LOST):
                trouble(request)
        elif fault in (AWAY, LOST) and met[0] >= number:
            trouble(request)

    def answered(response):
        if fault == LOST and response.request.method in WRITING and met[0] == number:
            trouble(response.request)

    with hooked(catalog, asked, answered):
        yield met


@contextmanager
def locked(database):
    """Hold a database of SQLite's in another process: locks of one process do not hold it up itself."""
    holder = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.communicate(timeout=20)


def at_each_request(catalog, fault, attempt, step=1):
    """Call `attempt(context)` with the fault at the first request, at the second, and so on, until none is met.

    Where only the answer is another than that of a full disk, every second request is enough; `step` leaves out others.
    """
    for number in range(1, MOST, 2 * step if fault == REFUSED else step):
        met = []

        @contextmanager
        def here(number=number, met=met):
            with failing(catalog, fault, number) as count:
                yield
            met.append(count[0])

        attempt(here)
        if met and met[0] < number:
            return
    raise AssertionError(f"more than {MOST} requests")


def kinds(requests):
    """Return the numbers, from 1, of the first and the last request, and of the first of each kind."""
    seen, numbers = set(), []
    for number, (method, path) in enumerate(requests, 1):
        parts = [part for part in path.split("/") if part]
        kind = (method, *parts[2:4], len(parts) if method in WRITING else 0)
        if kind not in seen or number == len(requests):
            numbers.append(number)
        seen.add(kind)
    return numbers
