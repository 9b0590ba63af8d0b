"""A page of a catalogue, served as `xtag web` serves it, and a client of it that is no browser."""

import json
from contextlib import contextmanager

import httpx

from bluesky_xtag.web import PageServer
from support.archives import record

TOKEN = "a-token-for-the-tests"


@contextmanager
def served(catalog, directory, **options):
    """A server of the page in a thread."""
    server = PageServer(catalog, directory, token=TOKEN, **options)
    server.start()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client(server):
    """A client that has the token."""
    origin = server.address.rstrip("/")
    with httpx.Client(base_url=origin, headers={"Origin": origin}, timeout=60) as made:
        assert made.get(server.link).status_code == 303
        yield made


def wait_until(client, is_so, seconds=60):
    """Wait for a state of the catalogue, as its news tell it."""
    import time

    deadline = time.monotonic() + seconds
    while not is_so(state := client.get("/api/state").json()):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    return state


def read_all(client, frames):
    """Wait until the catalogue is read, and has so many frames."""
    return wait_until(client, lambda state: not state["loading"] and state["frames"] >= frames)


def say(client, *corrections, status=200):
    """Send corrections; return what became of each."""
    answer = client.post("/api/corrections", json={"corrections": list(corrections)})
    assert answer.status_code == status, answer.text
    return answer.json().get("stored") or answer.json()


def pixels(content):
    """The header of a frame's pixels."""
    return json.loads(content[4 : 4 + int.from_bytes(content[:4], "little")])


def take_runs(catalog, *runs, **metadata):
    """Store tagged runs; each is a list of the percentages that `GradedModel` sees a ring with."""
    from bluesky_xtag.catalog import as_catalog

    return record(as_catalog(catalog).writer(), *runs, **metadata)
