"""Reads HDF5 files that another process writes."""

from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from support.frames_fixtures import DATA, Writer

from bluesky_xtag.errors import FrameNotReady
from bluesky_xtag.frames.files.hdf5 import read_image


@pytest.fixture
def writer(tmp_path):
    """Starts writer processes and ends them with the test."""
    writers = []

    def start(path, **options):
        writers.append(Writer(path, **options))
        return writers[-1]

    yield start
    for started in writers:
        started.close()


def test_file_of_another_process_is_read_while_it_grows(tmp_path, writer):
    path = tmp_path / "a.h5"
    with pytest.raises(FrameNotReady, match="does not exist"):
        read_image(path, DATA, 0)
    detector = writer(path)
    for index in range(5):
        with pytest.raises(FrameNotReady, match="not written yet"):
            read_image(path, DATA, index)
        assert detector.append() == "done"
        np.testing.assert_array_equal(read_image(path, DATA, index), np.full((24, 32), index))


def test_extended_but_unwritten_frame_is_not_taken_for_an_empty_one(tmp_path, writer):
    path = tmp_path / "a.h5"
    detector = writer(path)
    detector.append()
    detector.extend()
    with h5py.File(path, "r", libver="latest", swmr=True) as file:
        assert file[DATA].shape[0] == 2, "the dataset does announce the frame"
    with pytest.raises(FrameNotReady, match="not written yet"):
        read_image(path, DATA, 1)


@pytest.mark.parametrize("swmr", [True, False])
def test_reading_never_keeps_the_writer_from_its_file(tmp_path, writer, swmr):
    path = tmp_path / "a.h5"
    detector = writer(path, swmr=swmr)
    detector.append()
    with ThreadPoolExecutor(2) as pool:
        stop = False

        def read_on():
            while not stop:
                try:
                    read_image(path, DATA, 0)
                except FrameNotReady:
                    continue

        readers = [pool.submit(read_on) for _ in range(2)]
        try:
            answers = {answer() for _ in range(10) for answer in (detector.reopen, detector.append)}
        finally:
            stop = True
        assert [reader.result(30) for reader in readers] == [None, None]
    assert answers == {"done"}


def test_file_not_written_in_swmr_mode_is_read_once_its_writer_has_closed_it(tmp_path, writer):
    path = tmp_path / "a.h5"
    detector = writer(path, swmr=False)
    for _ in range(3):
        detector.append()
    detector.close()
    assert read_image(path, DATA, 2)[0, 0] == 2


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.8, 0.99])
def test_torn_file_that_is_still_marked_as_being_written_may_still_come(tmp_path, writer, part):
    detector = writer(tmp_path / "live.h5", compressed=False)
    for _ in range(4):
        detector.append()
    live = (tmp_path / "live.h5").read_bytes()
    path = tmp_path / "a.h5"
    path.write_bytes(live[: int(part * len(live))])
    with pytest.raises(FrameNotReady):
        read_image(path, DATA, 3)
    path.write_bytes(live)
    assert read_image(path, DATA, 3)[0, 0] == 3
