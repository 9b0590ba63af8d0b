"""What every backend promises; the Dask cluster is asked the same in tests/system/tagger."""

import pytest
from support.backend_contract import *  # noqa: F403

from bluesky_xtag.tagger import make_backend


@pytest.fixture(params=["inline", "threads"])
def make(request):
    made = []

    def make(model):
        made.append(make_backend(request.param, model))
        return made[-1]

    yield make
    for backend in made:
        backend.close()
