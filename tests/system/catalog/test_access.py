"""Who may see a run may see what was derived from it, and nobody else, on a server with access control."""

import pytest
from support.archives import opened, record
from support.catalogs import EVERYTHING, GuardedServer
from support.models import CountsModel

from bluesky_xtag import CatalogError
from bluesky_xtag.catalog import as_catalog, open_any
from bluesky_xtag.replay import replay
from bluesky_xtag.review import correct, corrections
from bluesky_xtag.search import tags


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server where Alice and Bob share a proposal that Carol may only read, and Eve has another."""
    grants = {
        "proposal-1": {"alice": EVERYTHING, "bob": EVERYTHING, "carol": ["read:metadata", "read:data"]},
        "proposal-2": {"eve": EVERYTHING},
    }
    server = GuardedServer(tmp_path_factory.mktemp("guarded"), grants).start()
    yield server
    server.kill()


@pytest.fixture
def of(server, request, monkeypatch):
    """The catalogue as a user sees it."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)

    def of(user):
        catalog = open_any(server.uri("guarded"), server.key_of(user))
        request.addfinalizer(catalog.context.close)
        return catalog

    return of


def test_derived_runs_have_the_access_tags_of_their_run(of, tmp_path):
    alice, bob, eve = of("alice"), of("bob"), of("eve")
    (uid,) = record(as_catalog(alice).writer(), [10, 95], tiled_access_tags=["proposal-1"])
    run = bob[uid]
    correction = correct(run, 1, add="ring", by="bob")
    (outcome,) = replay(bob, uid, model=CountsModel(), work=tmp_path).to_dict("records")
    assert outcome["outcome"] == "tagged"
    for derived in (correction, outcome["derived"]):
        assert list(alice[derived].access_tags) == list(alice[uid].access_tags) == ["proposal-1"]
        assert list(alice[derived]["tags"].access_tags) == ["proposal-1"]
        assert "tiled_access_tags" not in alice[derived].metadata["start"]
        assert derived not in eve and uid not in eve
    assert list(corrections(alice[uid])["by"]) == ["bob"]
    assert list(tags(alice[uid])["xtag_decided_by"]) == ["bob", "model"]


def test_what_belongs_to_one_person_is_followed_by_what_belongs_to_that_person(of):
    alice, bob = of("alice"), of("bob")
    (uid,) = record(as_catalog(alice).writer(), [95])
    assert list(alice[uid].access_tags) == ["user:alice"]
    correction = correct(alice[uid], 1, remove="ring", by="alice")
    assert list(alice[correction].access_tags) == ["user:alice"]
    assert correction not in bob and uid not in bob


def test_who_may_only_read_is_refused_and_leaves_nothing(of):
    alice, carol = of("alice"), of("carol")
    (uid,) = record(as_catalog(alice).writer(), [95], tiled_access_tags=["proposal-1"])
    assert len(tags(carol[uid])) == 1
    before = len(alice)
    with pytest.raises(CatalogError, match="and no part of it counts now: it does not allow you to do that"):
        correct(carol[uid], 1, remove="ring", by="carol")
    assert len(alice) == before


def test_without_access_control_nothing_changes(request):
    store = opened(request, "tiled sqlite")
    (uid,) = record(store.insert, [95])
    correction = correct(store.runs[uid], 1, remove="ring", by="ab")
    assert list(store.runs[correction].access_tags) == []
