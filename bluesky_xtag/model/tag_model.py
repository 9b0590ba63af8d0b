"""TagModel: a network with its taxonomy, thresholds, preparation and card, in one directory on disk.

A directory holds `network.keras` and `card.json`. Nothing in it is executed, unless its user trusts it: the card is
JSON, the network consists of layers on a list, and Keras' safe mode is on.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..errors import ModelError, XTagValueError
from .card import DEFAULT, FORMAT, ModelCard, fingerprint
from .daemon_threads import DaemonThreads
from .model_files import load_network, write_model
from .network_guard import NETWORK, read_network
from .prepare import Inputs, PackedImage, Preparation
from .programs import Program, Score, find_program, keep_program
from .quiet import without_build_notes
from .serving import serve
from .taxonomy import Taxonomy

__all__ = ["TagModel", "load_model"]

log = logging.getLogger("bluesky_xtag")

# By device and sha256: equal models of a process share what serves them, which takes seconds to make.
_shared: WeakValueDictionary[tuple[str, str, bool], Score] = WeakValueDictionary()
_sharing = threading.Lock()
_DRIVERS = ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, Windows' for Linux


class TagModel:
    """A network with everything that is needed to tag raw frames.

    Parameters
    ----------
    card : ModelCard
        Identity, tags, thresholds and preparation.
    network : bytes
        The network's file in Keras' format.
    trust : bool
        Whether the network may consist of anything that Keras can load, also of code; see `load`.

    Attributes
    ----------
    name, version, sha256 : str
        Identity.
    taxonomy : Taxonomy
        The tags, in the order of the scores.
    thresholds : numpy.ndarray
        (tags,) float32, the score from which on a tag is accepted.
    preparation : Preparation
        How raw frames become network inputs.
    card : ModelCard
        As given.
    network : keras.Model
        Scores of prepared frames.
    device : str
        "CPU", or "GPU: " and its name.

    Raises
    ------
    ModelError
        Card and network do not match each other or this package.
    """

    unpacks = True  # `predict` takes images that are still compressed

    def __init__(self, card: ModelCard, network: bytes, trust: bool = False) -> None:
        self.card, self._trust = card, trust
        self.name, self.version, self.sha256 = card.name, card.version, card.sha256
        self.taxonomy, self.thresholds, self.preparation = card.taxonomy, card.thresholds, card.preparation
        found = fingerprint(network, self.taxonomy, self.preparation)
        if found != self.sha256:
            raise ModelError(
                f"the model's sha256 is {found[:12]}..., the card says {self.sha256[:12]}...: "
                "the network, the taxonomy or the preparation was damaged or exchanged; get the model again"
            )
        self._file = network
        self.device = _device()
        self._served = _shared.get(self._which) or self._kept()
        if self._served is None:  # otherwise this very network was loaded once, and so it was found to be sound
            _ = self.network

    def __reduce__(self) -> tuple[type[TagModel], tuple[ModelCard, bytes, bool]]:
        """Let a model be sent to another process, which loads it again."""
        return TagModel, (self.card, self._file, self._trust)

    @cached_property
    def network(self) -> Any:
        """The Keras network, of this model alone."""
        return load_network(self._file, self.preparation, self._width, trust=self._trust)

    @property
    def _width(self) -> int:
        """How many numbers the network gives."""
        return len(self.taxonomy) + len(self.taxonomy.graded)

    @property
    def _which(self) -> tuple[str, str, bool]:
        """What models have in common that may share what serves them; one that was trusted shares with such only."""
        return self.device, self.sha256, self._trust

    @property
    def _score(self) -> Score:
        if self._served is None:  # a model that serves a scan waits for no other
            with _sharing:  # threads that come first at once wait for one
                on_gpu = self.device.startswith("GPU")
                served = _shared.get(self._which) or serve(self.network, on_gpu=on_gpu, keep=self._keep)
                self._served = _shared[self._which] = served
        return self._served

    def _kept(self) -> Score | None:
        """Return what serves this network from what an earlier process made of it, without TensorFlow."""
        if self.device != "CPU":
            return None
        with _sharing, without_build_notes():
            program = find_program(self.sha256, self._trust)
            try:
                served = program and program.score()
            except Exception as error:  # noqa: BLE001 - whatever LiteRT thinks of a damaged file
                log.info("the program that was kept of the model is not used: %s", error)
                return None
            if served is not None:
                _shared[self._which] = served
            return served

    def _keep(self, program: Program) -> None:
        keep_program(program, self.sha256, self._trust)

    @cached_property
    def _threads(self) -> DaemonThreads:
        """For frames side by side, each in a thread from its pixels to its scores."""
        return DaemonThreads(os.cpu_count() or 1, "xtag-frames")

    @classmethod
    def load(cls, directory: str | Path | None = None, *, trust: bool = False) -> TagModel:
        """Load a model directory. If none is given, load the packaged model.

        Parameters
        ----------
        directory : str or Path, optional
            A directory written by `save`.
        trust : bool
            Load a network of any layers, also of layers that run code or read other files. Such a network can do
            whatever you can do: say it only of models whose makers you trust, and which nobody else can have changed.

        Raises
        ------
        ModelError
            A file is missing or damaged, the parts do not match each other, or the network holds something that is not
            on the list of what networks may be made of.
        """
        directory = DEFAULT if directory is None else Path(directory)
        card = ModelCard.load(directory)
        try:
            return cls(card, read_network(directory, trust=trust), trust)
        except ModelError as error:
            raise ModelError(f"{directory}: {error}") from error

    @classmethod
    def from_network(
        cls,
        network: Any,
        taxonomy: Taxonomy,
        thresholds: Sequence[float] | np.ndarray,
        preparation: Preparation,
        *,
        name: str,
        version: str,
        trust: bool = False,
        **more: Any,
    ) -> TagModel:
        """Make a model from a Keras network.

        Its one output, (batch, tags + graded tags), is a score 0..1 of each tag, and behind them the strengths of the
        tags that are graded. `more` goes into the card; `trust`: see `load`.
        """
        with tempfile.TemporaryDirectory() as directory:
            network.save(Path(directory) / NETWORK)
            file = (Path(directory) / NETWORK).read_bytes()
        card = {
            "format": FORMAT,
            "name": name,
            "version": version,
            "taxonomy": [tag.to_dict() for tag in taxonomy.tags],
            "thresholds": [round(float(threshold), 6) for threshold in thresholds],
            "preparation": preparation.to_dict(),
            "sha256": fingerprint(file, taxonomy, preparation),
        }
        return cls(ModelCard.from_dict(card | more), file, trust)

    def save(self, directory: str | Path) -> Path:
        """Write the model directory, completely or not at all. An existing model is replaced.

        Raises
        ------
        ModelError
            The directory holds something that is not a model.
        """
        return write_model(Path(directory), self.card.stored, self._file)

    def warm(self) -> None:
        """Prepare and run the network once, so that no frame waits for the work of the first use."""
        distance = np.hypot(*np.indices((64, 64)) - 32)
        frame = self.preparation((1000 / (1 + distance)).astype(np.int32))
        self.infer([frame])

    def predict(
        self,
        images: np.ndarray | Sequence[np.ndarray | PackedImage],
        beam_centres: Sequence[tuple[float, float] | None] | None = None,
        masks: np.ndarray | Sequence[np.ndarray | None] | None = None,
    ) -> np.ndarray:
        """Score raw frames.

        Parameters
        ----------
        images : numpy.ndarray or sequence of numpy.ndarray or PackedImage
            (n, rows, columns) raw counts, or n images of (rows, columns) that may differ in shape; those that are still
            compressed are binned while they are decoded.
        beam_centres : sequence, optional
            For each image (x, y) in pixels, or None if unknown. If not given, all are unknown.
        masks : numpy.ndarray or sequence, optional
            (rows, columns), true where pixels must not be used: one for all images, or one (or None) for each.

        Returns
        -------
        numpy.ndarray
            (n, len(taxonomy)) float32, scores 0..1.

        Raises
        ------
        FrameError
            An image cannot be used.
        XTagValueError
            The numbers of images, beam centres and masks differ, or the images are not a stack.
        """
        return self.predict_all(images, beam_centres, masks)[0]

    def predict_all(
        self,
        images: np.ndarray | Sequence[np.ndarray | PackedImage],
        beam_centres: Sequence[tuple[float, float] | None] | None = None,
        masks: np.ndarray | Sequence[np.ndarray | None] | None = None,
        *,
        kept: dict[int, Inputs] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score raw frames and estimate strengths. Arguments and errors are those of `predict`.

        Parameters
        ----------
        images, beam_centres, masks
            As of `predict`.
        kept : dict, optional
            Gets what the network saw of each image, by its number.

        Returns
        -------
        numpy.ndarray
            (n, len(taxonomy)) float32, scores 0..1.
        numpy.ndarray
            (n, len(taxonomy.graded)) float32, log10 of the estimated signal-to-noise ratio of each component.
        """
        if isinstance(images, np.ndarray) and images.ndim != 3:
            raise XTagValueError(f"images have shape (n, rows, columns), but got {images.shape}: try image[None]")
        if masks is None or (isinstance(masks, np.ndarray) and masks.ndim == 2):
            masks = [masks] * len(images)
        each = {
            "beam centres": [None] * len(images) if beam_centres is None else list(beam_centres),
            "masks": list(masks),
        }
        for name, given in each.items():
            if len(given) != len(images):
                raise XTagValueError(f"{len(images)} images, but {len(given)} {name}: give one for each image")
        score = self._score

        def score_frame(number: int, *frame: Any) -> np.ndarray:
            inputs = self.preparation(*frame)
            if kept is not None:
                kept[number] = inputs
            return score(vars(inputs))

        return self._side_by_side(score_frame, range(len(images)), list(images), *each.values())

    def infer(self, prepared: Sequence[Inputs]) -> np.ndarray:
        """Score prepared frames; (n, len(taxonomy)) float32.

        The scores of a frame do not depend on the others that are given with it.
        """
        return self.infer_all(prepared)[0]

    def infer_all(self, prepared: Sequence[Inputs]) -> tuple[np.ndarray, np.ndarray]:
        """Score prepared frames and estimate strengths; returns what `predict_all` does."""
        score = self._score
        return self._side_by_side(lambda inputs: score(vars(inputs)), prepared)

    def _side_by_side(
        self, score: Callable[..., np.ndarray], *of_frames: Sequence[Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        each = map if len(of_frames[0]) == 1 else self._threads.map
        found = np.array(list(each(score, *of_frames)), np.float32).reshape(-1, self._width)
        return found[:, : len(self.taxonomy)], found[:, len(self.taxonomy) :]


def load_model(model: TagModel | str | Path | None = None) -> TagModel:
    """Return the model that is given, the model in the directory that is given, or, if None, the packaged model.

    Raises
    ------
    ModelError
        The directory does not hold a model, or the model is damaged.
    """
    if model is not None and not isinstance(model, str | Path):
        return model
    with without_build_notes():
        return TagModel.load(model)


def _device() -> str:
    """Choose the device, with memory growth on GPUs, and log it. Other backends, which only train, choose it."""
    # TensorFlow brings an SQLite without full-text search, which would take the place of Python's in this process
    # and keep Tiled's catalogues from opening.
    import sqlite3  # noqa: F401

    backend = _keras_backend()
    if backend != "tensorflow":
        return backend
    if _has_no_gpu():
        log.info("no GPU found: the model runs on the CPU")
        return "CPU"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:  # the GPU is in use in this process already
            log.info("memory growth of %s stays as it is: %s", gpu.name, error)
    if not gpus:
        log.info("no GPU found: the model runs on the CPU")
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    device = f"GPU: {details.get('device_name', gpus[0].name)}"
    log.info("the model runs on %s", device)
    return device


def _keras_backend() -> str:
    """Return what Keras runs on, or would run on, without an import of it: that takes seconds."""
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return json.loads((home / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def _has_no_gpu() -> bool:
    """Tell whether this machine has no driver of a GPU; if in doubt, TensorFlow is asked."""
    return sys.platform == "linux" and not any(map(os.path.exists, _DRIVERS))
