"""Reads files in a child that ends where it waits: HDF5 opens a pipe while it holds up all threads of its process."""

import faulthandler
import json
import os
import subprocess
import sys

SECONDS = 20


def _calls():
    from bluesky_xtag import FrameError
    from bluesky_xtag.frames import FORMATS, FrameSelection, RootMap, data_sets, pack, read
    from bluesky_xtag.frames.files import Hdf5Frames, linked_files, read_mask
    from bluesky_xtag.frames.in_files import each_once
    from bluesky_xtag.frames.labelled import open_labelled

    def labelled(path):
        with open_labelled(path) as file:
            return len([frame.pixels for frame in file])

    def pixels(frame):
        try:
            return int(frame.pixels().max())
        except FrameError as error:
            return str(error)

    def moved(path):
        roots = RootMap({"/elsewhere": os.path.dirname(path)})
        return int(FORMATS["hdf5"].with_roots(roots).read(path, "/entry/data", 0).max())

    return {
        "read": lambda path: int(read(path, "/entry/data", 0).max()),
        "read any": lambda path: int(read(path, "", 0).max()),
        "pack": lambda path: type(pack(path, "/entry/data", 0)).__name__,
        "moved": moved,
        "handler": lambda path: Hdf5Frames(path, 2, "/entry/data")(0).shape,
        "data sets": lambda path: list(data_sets(path)),
        "rows": lambda path: [pixels(frame) for frame in each_once([path], FrameSelection(), RootMap())],
        "mask": lambda path: read_mask(path, "mask" if path.endswith((".h5", ".nxs")) else "").shape,
        "mask in HDF5": lambda path: read_mask(path, "/entry/data").shape,
        "links": lambda path: sorted(linked_files(path)),
        "labelled": labelled,
    }


def read_in_children(paths, calls):
    """Return what came of each call on each path, by path and call; "waits" where it did not come to an end.

    A few such are enough; the rest is "not tried".
    """
    left = [(str(path), call) for path in paths for call in calls]
    found = {}
    while left and list(found.values()).count("waits") < 2:
        command = [sys.executable, __file__, json.dumps(left)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS * 10)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        found |= {(path, call): text for path, call, text in told}
        if len(told) < len(left):
            assert told or "Timeout" in done.stderr, done.stderr
            found[left[len(told)]] = "waits"
        left = left[len(told) + 1 :]
    return found | dict.fromkeys(left, "not tried")


def _read_all(left):
    calls = _calls()
    for path, call in left:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            text = str(calls[call](path))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            text = f"{type(error).__name__}: {error}"
        print(json.dumps([path, call, text]), flush=True)
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    _read_all(json.loads(sys.argv[1]))
