"""Frames tagged in a process of its own: the contract of all backends, and the ways in which that process may end."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from support.backend_contract import *  # noqa: F403
from support.backend_contract import Pixels, frame, statuses
from support.lean import NOT_HERE
from support.models import CountsModel

from bluesky_xtag.documents import FrameId
from bluesky_xtag.errors import ModelError, XTagError, XTagValueError
from bluesky_xtag.frames import FORMATS, Frame, GuardedImages, RootMap, Roots, address_of
from bluesky_xtag.frames.sources import FileImages, Hdf5DatumImages, MissingImages, SeriesImages
from bluesky_xtag.tagger import InlineBackend, ProcessBackend


@pytest.fixture
def make():
    made = []

    def make(model, **options):
        made.append(ProcessBackend(model, **options))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


class Ending(CountsModel):
    """Ends or holds up its process on frames whose first pixel says so."""

    def score(self, image):
        what = int(image.flat[0])
        if what == 66:
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == 67:
            time.sleep(60)
        elif what == 68:
            raise SystemExit("enough")
        elif what == 69:
            self.kept = [np.ones(2**27) for _ in range(1)]  # a gigabyte
            time.sleep(60)
        elif what >= 1000:  # once: the second time there is a mark
            mark = f"/tmp/xtag-once-{what}"
            if not os.path.exists(mark):
                open(mark, "w").close()
                os._exit(3)
        return super().score(image)


def outcomes_of(backend, numbers):
    return list(backend.tag(frame(number, np.full((12, 12), number, np.int32)) for number in numbers))


@pytest.mark.parametrize(
    ("deadly", "reason"),
    [(66, "SIGSEGV"), (67, "did not answer for 2 s"), (68, "SystemExit"), (69, "more than memory_limit")],
)
def test_a_frame_that_ends_the_process_fails_and_costs_no_other(make, deadly, reason):
    backend = make(Ending(), patience=2.0 if deadly == 67 else 20.0, memory_limit=900 * 2**20 if deadly == 69 else None)
    found = outcomes_of(backend, [1, 2, deadly, 3, 4])
    assert statuses(found) == ["ok", "ok", "failed", "ok", "ok"]
    assert reason in found[2].reason and "twice over this frame" in found[2].reason
    assert backend.restarts >= 2 and reason in backend.last_restart
    assert statuses(outcomes_of(backend, [1])) == ["ok"]


def test_a_frame_over_which_the_process_ends_once_is_scored(make):
    number = 1000 + os.getpid()
    try:
        backend = make(Ending())
        assert statuses(outcomes_of(backend, [1, number, 2])) == ["ok", "ok", "ok"]
        assert backend.restarts == 1
    finally:
        os.remove(f"/tmp/xtag-once-{number}")


def test_the_process_gives_way_to_the_scan(make):
    backend = make(CountsModel())
    outcomes_of(backend, [1])
    assert os.getpriority(os.PRIO_PROCESS, backend.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5
    with suppress(FileNotFoundError):  # where the system weighs sessions of processes, this one has its own
        assert Path(f"/proc/{backend.pid}/autogroup").read_text().split()[-1] == "5"


def test_a_process_that_was_killed_is_replaced_by_the_one_that_stands_by(make):
    backend = make(CountsModel(), spare=True)
    assert statuses(outcomes_of(backend, [1])) == ["ok"]
    backend._spare.wait_ready()
    for _ in range(3):
        backend._spare.wait_ready()
        os.kill(backend.pid, signal.SIGKILL)
        begin = time.perf_counter()
        assert statuses(outcomes_of(backend, range(40))) == ["ok"] * 40
        print(f"{time.perf_counter() - begin:.2f} s")
    assert backend.restarts == 3


def test_a_model_that_cannot_be_loaded_is_said(make, tmp_path):
    with pytest.raises(ModelError, match=r"card\.json"):
        make(tmp_path)
    backend = make(Unloadable())
    with pytest.raises(XTagError, match="no such network"):
        outcomes_of(backend, [1])


class Unloadable(CountsModel):
    def warm(self):
        raise ValueError("no such network")


def test_options_are_checked(make):
    for option in ({"patience": 0}, {"memory_limit": -1}):
        with pytest.raises(XTagValueError, match="above 0"):
            make(CountsModel(), **option)


def image(seed=0):
    pixels = np.random.default_rng(seed).poisson(3, (60, 50)).astype(np.uint16)
    pixels[0, 0] = seed
    return pixels


@pytest.fixture
def stack(tmp_path):
    path = str(tmp_path / "stack.h5")
    with h5py.File(path, "w") as file:
        stored = np.stack([image(seed) for seed in range(4)])
        file.create_dataset("entry/data/data", data=stored, chunks=(1, 60, 50), **hdf5plugin.Bitshuffle(cname="lz4"))
    return path


def test_frames_in_files_are_read_there_and_give_the_same_outcomes(make, stack):
    from bluesky_xtag.frames.files import Hdf5Frames

    handler = Hdf5Frames(stack, 2)
    mask = np.zeros((60, 50), bool)
    mask[:, 20:] = True
    sources = [
        *(FileImages(FORMATS["hdf5"], stack, "entry/data/data", first, (60, 50)) for first in range(5)),
        Hdf5DatumImages(handler, 1, (60, 50)),
        SeriesImages(FORMATS["hdf5"].with_roots(RootMap({"/a": "/b"})), "/nowhere/1_master.h5", 3, None),
        FileImages(FORMATS["hdf5"].with_roots(RootMap({"/a": "/b"})), stack, "entry/data/data", 0, None),
        Hdf5DatumImages(Hdf5Frames(stack, 1, roots=RootMap({"/a": "/b"})), 1, None),
        MissingImages("nobody knows"),
        *(
            GuardedImages(
                FileImages(FORMATS["hdf5"], stack, "entry/data/data", 2, (60, 50)), (stack,), {}, roots, RootMap({})
            )
            for roots in (Roots.of(os.path.dirname(stack)), Roots.of(os.path.dirname(__file__)))
        ),
        FileImages(FORMATS["tiff"], "/nowhere/1.tif", "", 0, None),
        Pixels(image(7).astype(">f8")),
        Pixels(np.ma.MaskedArray(image(8), mask)),
        Pixels(image(9)[::2, ::-1]),
    ]
    for centre, hidden in ((None, None), ((20.5, 30.0), mask)):
        frames = [
            Frame(FrameId("run", "primary", "det", number, 0, "event"), centre, hidden, source)
            for number, source in enumerate(sources)
            if hidden is None or not isinstance(source, Pixels)
        ]
        assert all((address_of(each) is None) == isinstance(each.source, Pixels) for each in frames)
        there, here = list(make(CountsModel()).tag(frames)), list(InlineBackend(CountsModel()).tag(frames))
        assert [strip(each) for each in there] == [strip(each) for each in here]


def strip(outcome):
    return (outcome.frame, outcome.reason, getattr(outcome, "status", "not ready"), getattr(outcome, "scores", None))


def test_masks_are_sent_once_and_again_to_another_process(make):
    backend = make(CountsModel())
    masks = [np.zeros((12, 12), bool) for _ in range(6)]
    for number, mask in enumerate(masks):
        mask.flat[number:] = True
    for turn in range(3):
        frames = [
            Frame(FrameId("run", "primary", "det", number, 0), None, mask, Pixels(np.full((12, 12), 5)))
            for number, mask in enumerate(masks)
        ]
        found = list(backend.tag(frames))
        assert statuses(found) == ["unreadable"] + ["ok"] * 5, turn
        if turn == 1:
            os.kill(backend.pid, signal.SIGKILL)


def test_where_no_memory_can_be_shared_images_are_sent(make, monkeypatch, caplog):
    backend = make(CountsModel())

    def full(array):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backend._process._shared, "put", full)
    assert statuses(outcomes_of(backend, [0, 1])) == ["ok", "ok"]
    assert "no memory can be shared" in caplog.text


def test_the_packaged_model_gives_the_same_scores_without_tensorflow_here(stack):
    """In a process of its own, as this one has TensorFlow already."""
    script = f"""
        import sys
        from bluesky_xtag.documents import FrameId
        from bluesky_xtag.frames import FORMATS, Frame, GuardedImages, RootMap, Roots, address_of
        from bluesky_xtag.frames.sources import FileImages
        from bluesky_xtag.tagger import ProcessBackend

        backend = ProcessBackend()
        images = FileImages(FORMATS["hdf5"], {stack!r}, "entry/data/data", 0, (60, 50))
        frames = [Frame(FrameId("run", "primary", "det", 1, index), None, None, images) for index in range(4)]
        print([outcome.scores for outcome in backend.tag(frames)])
        assert backend.model.device == "CPU"
        assert not {NOT_HERE} & set(sys.modules)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=120
    )
    from bluesky_xtag.model import load_model

    inline = InlineBackend(load_model())
    images = FileImages(FORMATS["hdf5"], stack, "entry/data/data", 0, (60, 50))
    frames = [Frame(FrameId("run", "primary", "det", 1, index), None, None, images) for index in range(4)]
    assert eval(found.stdout) == [outcome.scores for outcome in inline.tag(frames)]  # noqa: S307


