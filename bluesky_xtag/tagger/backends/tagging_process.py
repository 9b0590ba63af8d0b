"""What the tagging process does: it reads, prepares and scores the frames it is asked for, and ends with its parent.

Started by `ProcessBackend` as ``python -m``, never forked: TensorFlow does not survive that.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...documents import FrameId
from ...frames import Frame, images_at
from ..scoring import Outcome, say, score_prepared, tag_together, warm_for
from .prepared import forget_oldest, take_newest
from .shared_memory import SharedMemory
from .wire import as_array, frame_id, of_array, of_frame_id, of_outcome, pack, unpack

__all__ = ["main"]

_BEAT = 0.5  # seconds between two looks whether the parent is there
_YIELDS = 5  # as `nice` counts: where processors are short, the scan's own processes get three times the time
_LEAST = 19  # the most that `nice` knows


def main(descriptor: int, memory: int, question: int, parent: int) -> None:
    """Answer questions until there are no more.

    Parameters
    ----------
    descriptor : int
        Of the connection to the parent.
    memory : int
        Of the memory shared with it.
    question : int
        Of the file with what this process is told first.
    parent : int
        Its process number.
    """
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with suppress(OSError):  # where memory runs out, the system ends this process and not the session
        Path("/proc/self/oom_score_adj").write_text("1000")
    asked = unpack(Path(f"/proc/self/fd/{question}").read_bytes())
    _give_way(_YIELDS)
    if asked["humble"]:
        os.environ.update(dict.fromkeys(("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"), "-1"))
    if asked["humble"] == "start":
        _give_way_to_all()
    connection, shared = Connection(descriptor), SharedMemory(memory)
    messages = _Messages()
    logging.getLogger().addHandler(messages)
    logging.getLogger("bluesky_xtag").setLevel(logging.INFO)
    model = None
    try:
        model = _model(asked)
        warm_for(model)
        model.warm()
        if asked["humble"]:
            _give_way_to_all()
        answer: list[Any] = ["ready", str(model.device)]
    except Exception as error:  # noqa: BLE001 - whatever a model does, its reason is told
        answer = ["failed", say(error)]
    connection.send_bytes(pack([*answer, messages.take()]))
    if answer[0] == "ready":
        _answer_all(connection, shared, messages, model)


def _answer_all(connection: Connection, shared: SharedMemory, messages: _Messages, model: Any) -> None:
    masks: dict[int, np.ndarray] = {}
    kept: dict[FrameId, Any] = {}
    while True:
        try:
            question = unpack(connection.recv_bytes())
        except (EOFError, OSError):
            return
        if "take" in question:
            newest = take_newest(kept, question["take"])
            answer = [
                [of_frame_id(frame), {name: of_array(each) for name, each in inputs.items()}]
                for frame, inputs in newest.items()
            ]
            connection.send_bytes(pack(["inputs", answer, messages.take()]))
            continue
        for number, place in question["masks"]:
            masks[number] = np.array(_image(place, shared))
        try:
            frames, keep = question["frames"], kept if question["keep"] else None
            if _are_prepared(frames):
                found = _score_prepared(model, frames, shared)
            else:
                found = tag_together(model, _frames(frames, shared, masks), keep)
            forget_oldest(kept)
            answer = ["outcomes", [of_outcome(outcome) for outcome in found]]
        except BaseException as error:  # noqa: BLE001 - also what is no Exception: the parent decides
            answer = ["raised", say(error)]
        for number in question["forget"]:
            masks.pop(number, None)
        connection.send_bytes(pack([*answer, messages.take()]))


def _model(question: dict[str, Any]) -> Any:
    """Return the model: from its directory, or one of the parent's own, which it pickled itself."""
    sys.path[:] = question["path"]
    if question["directory"] is not None:
        from ...model import load_model

        return load_model(question["directory"])
    from ...model import without_build_notes

    with without_build_notes():
        return pickle.loads(question["pickled"])  # noqa: S301 - from the process that started this one


@dataclass(frozen=True)
class _Sent:
    """An image that came with the question."""

    image: np.ndarray
    size: None = None

    def read(self, index: int) -> np.ndarray:
        """Return it."""
        return self.image


def _frames(questions: Sequence[Any], shared: SharedMemory, masks: dict[int, np.ndarray]) -> Iterator[Frame]:
    for identity, centre, mask, address, place, own in questions:
        shared.step()
        if address is not None:
            source: Any = images_at(address)
        else:
            image = _image(place, shared)
            source = _Sent(image if own is None else np.ma.MaskedArray(image, _image(own, shared)))
        yield Frame(frame_id(identity), None if centre is None else tuple(centre), masks.get(mask), source)
    shared.step()


def _are_prepared(questions: Sequence[Any]) -> bool:
    """Tell whether frames came as what a network sees of them."""
    return any(isinstance(place, dict) and "prepared" in place for *_, place, _ in questions)


def _score_prepared(model: Any, questions: Sequence[Any], shared: SharedMemory) -> list[Outcome]:
    found: list[Outcome] = []
    for identity, *_, place, _ in questions:
        shared.step()
        arrays = {name: _image(sent, shared) for name, sent in place["prepared"].items()}
        inputs: Any = SimpleNamespace(**arrays)
        found += score_prepared(model, [frame_id(identity)], [inputs])
    shared.step()
    return found


def _image(sent: Any, shared: SharedMemory) -> np.ndarray:
    """Return an array from where it is in the shared memory, or one that came with the question."""
    if isinstance(sent, list):
        return shared.get(sent)
    return as_array(sent)


def _give_way_to_all() -> None:
    """Work only while a processor has nothing else to do, in all threads."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))
    _give_way(_LEAST)


def _give_way(much: int) -> None:
    """Let the session, detectors and writers of files go first where processors are short."""
    with suppress(OSError):
        os.nice(much)
    for _ in range(3):  # Linux may weigh sessions of processes before processes, and this one has a session of its own
        try:
            Path("/proc/self/autogroup").write_text(str(much))
        except BlockingIOError:  # it takes ten such wishes a second
            time.sleep(0.15)
        except OSError:
            return
        else:
            return


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, whatever else it does; the connection may be held open by others."""
    while os.getppid() == parent:
        time.sleep(_BEAT)
    os._exit(0)


class _Messages(logging.Handler):
    """Keeps what is logged, for the parent's log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._kept: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        if record.name.startswith("bluesky_xtag") and len(self._kept) < 100:
            self._kept.append((record.name, record.levelno, record.getMessage()))

    def take(self) -> list[tuple[str, int, str]]:
        """Return what was logged since the last time."""
        taken, self._kept = self._kept, []
        return taken


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
