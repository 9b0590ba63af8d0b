import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from multiprocessing import active_children

import h5py
import numpy as np
import pytest
from support import failing_frames

from bluesky_xtag.errors import XTagError, XTagValueError
from bluesky_xtag.frames import each_frame
from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate import TAGS, archive, make_scene, simulate

FRAMES, SEED = 5, 7


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file that was written without a stop, by one process."""
    return simulate(tmp_path_factory.mktemp("whole") / "frames.h5", FRAMES, SEED, workers=1)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The directory of a file whose writer was killed after its first frames."""
    directory = tmp_path_factory.mktemp("killed")
    code = (
        "from bluesky_xtag.simulate.archive import simulate\n"
        f"if __name__ == '__main__': simulate('frames.h5', {FRAMES}, {SEED}, workers=1)"
    )
    (directory / "begin.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))}
    command = [sys.executable, "begin.py"]
    process = subprocess.Popen(command, cwd=directory, env=environment, start_new_session=True)
    wait_until(lambda: list(directory.glob("frames.h5.parts/*.h5")) or process.poll() is not None)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    wait_until(lambda: not group_lives(process.pid))  # its workers end with it
    return directory


@pytest.fixture
def unfinished(killed, tmp_path):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "frames.h5"


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.005)


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_frames_and_their_truth_can_be_read(whole):
    with h5py.File(whole) as file:
        assert list(file.attrs["tags"]) == list(TAGS.names)
        assert file.attrs["seed"] == SEED and file.attrs["frames"] == FRAMES and file.attrs["held_out"]
        assert file.attrs["nuisances"] == "all" and file.attrs["version"]
        for data in (data for data in file.values() if isinstance(data, h5py.Dataset)):
            assert data.dtype == np.int32 and data.attrs["truth"].shape == (len(TAGS),) and data.attrs["detector"]
    frames = list(each_frame(whole))
    assert [frame.name for frame in frames] == [f"{index:06d}" for index in range(FRAMES)]
    assert any(frame.present for frame in frames) and all(frame.absent for frame in frames)
    for frame in frames:
        Preparation()(frame.pixels, frame.beam_centre)


def test_clean_frames_and_masks_that_are_told_apart(tmp_path):
    shifted = next(
        seed for seed in count() if any(make_scene(seed, 0, True, ["gaps", "mask_wrong"]).defects.mask_shift)
    )
    told = simulate(tmp_path / "told.h5", 1, shifted, nuisances=["mask_wrong", "gaps"])
    clean = simulate(tmp_path / "clean.h5", 1, shifted, nuisances=())
    with h5py.File(told) as file:
        assert file.attrs["nuisances"] == "gaps,mask_wrong"
        assert file["masks/000000"].dtype == bool and file["masks/000000"].shape == file["000000"].shape
    with h5py.File(clean) as file:
        assert file.attrs["nuisances"] == "none"
        assert list(file) == ["000000"] and file["000000"][()].min() >= 0
    assert [frame.name for frame in each_frame(told)] == ["000000"]


def test_any_number_of_workers_writes_the_same_file(whole, tmp_path):
    assert simulate(tmp_path / "two.h5", FRAMES, SEED, workers=2).read_bytes() == whole.read_bytes()


def test_a_killed_file_is_not_there_and_the_same_call_finishes_it(whole, unfinished):
    done = {part: part.stat().st_mtime_ns for part in unfinished.parent.glob("frames.h5.parts/*.h5")}
    assert done and not unfinished.exists()
    torn = unfinished.parent / "frames.h5.parts" / f"{FRAMES - 1:06d}.h5.1.unfinished"
    torn.write_bytes(b"half a frame")
    assert simulate(unfinished, FRAMES, SEED, workers=1).read_bytes() == whole.read_bytes()
    assert not torn.parent.exists()


def test_an_unfinished_file_is_not_continued_with_other_settings(unfinished):
    before = sorted(unfinished.parent.rglob("*"))
    with pytest.raises(XTagValueError, match=rf"seed {SEED}, not 8; .*call again with those.*or remove .*parts"):
        simulate(unfinished, FRAMES, seed=8, held_out=False)
    assert sorted(unfinished.parent.rglob("*")) == before


