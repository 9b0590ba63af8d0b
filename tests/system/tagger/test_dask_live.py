"""A scan whose frames go to a Dask cluster: what travels, and what happens where the cluster is lost, slow or back."""

import os
import subprocess
import sys

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import dask.config
import pytest
from distributed.protocol import serialize_bytelist
from support.dask_clusters import Cluster, freeze, make_certificates, thaw, wait_for
from support.detectors import ArrayDetector, FileDetector, numbered
from support.models import CountsModel
from support.places import ROOT

from bluesky_xtag import XTagValueError
from bluesky_xtag.tagger import make_backend

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """One scheduler for the module; each test leaves at least one worker that answers."""
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    cluster.workers = cluster.start(workers=2)
    yield cluster
    cluster.stop()


@pytest.fixture
def far(tag, cluster):
    """A tagger whose frames go to the cluster, once it has workers that answer."""
    tagger = tag(model=CountsModel(), backend=cluster.address, deadline=4.0)
    wait_for(lambda: answering(tagger) == len(cluster.workers))
    return tagger


def answering(tagger):
    return tagger._backend._cluster.count()[0]


@pytest.fixture
def devices(RE, seen):
    """Run a plan; return by what each frame was scored, after all of them have been."""

    def devices(plan):
        (run,) = RE(plan)
        rows = seen.rows(run)
        assert rows and {row["status"] for row in rows} == {"ok"}
        return [row["device"] for row in rows]

    return devices


def is_far(device):
    return device.startswith("CPU at tcp://127.0.0.1:")


def scan_with(trouble, at=3, points=8):
    """A plan that takes points, and meets a trouble before one of them."""
    taken = 0

    def each(detectors):
        nonlocal taken
        taken += 1
        if taken == at:
            trouble()
        yield from bps.one_shot(detectors)

    return bp.count([ArrayDetector(numbered())], points, per_shot=each)


def count(points):
    return bp.count([ArrayDetector(numbered())], points)


def test_frames_are_tagged_there_and_the_row_says_where(devices, seen, far, cluster, capsys):
    found = devices(count(6))
    assert len(found) == 6 and all(map(is_far, found))
    far.report()
    told = capsys.readouterr().out
    assert f"{cluster.address}: 2 of 2 workers answer; 6 frames tagged there, 0 in this process" in told
    (descriptor,) = seen.descriptors("tags")
    assert descriptor["configuration"]["xtag"]["data"]["xtag_device"] == f"Dask at {cluster.address}"


def test_frames_in_files_go_by_their_address(devices, far, tmp_path, monkeypatch):
    sizes = []
    send = far._backend._cluster.send

    def measured(worker, function, *arguments):
        if function.__name__ == "tag":
            sizes.append(sum(map(len, serialize_bytelist(arguments))))
        return send(worker, function, *arguments)

    monkeypatch.setattr(far._backend._cluster, "send", measured)
    assert all(map(is_far, devices(bp.count([FileDetector(tmp_path)], 3))))
    assert sizes and max(sizes) < 2000, "a name, not 4 kB of pixels"


def test_a_worker_that_is_killed_costs_no_row_and_another_takes_its_place(devices, far, cluster):
    lost = cluster.workers.pop()

    def kill():
        lost.kill()
        lost.wait(30)

    assert len(devices(scan_with(kill))) == 8
    wait_for(lambda: far._backend._cluster.count() == (1, 1))
    cluster.workers.append(cluster.add())
    wait_for(lambda: answering(far) == 2)
    assert all(map(is_far, devices(count(4))))


def test_workers_that_are_stopped_cost_no_row_and_come_back(devices, far, cluster, capsys):
    for worker in cluster.workers:
        freeze(worker)
    try:
        assert devices(count(4)) == ["CPU"] * 4
        far.report()
        told = capsys.readouterr().out
        assert "0 of 2 workers answer" in told and "did not answer for 2 s" in told and "4 in this process" in told
    finally:
        for worker in cluster.workers:
            thaw(worker)
    wait_for(lambda: answering(far) == 2)
    assert all(map(is_far, devices(count(2))))


