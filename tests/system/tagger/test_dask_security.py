"""Who may give work to Dask workers: nobody but us where we start them, and beyond this machine only by TLS."""

import gc
import threading

import httpx
import pytest
from distributed import Client, LocalCluster
from distributed.utils import LoopRunner
from support.models import CountsModel

from bluesky_xtag import XTagError, XTagValueError
from bluesky_xtag.tagger import Tagger, make_backend
from bluesky_xtag.tagger.backends import cluster_address, dask_cluster
from bluesky_xtag.tagger.backends.dask_workers import ClientOfCluster


@pytest.mark.parametrize(
    "address",
    [
        *("tcp://scheduler:8786", "tcp://10.0.0.5:8786", "scheduler:8786", "10.0.0.5:8786", "tcp://0.0.0.0:8786"),
        *("tcp://localhost.example.org:8786", "tcp://[fe80::1]:8786", "ws://127.0.0.1:8786", "ucx://127.0.0.1:8786"),
        *("tcp://", "", "tcp://127.0.0.1.example.org:1", "http://localhost", "tcp://[::ffff:10.0.0.5]:1"),
    ],
)
def test_a_scheduler_beyond_this_machine_needs_tls(address):
    with pytest.raises(XTagValueError, match="--insecure"):
        make_backend("dask", CountsModel(), scheduler=address)


def test_so_does_a_live_tagger():
    with pytest.raises(XTagValueError, match="--insecure"):
        Tagger(CountsModel(), backend="tcp://scheduler:8786")


@pytest.mark.parametrize(
    "address",
    ["tls://scheduler:8786", "tcp://127.0.0.1:8786", "tcp://localhost:8786", "127.0.0.1:8786", "tcp://[::1]:8786"],
)
def test_tls_and_the_loopback_are_allowed(address):
    cluster_address.refuse_open_scheduler(address)


def test_insecure_is_for_who_says_it(monkeypatch):
    monkeypatch.setattr(dask_cluster, "_REACH", 0.2)
    with pytest.raises(XTagError, match="cannot be reached"):
        make_backend("dask", CountsModel(), scheduler="tcp://127.0.0.2:9", insecure=True, required=True)
    with pytest.raises(XTagError, match="cannot be reached.*certificates"):
        make_backend(
            "dask", CountsModel(), scheduler="tls://127.0.0.1:9", required=True
        )  # no certificates are configured


@pytest.mark.timeout(300)
def test_the_workers_that_we_start_take_work_from_us_only():
    backend = make_backend("dask", CountsModel(), workers=1)
    try:
        address = backend._local.scheduler_address
        assert address.startswith("tls://127.0.0.1:")
        client = backend._workers._client
        workers = client.scheduler_info()["workers"]
        assert all(worker.startswith("tls://127.0.0.1:") for worker in workers)
        assert client.submit(sum, [1, 2]).result(60) == 3
        port = backend._local.scheduler.http_server.port
        for page in ("info/main/workers.html", "json/counts.json", "metrics", "health", "status"):
            assert httpx.get(f"http://127.0.0.1:{port}/{page}").status_code == 404
        for stranger in (address, address.replace("tls://", "tcp://")):
            with pytest.raises((OSError, TypeError, ValueError, RuntimeError)):
                ClientOfCluster(stranger, timeout=2, set_as_default=False)
        from distributed.security import Security

        with pytest.raises(OSError):  # certificates of its own, but not ours
            ClientOfCluster(address, timeout=2, set_as_default=False, security=Security.temporary())
    finally:
        backend.close()


def of_dask():
    """What runs and what waits for the garbage collector of clients of Dask."""
    gc.collect()
    clients = [each for each in gc.get_objects() if issubclass(type(each), Client) and each.status != "closed"]
    return len(clients), sum(thread.name == "IO loop" for thread in threading.enumerate())


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9", "nothing://127.0.0.1:9"])
def test_an_attempt_that_comes_to_nothing_leaves_no_thread_and_nothing_to_be_closed_in_another(monkeypatch, scheduler):
    monkeypatch.setattr(dask_cluster, "_REACH", 0.2)
    before = of_dask()
    for _ in range(2):
        with pytest.raises(XTagError, match="cannot be reached"):
            make_backend("dask", CountsModel(), scheduler=scheduler, insecure=True, required=True)
    assert of_dask() == before


def test_a_client_that_cannot_be_closed_is_left_all_the_same(monkeypatch):
    before = of_dask()[1]
    with LocalCluster(n_workers=0, dashboard_address=None, scheduler_kwargs={"dashboard_address": None}) as cluster:
        client = ClientOfCluster(cluster.scheduler_address, timeout=5, set_as_default=False)

        async def hangs(fast=False):
            raise TimeoutError

        monkeypatch.setattr(client, "_close", hangs)
        client.leave()
        assert client.status == "closing"
        done = []
        with LoopRunner._lock:  # as while another client is made
            collector = threading.Thread(target=lambda: done.append(client.__del__()), daemon=True)
            collector.start()
            collector.join(5)
        assert done == [None]  # it neither waits nor raises
    assert of_dask()[1] == before
