"""A real server that is killed at each kind of request, the first and the last: before it, or when it is done.

It is killed as a power cut would, and started again. Then what it holds is valid, and the next call completes it.
`make test` takes four of the requests, `XTAG_TEST_EACH_REQUEST=1` each kind.
"""

import os

import httpx
import numpy as np
import pytest
from support.archives import record
from support.catalogs import tree_arguments
from support.failing_catalogs import hooked, kinds, of
from support.faults import AWAY, CORRECT, LOST, REPLAY
from support.models import CountsModel
from support.quick_servers import QuickServer

from bluesky_xtag.catalog import Where, as_catalog, open_any, tiled_writer
from bluesky_xtag.errors import CatalogError
from bluesky_xtag.replay import replay
from bluesky_xtag.review import correct, corrections
from bluesky_xtag.search import tags
from bluesky_xtag.search.tagged_runs import derived_runs


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("served")
    server = QuickServer(directory, {"/sqlite": tree_arguments(directory / "sqlite")}).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def catalog(server):
    client = open_any(server.uri("sqlite"), server.key)
    yield client
    client.context.close()


@pytest.fixture(scope="module")
def tagged(catalog):
    """A run of two frames with tags."""
    (uid,) = record(tiled_writer(catalog), [10, 95])
    return uid


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Tiled's client does not try again for long."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)


def killed_at_each_kind_of_request(catalog, server, fault, call, check):
    """Call while the server is killed at a request, for each kind of request; check each when it is there again."""
    requests = []
    with hooked(catalog, lambda request: requests.append((request.method, request.url.path))):
        call()
    check()
    numbers = kinds(requests)
    assert {1, len(requests)} <= set(numbers) and len(numbers) > 5
    if "XTAG_TEST_EACH_REQUEST" not in os.environ:
        numbers = [numbers[place] for place in np.linspace(0, len(numbers) - 1, 4).astype(int)]
    reached = 0  # a later call may need fewer requests than the first
    for number in numbers:
        met = []

        def asked(request, number=number, met=met):
            met.append(request)
            if fault == AWAY and len(met) == number:
                server.kill()

        def answered(response, number=number, met=met):
            if fault == LOST and len(met) == number:
                response.read()
                server.kill()
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=met[-1])

        with hooked(catalog, asked, answered):
            try:
                call()
            except CatalogError as error:
                assert "127.0.0.1" in str(error) or "of run" in str(error)  # it says which catalogue
        reached += len(met) >= number
        server.start()
        check()
    assert reached >= len(numbers) - 1


def delete_derived(catalog, uid):
    for run in list(as_catalog(catalog).search(Where("original_run_uid", "==", uid)).runs()):
        catalog.delete_contents(run.uid, recursive=True, external_only=False)


@of(REPLAY, AWAY, LOST)
def test_replay(catalog, server, tagged, fault, tmp_path):
    model = CountsModel()

    def check():
        shown = tags(catalog[tagged])
        assert len(shown) == 2 and set(shown["xtag_status"]) == {"ok"}
        (outcome,) = replay(catalog, tagged, model=model, work=tmp_path)["outcome"]
        assert outcome in ("tagged", "tagged before") and model.seen == 2  # each frame was scored once
        (derived,) = derived_runs(as_catalog(catalog).find(tagged), source="replay")
        assert list(tags(catalog[tagged], "counts")["xtag_p_ring"]) == [1.0, 1.0]
        assert len(catalog[derived.uid].base["tags/internal"].read()) == 2
        assert not list(tmp_path.iterdir())
        delete_derived(catalog, tagged)
        model.seen = 0

    call = lambda: replay(catalog, tagged, model=model, work=tmp_path)  # noqa: E731
    killed_at_each_kind_of_request(catalog, server, fault, call, check)


@of(CORRECT, AWAY, LOST)
def test_correct(catalog, server, tagged, fault):
    run = catalog[tagged]

    def call():
        correct(run, 2, remove="ring", by="ab")

    def check():
        told = corrections(catalog[tagged])
        assert list(told["by"]) in ([], ["ab"])
        assert tags(catalog[tagged])["xtag_tags"].iloc[1] == ("" if len(told) else "ring")
        call()
        assert list(corrections(catalog[tagged])["by"]) == ["ab"]
        assert tags(catalog[tagged])["xtag_tags"].iloc[1] == ""
        delete_derived(catalog, tagged)

    killed_at_each_kind_of_request(catalog, server, fault, call, check)