def test_where_one_of_two_workers_is_stopped_the_other_goes_on(devices, far, cluster):
    freeze(cluster.workers[0])
    try:
        assert len(devices(count(6))) == 6
        wait_for(lambda: answering(far) == 1)
        assert all(map(is_far, devices(count(4))))
    finally:
        thaw(cluster.workers[0])
    wait_for(lambda: answering(far) == 2)


def test_a_scheduler_that_is_stopped_costs_no_row_and_comes_back(devices, far, cluster):
    freeze(cluster.scheduler)
    try:
        assert devices(count(5)) == ["CPU"] * 5
    finally:
        thaw(cluster.scheduler)
    wait_for(lambda: answering(far) == 2)
    assert all(map(is_far, devices(count(2))))


def test_a_cluster_that_is_killed_costs_no_row_and_another_at_its_address_is_used(devices, far, cluster):
    def kill():
        for program in (cluster.scheduler, *cluster.workers):
            program.kill()
            program.wait(30)

    found = devices(scan_with(kill))
    assert len(found) == 8 and found[-1] == "CPU"
    cluster.workers = cluster.start(workers=2)
    wait_for(lambda: answering(far) == 2)
    assert all(map(is_far, devices(count(2))))


def test_a_session_starts_without_its_cluster(devices, tag, tmp_path):
    cluster = Cluster(tmp_path)
    tagger = tag(model=CountsModel(), backend=cluster.address)
    assert devices(count(3)) == ["CPU"] * 3
    cluster.start()
    try:
        wait_for(lambda: answering(tagger) == 1)
        assert all(map(is_far, devices(count(2))))
        tagger.uninstall()
    finally:
        cluster.stop()


def test_dasks_own_configuration_names_the_certificates(devices, tag, tmp_path):
    certificates = make_certificates(tmp_path)
    cluster = Cluster(tmp_path, certificates)
    cluster.start()
    try:
        with dask.config.set(certificates):
            tagger = tag(model=CountsModel(), backend=cluster.address, deadline=4.0)
            wait_for(lambda: answering(tagger) == 1)
            (device,) = devices(count(1))
            assert device.startswith("CPU at tls://127.0.0.1:")
            tagger.uninstall()
        stranger = tag(model=CountsModel(), backend=cluster.address)  # without the certificates
        assert devices(count(1)) == ["CPU"]
        assert answering(stranger) == 0
        stranger.uninstall()
    finally:
        cluster.stop()


SESSION = """
import sys, time
import bluesky.plans as bp
from bluesky import RunEngine
from bluesky_xtag import install
from support.dask_clusters import wait_for
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel
from support.places import ROOT

RE = RunEngine({}, context_managers=[])
xtag = install(RE, model=CountsModel(), backend=sys.argv[1])
wait_for(lambda: xtag._backend._cluster.count()[0] > 0)
RE(bp.count([ArrayDetector(numbered())], 2))
print(xtag.counts["ok"], "frames", flush=True)
input()
"""


def test_a_session_ends_though_its_cluster_hangs(cluster):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", SESSION, cluster.address]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, **pipes) as session:
        try:
            assert any("2 frames" in line for line in session.stdout)
            for program in (cluster.scheduler, *cluster.workers):
                freeze(program)
            session.communicate("\n", timeout=60)
            assert session.returncode == 0
        finally:
            session.kill()
            for program in (cluster.scheduler, *cluster.workers):
                thaw(program)


def test_what_does_not_fit_is_explained(tag):
    with pytest.raises(XTagValueError, match="beyond this machine .* TLS"):
        tag(model=CountsModel(), backend="tcp://scheduler:8786")
    with pytest.raises(XTagValueError, match="patience=0"):
        make_backend("tcp://127.0.0.1:9", CountsModel(), patience=0)
