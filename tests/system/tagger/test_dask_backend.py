"""A Dask cluster keeps what every backend promises."""

import pytest
from support.backend_contract import *  # noqa: F403

from bluesky_xtag.tagger import make_backend


@pytest.fixture(scope="module")
def scheduler():
    import dask.config
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit="2 GiB") as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture
def make(scheduler):
    made = []

    def make(model):
        made.append(make_backend("dask", model, scheduler=scheduler))
        return made[-1]

    yield make
    for backend in made:
        backend.close()