@pytest.mark.parametrize("how", ["exit", "SIGKILL", "exec"])
def test_the_process_ends_with_its_session(how):
    script = """
        import os, signal, sys, time
        sys.path[:0] = [PATHS]
        from support.models import CountsModel
        from bluesky_xtag.tagger import ProcessBackend

        backend = ProcessBackend(CountsModel())
        backend.wait_ready()
        print(backend.pid, flush=True)
        if HOW == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        elif HOW == "exec":
            os._exit(0)
    """.replace("PATHS", repr(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))).replace("HOW", repr(how))
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120)
    pid = int(found.stdout)
    for _ in range(50):
        if not os.path.exists(f"/proc/{pid}"):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"process {pid} is still there")


def test_what_the_process_logs_reaches_the_log_of_the_session(make, stack, caplog):
    images = FileImages(FORMATS["hdf5"], stack, "entry/data/data", 0, (30, 25))
    (found,) = make(CountsModel()).tag([Frame(FrameId("run-x", "primary", "det", 1, 0), None, None, images)])
    assert found.status == "ok"
    assert "its data key declares (30, 25)" in caplog.text


def test_closing_while_a_model_hangs_takes_no_time(make):
    backend = make(Ending(), patience=60.0)
    backend.wait_ready()
    found = backend.tag([frame(67)])

    def wait():
        with pytest.raises(XTagError, match="closed"):
            list(found)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.5)
    begin = time.perf_counter()
    backend.close()
    assert time.perf_counter() - begin < 5
    thread.join(5)
    assert not thread.is_alive()
