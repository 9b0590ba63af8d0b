"""Scans whose frames are tagged in a process of its own: what is recorded and printed of its end, and the next one."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import bluesky.plans as bp
import pytest
from support.detectors import ArrayDetector, FileDetector, numbered, write_frame
from support.lean import NOT_HERE
from support.models import CountsModel

from bluesky_xtag.tagger import ProcessBackend


@pytest.fixture
def process(tag):
    """A tagger in a process of its own, which is ready."""
    backend = ProcessBackend(CountsModel())
    tagger = tag(backend=backend, deadline=60.0)
    assert backend.wait_ready(120)
    return tagger, backend


def wait_until(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.02)
    return happened()


def test_a_process_that_ends_between_scans_is_replaced_and_that_is_recorded(RE, seen, process, tmp_path, capsys):
    tagger, backend = process
    first = backend.pid
    RE(bp.count([FileDetector(tmp_path)], 2))
    seen.assert_scan_went_well(2)
    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: backend.pid != first), "without a frame to ask for"
    (again,) = RE(bp.count([ArrayDetector(numbered())], 3))
    assert seen.statuses(again) == {"ok": 3}
    recorded = [doc["configuration"]["xtag"]["data"] for doc in seen.descriptors("tags")]
    assert [each["xtag_restarts"] for each in recorded] == [0, 1]
    assert {each["xtag_device"] for each in recorded} == {"CPU"}
    tagger.report()
    printed = capsys.readouterr().out
    assert f"process   {backend.pid} with " in printed
    assert "replaced once, the last time because it was ended by SIGKILL" in printed


def test_the_first_run_waits_for_the_process_and_a_model_that_never_comes_costs_only_the_scores(RE, seen, tag):
    tagger = tag(backend=ProcessBackend(Unloadable()), deadline=30.0)
    RE(bp.count([ArrayDetector(numbered())], 3))
    seen.assert_scan_went_well(3)
    assert seen.statuses() == {"failed": 3}
    assert "cannot load the model: ValueError: no such network" in tagger.latest.reason


class Unloadable(CountsModel):
    def warm(self):
        raise ValueError("no such network")


def test_a_session_installs_tags_and_ends_without_what_only_scoring_needs():
    """As users have it: the packaged model, and nothing said about backends."""
    script = f"""
        import sys, time
        from bluesky import RunEngine
        from bluesky import plans as bp
        from bluesky_xtag import install
        from bluesky_xtag.cli.bench.scanning import Camera

        RE = RunEngine({{}}, context_managers=[])
        xtag = install(RE, deadline=60)
        prompt = xtag.is_ready
        RE(bp.count([Camera((64, 64), 0.01)], 3))
        print("prompt before the model was ready:", not prompt)
        print(dict(xtag.counts)["ok"], xtag.model.device)
        print("imported:", sorted({NOT_HERE} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=200, check=True
    )
    said = done.stdout.splitlines()
    assert said[0].startswith("xtag: model default") and "in a process of its own" in said[0]
    assert said[1:] == ["prompt before the model was ready: True", "3 CPU", "imported: []"]
    assert not done.stderr


_FILES = """
    import sys, time
    from pathlib import Path
    from bluesky import RunEngine
    from bluesky_xtag import install
    from event_model import StreamRange, compose_run

    kind, path = sys.argv[1], Path(sys.argv[2])
    xtag = install(RunEngine({}, context_managers=[]), deadline=60)
    run = compose_run()
    xtag("start", run.start_doc)
    external = "FILESTORE:" if kind == "resource" else "STREAM:"
    key = {"source": "x", "dtype": "array", "shape": [1, 64, 64], "external": external}
    stream = run.compose_descriptor(name="primary", data_keys={"det": key})
    xtag("descriptor", stream.descriptor_doc)
    if kind == "resource":
        resource = run.compose_resource(
            spec="AD_HDF5", root=str(path.parent), resource_path=path.name, resource_kwargs={"frame_per_point": 1}
        )
        xtag("resource", resource.resource_doc)
        for number in range(3):
            datum = resource.compose_datum(datum_kwargs={"point_number": number})
            xtag("datum", datum)
            data = {"det": datum["datum_id"]}
            xtag("event", stream.compose_event(data=data, timestamps={"det": 0.0}, filled={"det": False}))
    else:
        resource = run.compose_stream_resource(
            data_key="det",
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            parameters={"dataset": "entry/data/data", "chunk_shape": (1, 64, 64)},
        )
        xtag("stream_resource", resource.stream_resource_doc)
        indices = StreamRange(start=0, stop=3), StreamRange(start=1, stop=4)
        xtag("stream_datum", resource.compose_stream_datum(*indices, stream.descriptor_doc))
    uid = run.start_doc["uid"]
    until = time.monotonic() + 60
    while len(xtag.ready(uid)) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    print(len(xtag.ready(uid)), "ready; imported:", sorted(NOT_HERE & set(sys.modules)))
"""


@pytest.mark.parametrize("kind", ["resource", "stream"])
def test_files_that_the_process_reads_import_nothing_here(tmp_path, kind):
    write_frame(path := tmp_path / "frames.h5", 1, (3, 64, 64))
    script = textwrap.dedent(_FILES).replace("NOT_HERE", str(NOT_HERE))
    done = subprocess.run(
        [sys.executable, "-c", script, kind, str(path)], capture_output=True, text=True, timeout=200, check=True
    )
    assert done.stdout.splitlines()[1:] == ["3 ready; imported: []"]
    said = done.stderr.splitlines()
    assert len(said) == 1 and "hears of run" in said[0]  # nothing is said of the process, which ends with its session


@pytest.mark.parametrize("detector", ["ArrayDetector(numbered())", "FileDetector(Path(sys.argv[1]))"])
def test_a_scan_imports_nothing_for_a_model_of_ones_own_in_the_session(tmp_path, detector):
    """What comes with the first frame makes it late, holds the RunEngine's thread, and looks like lost memory."""
    script = f"""
        import sys
        from pathlib import Path
        from bluesky import RunEngine
        from bluesky import plans as bp
        from bluesky_xtag import install
        from support.detectors import ArrayDetector, FileDetector, numbered
        from support.models import CountsModel

        RE = RunEngine({{}}, context_managers=[])
        xtag = install(RE, model=CountsModel(), backend="inline", deadline=60)
        before = set(sys.modules)
        RE(bp.count([{detector}], 3))
        after = set(sys.modules)
        packages = [{{name.partition(".")[0] for name in each}} for each in (after, before)]
        print(dict(xtag.counts)["ok"], sorted(packages[0] - packages[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout.splitlines()[1:] == ["3 []"]


def test_a_model_that_another_process_serves_can_be_given_again(tag):
    first = tag(model=None)
    again = tag(model=first.model)
    assert again.is_elsewhere and again.model.sha256 == first.model.sha256
    here = tag(model=first.model, backend="inline")
    assert not here.is_elsewhere and here.model.sha256 == first.model.sha256
