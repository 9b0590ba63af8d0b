"""The catalogue fails half-way while a person corrects: nothing half-written counts, and the next call completes it."""

import itertools
import time
from contextlib import contextmanager

import httpx
import pytest
from support.archives import opened, record

from bluesky_xtag import CatalogError
from bluesky_xtag.review import correct, corrections
from bluesky_xtag.search import tags

WRITING = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Tiled's client does not try again for long."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)


@contextmanager
def hook(catalog, event, happen):
    """Call `happen` with every request that writes, before it is sent or once it was answered."""
    client = (catalog.v2 if hasattr(catalog, "v1") and not hasattr(catalog, "context") else catalog).context.http_client
    writes = [0]

    def each(message):
        request = getattr(message, "request", message)
        if request.method in WRITING:
            writes[0] += 1
            happen(writes[0], request)

    hooks = client.event_hooks
    client.event_hooks = hooks | {event: [*hooks[event], each]}
    try:
        yield writes
    finally:
        client.event_hooks = hooks


def as_the_model_said(run):
    return corrections(run).empty and set(tags(run)["xtag_decided_by"]) == {"model"}


def eventually(look, seconds=10):
    """What `look` returns, once it is true: databroker's server remembers for two seconds that a run is open."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def is_corrected_once(run):
    told = corrections(run)
    return list(told["by"]) == ["ab"] and list(tags(run)["xtag_tags"]) == ["", "ring"]


def test_permission_withdrawn_at_any_step(request, tiled_server):
    catalog = opened(request, "serve sqlite")
    run = catalog.runs[record(catalog.insert, [90, 95])[0]]
    for step in itertools.count(1):

        def withdraw(write, request, step=step):
            if write >= step:
                request.headers.pop("Authorization")

        with hook(catalog.catalog, "request", withdraw):
            try:
                correct(run, 1, remove="ring", by="ab")
                break
            except CatalogError as error:
                assert "it does not allow you to do that (401)" in str(error)
        assert as_the_model_said(run), step
    assert step > 4
    assert is_corrected_once(run)


def test_a_server_killed_half_way_that_comes_again(request, tiled_server):
    catalog = opened(request, "serve sqlite")
    run = catalog.runs[record(catalog.insert, [90, 95])[0]]
    with hook(catalog.catalog, "request", lambda write, _: tiled_server.kill() if write == 3 else None):
        with pytest.raises(CatalogError, match="and no part of it counts now: its server cannot be reached"):
            correct(run, 1, remove="ring", by="ab")
    tiled_server.start()
    assert as_the_model_said(run)
    correct(run, 1, remove="ring", by="ab")
    assert is_corrected_once(run)


def test_an_answer_that_is_lost_costs_no_second_correction(request, tiled_server):
    catalog = opened(request, "serve sqlite")
    run = catalog.runs[record(catalog.insert, [90, 95])[0]]
    for step in itertools.count(1):

        def lose(write, request, step=step):
            if write == step:
                raise httpx.ReadError("the connection was lost", request=request)

        with hook(catalog.catalog, "response", lose):
            try:
                correct(run, 1, remove="ring", by="ab")
                break
            except CatalogError:
                assert as_the_model_said(run), step
    assert step > 4
    correct(run, 1, remove="ring", by="ab")
    assert is_corrected_once(run)


def test_databroker_that_fails_at_any_document(request):
    catalog = opened(request, "databroker.temp")
    run = catalog.runs[record(catalog.insert, [90, 95])[0]]
    for step in itertools.count(1):

        def fail(write, request, step=step):
            if write >= step:
                raise httpx.ConnectError("no connection", request=request)

        with hook(catalog.catalog, "request", fail):
            try:
                correct(run, 1, remove="ring", by="ab")
                break
            except CatalogError:
                assert as_the_model_said(run), step
    assert step == 4  # each call went on where the one before failed
    assert eventually(lambda: is_corrected_once(run))