def test_what_is_there_or_cannot_be_written_is_refused(whole, tmp_path):
    with pytest.raises(XTagValueError, match="exists: choose another name"):
        simulate(whole, FRAMES, SEED)
    with pytest.raises(XTagValueError, match="no directory"):
        simulate(tmp_path / "nowhere" / "frames.h5", 1)
    with pytest.raises(XTagValueError, match="at least one"):
        simulate(tmp_path / "none.h5", 0)
    with pytest.raises(XTagValueError, match="no nuisance fog; known: .*gaps"):
        simulate(tmp_path / "fog.h5", 1, nuisances=["fog"])
    assert not list(tmp_path.iterdir())


def test_the_end_of_a_worker_is_told_and_what_is_done_is_kept(tmp_path):
    settings = archive._Settings(50, SEED, True, "all", "1")
    frames = archive._simulate_parts(tmp_path, list(range(50)), settings, workers=2)
    next(frames)
    for child in active_children():
        child.kill()
    with pytest.raises(XTagError, match="call again, with fewer workers"):
        list(frames)
    assert list(tmp_path.glob("*.h5"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_frame_that_fails_is_named_and_costs_no_other(whole, tmp_path, monkeypatch, workers):
    out, parts = tmp_path / "frames.h5", tmp_path / "frames.h5.parts"
    with monkeypatch.context() as patch:
        patch.setattr(archive, "_write_part", failing_frames.write_part)
        with pytest.raises(XTagError) as told:
            simulate(out, FRAMES, SEED, workers=workers)
    bad, (*others,) = failing_frames.BAD, (index for index in range(FRAMES) if index != failing_frames.BAD)
    for words in (
        f"frame {bad} of seed {SEED} (Fog: the beam is not seen)",
        f"The {FRAMES - 1} frames that are done are kept in {parts}",
        "report the numbers, the seed and the version",
        f"leave_out=[{bad}], in the shell: --leave-out {bad}",
    ):
        assert words in str(told.value)
    done = {part: part.stat().st_mtime_ns for part in parts.glob("*.h5")}
    assert sorted(part.stem for part in done) == [f"{index:06d}" for index in others] and not out.exists()

    simulate(out, FRAMES, SEED, workers=1)  # the cause is mended: only the frame that failed is missing
    assert out.read_bytes() == whole.read_bytes() and not parts.exists()


def test_a_frame_can_be_left_out(whole, tmp_path, monkeypatch):
    out, bad = tmp_path / "frames.h5", failing_frames.BAD
    monkeypatch.setattr(archive, "_write_part", failing_frames.write_part)
    with pytest.raises(XTagError, match="--leave-out"):
        simulate(out, FRAMES, SEED, workers=1)
    written = {part.name: part.stat().st_mtime_ns for part in tmp_path.glob("frames.h5.parts/*.h5")}
    assert len(written) == FRAMES - 1
    simulate(out, FRAMES, SEED, workers=1, leave_out=[bad])  # goes on, with what the first call wrote
    with h5py.File(out) as file, h5py.File(whole) as complete:
        assert list(file.attrs["left_out"]) == [bad] and "left_out" not in complete.attrs
        assert set(complete) - set(file) == {f"{bad:06d}"}
        name = f"{bad + 1:06d}"
        np.testing.assert_array_equal(file[name], complete[name])
    assert [frame.name for frame in each_frame(out)] == [
        frame.name for frame in each_frame(whole) if int(frame.name) != bad
    ]


def test_only_frames_that_there_are_can_be_left_out(tmp_path):
    with pytest.raises(XTagValueError, match="no frame 5 to leave out: the frames are 0 to 4"):
        simulate(tmp_path / "frames.h5", 5, leave_out=[5])
    with pytest.raises(XTagValueError, match="all frames are left out"):
        simulate(tmp_path / "frames.h5", 2, leave_out=[0, 1])
    assert not list(tmp_path.iterdir())


def test_frames_that_all_fail_end_the_call_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_frame", failing_frames.raise_fog)
    with pytest.raises(XTagError, match=r"The 0 frames that are done") as told:
        simulate(tmp_path / "frames.h5", 1000, SEED, workers=1)
    assert str(told.value).count("Fog") == archive._MOST_FAILURES
