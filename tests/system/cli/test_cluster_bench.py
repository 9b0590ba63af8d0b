"""Two local Dask workers beside this process: the figures are there, and of frames that were tagged where they say."""

import math

import pytest
from support.models import CountsModel

from bluesky_xtag import XTagError
from bluesky_xtag.cli.bench import cluster_bench


@pytest.mark.timeout(300)
def test_both_tag_all_frames_by_turns(monkeypatch):
    model = CountsModel()
    monkeypatch.setattr(cluster_bench, "load_model", lambda directory: model)
    monkeypatch.setattr(cluster_bench, "_SHAPE", (64, 48))
    monkeypatch.setattr(cluster_bench, "describe", lambda model, *packages: {"model": model.name})
    figures = cluster_bench.two_workers_over_this_process(count=40, rounds=2)
    assert len(figures["here"]) == len(figures["there"]) == 2
    assert figures["ratio"] > 0 and math.isfinite(figures["ratio"])
    assert figures["frames"] == 40 and figures["model"] == "counts"


def test_frames_that_were_tagged_elsewhere_do_not_count(tmp_path):
    from bluesky_xtag.frames import frames_of
    from bluesky_xtag.replay import choose_backend

    path = cluster_bench._write_file(tmp_path / "frames.h5", 3)
    here = choose_backend(CountsModel(), None, None)
    with pytest.raises(XTagError, match="3 of 3 frames were not tagged where they should be"):
        cluster_bench._rate(here, list(frames_of(path)), " at ")
    here.close()
