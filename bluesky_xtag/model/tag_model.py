"""TagModel: a network with its taxonomy, thresholds, preparation and card, in one directory on disk.

A directory holds `network.keras` and `card.json`. Nothing in it is executed: the card is JSON, the network consists
of Keras' own layers only, and Keras' safe mode is on.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, XTagValueError
from .card import DEFAULT, FORMAT, ModelCard, fingerprint
from .model_files import NETWORK, load_network, write_model
from .prepare import Inputs, PackedImage, Preparation
from .quiet import without_build_notes
from .serving import Score, serve
from .taxonomy import Taxonomy

__all__ = ["TagModel", "load_model"]

log = logging.getLogger(__name__)


class TagModel:
    """A network with everything that is needed to tag raw frames.

    Parameters
    ----------
    card : ModelCard
        Identity, tags, thresholds and preparation.
    network : bytes
        The network's file in Keras' format.

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

    def __init__(self, card: ModelCard, network: bytes) -> None:
        self.card = card
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
        self.network = load_network(network, self.preparation, len(self.taxonomy))
        self._serving, self._served = threading.Lock(), None

    def __reduce__(self) -> tuple[type[TagModel], tuple[ModelCard, bytes]]:
        """Let a model be sent to another process, which loads it again."""
        return TagModel, (self.card, self._file)

    @property
    def _score(self) -> Score:
        with self._serving:  # threads that come first at once wait for one
            if self._served is None:
                self._served = serve(self.network, on_gpu=self.device.startswith("GPU"))
        return self._served

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        """For frames side by side, each in a thread from its pixels to its scores."""
        return ThreadPoolExecutor(os.cpu_count(), "xtag-frames")

    @classmethod
    def load(cls, directory: str | Path | None = None) -> TagModel:
        """Load a model directory. If none is given, load the packaged model.

        Raises
        ------
        ModelError
            A file is missing or damaged, or the parts do not match each other.
        """
        directory = DEFAULT if directory is None else Path(directory)
        card = ModelCard.load(directory)
        if not (directory / NETWORK).is_file():
            raise ModelError(f"{directory / NETWORK} is missing: give a directory written by TagModel.save")
        try:
            return cls(card, (directory / NETWORK).read_bytes())
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
        **more: Any,
    ) -> TagModel:
        """Make a model from a Keras network that gives scores 0..1; `more` is added to the card."""
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
        return cls(ModelCard.from_dict(card | more), file)

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
        return self._side_by_side(lambda *frame: score(vars(self.preparation(*frame))), list(images), *each.values())

    def infer(self, prepared: Sequence[Inputs]) -> np.ndarray:
        """Score prepared frames; (n, len(taxonomy)) float32.

        The scores of a frame do not depend on the others that are given with it.
        """
        score = self._score
        return self._side_by_side(lambda inputs: score(vars(inputs)), prepared)

    def _side_by_side(self, score: Callable[..., np.ndarray], *of_frames: Sequence[Any]) -> np.ndarray:
        each = map if len(of_frames[0]) == 1 else self._threads.map
        return np.array(list(each(score, *of_frames)), np.float32).reshape(-1, len(self.taxonomy))


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

    import keras

    if keras.backend.backend() != "tensorflow":
        return keras.backend.backend()
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
