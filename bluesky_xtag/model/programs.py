"""Networks as programs of LiteRT, kept on disk: to make one, TensorFlow has to be imported, and that takes seconds."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import XTagValueError
from .atomic import write_atomically

__all__ = ["Program", "Score", "find_program", "inputs_alone", "keep_program", "probes"]

log = logging.getLogger("bluesky_xtag")

Score = Callable[[Mapping[str, np.ndarray]], np.ndarray]

_FORMAT = 1
_TOLERANCE = 1e-4  # of scores, 0 to 1, and of strengths, by their size; rounding makes a tenth of it
_KEPT = 16  # programs; the packaged one has 4 MB
_MAKERS = ("bluesky_xtag", "tensorflow", "keras", "ai-edge-litert")


@dataclass(frozen=True, eq=False)
class Program:
    """A network as LiteRT runs it.

    Parameters
    ----------
    content : bytes
        LiteRT's flat buffer.
    shapes : mapping of str to tuple of int
        Shape of each input, without the batch.
    right : numpy.ndarray
        (3, tags) float32, what TensorFlow gives for `probes`.
    """

    content: bytes
    shapes: Mapping[str, tuple[int, ...]]
    right: np.ndarray

    def score(self) -> Score:
        """Return the function that `serve` returns, after a look whether it gives what TensorFlow gives.

        Raises
        ------
        ArithmeticError
            It does not.
        """
        from ai_edge_litert.interpreter import Interpreter

        content = self.content

        class Own(threading.local):
            """The interpreter of a thread: one must not run in two threads at once."""

            def __init__(self) -> None:
                self.run = Interpreter(model_content=content, num_threads=1).get_signature_runner()

        own = Own()

        def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            (scores,) = own.run(**inputs_alone(inputs, self.shapes)).values()
            return scores[0]

        found = np.array([score(probe) for probe in probes(self.shapes)])
        if found.shape != self.right.shape or not np.allclose(
            found, self.right, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True
        ):
            raise ArithmeticError("it gives other scores")
        return score


def probes(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, np.ndarray]]:
    """Yield inputs to try a network with, faint ones and strong ones."""
    random = np.random.default_rng(0)
    for strength in (0.1, 0.3, 1):
        yield {name: random.normal(0, strength, shapes[name]) for name in sorted(shapes)}


def inputs_alone(inputs: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the inputs of a frame as a batch of one, if they fit: LiteRT would take other shapes for granted.

    Raises
    ------
    XTagValueError
        An input is missing or has another shape.
    """
    batch = {name: np.asarray(inputs[name], np.float32)[None] for name in shapes if name in inputs}
    if wrong := sorted(name for name, shape in shapes.items() if name not in batch or batch[name].shape[1:] != shape):
        needed = {name: shapes[name] for name in wrong}
        raise XTagValueError(f"the network needs inputs of the shapes {needed}: prepare frames as its model does")
    return batch


def find_program(sha256: str, trust: bool) -> Program | None:
    """Return the program that `keep_program` kept for a model, by the same versions on such a machine, if it is sound.

    `sha256` is the model's, and `trust` whether its network was loaded with trust.
    """
    path = _path(sha256, trust)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if os.fstat(file.fileno()).st_uid != os.getuid():  # nobody else may say what runs here
                return None
            names = [name for name in kept.files if name.startswith("shape ")]
            shapes = {name.removeprefix("shape "): tuple(int(side) for side in kept[name]) for name in names}
            program = Program(kept["content"].tobytes(), shapes, kept["right"])
        path.touch()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.info("the program in %s cannot be read (%s): it is made anew", path, error)
        return None
    return program


def keep_program(program: Program, sha256: str, trust: bool) -> None:
    """Keep a program for `find_program`; nothing is raised where that cannot be done."""
    path = _path(sha256, trust)
    arrays: dict[str, Any] = {f"shape {name}": np.array(shape, np.int64) for name, shape in program.shapes.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with write_atomically(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, content=np.frombuffer(program.content, np.uint8), right=program.right, **arrays)
    except OSError as error:
        log.info("the program of the model is not kept: %s", error)
        return
    every = sorted(path.parent.glob("*.npz"), key=_age)
    for old in every[_KEPT:]:
        with suppress(OSError):
            old.unlink()


def _path(sha256: str, trust: bool) -> Path:
    from platformdirs import user_cache_path

    made_by = [_FORMAT, sha256, trust, *map(_version, _MAKERS), platform.machine(), _processor()]
    name = hashlib.sha256("\n".join(map(str, made_by)).encode()).hexdigest()[:32]
    return user_cache_path("bluesky_xtag") / "programs" / f"{name}.npz"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Return what a processor can do: a home directory may be shared by machines that round differently."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
