"""TagModel: a network with its taxonomy, thresholds, preparation and card; one directory on disk.

A directory holds `network.keras` and `card.json`. Nothing in it is executed: the card is JSON, the network consists
of Keras' own layers only, and Keras' safe mode is on.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import errors
from ..errors import ModelError, XTagValueError
from .prepare import Inputs, Preparation
from .serving import Score, serve
from .taxonomy import Tag, Taxonomy

__all__ = ["TagModel", "fingerprint"]

log = logging.getLogger(__name__)

DEFAULT = Path(__file__).parent / "default"
NETWORK, CARD = "network.keras", "card.json"
FORMAT = 1
# What a network may be made of; anything else in its file could be a way to run code.
_MODULES = {"keras", "keras.layers", "keras.initializers", "keras.src.models.functional"}
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}


class TagModel:
    """A network with everything that is needed to tag raw frames.

    Parameters
    ----------
    card : mapping
        `format`, `name`, `version`, `taxonomy`, `thresholds`, `preparation`, `sha256` (see `fingerprint`) and
        anything worth telling (figures, training).
    network : bytes
        The network's file in Keras' format.

    Attributes
    ----------
    name, version, sha256 : str
        Identity.
    taxonomy : Taxonomy
        The tags, in the order of the scores.
    thresholds : numpy.ndarray
        (tags,) float32, score from which a tag is accepted.
    preparation : Preparation
        How raw frames become network inputs.
    card : dict
        As given.
    network : keras.Model
        Scores of prepared frames.
    device : str
        "CPU", or "GPU: " and its name.

    Raises
    ------
    ModelError
        Card and network do not fit each other or this package.
    """

    def __init__(self, card: Mapping[str, Any], network: bytes) -> None:
        if not isinstance(card, Mapping):
            raise ModelError(f"{CARD} holds {type(card).__name__}, not the fields of a card: get the model again")
        self.card = dict(card)
        wanted = {"format", "name", "version", "taxonomy", "thresholds", "preparation", "sha256"}
        if missing := sorted(wanted - set(card)):
            raise ModelError(f"the card lacks {', '.join(missing)}: train or download the model again")
        if card["format"] != FORMAT:
            raise ModelError(
                f"the model has format {card['format']}, this package reads {FORMAT}: use the matching version"
            )
        self.name, self.version = str(card["name"]), str(card["version"])
        self.taxonomy, self.thresholds = _taxonomy(card), _thresholds(card)
        try:
            self.preparation = Preparation.from_dict(card["preparation"])
        except (XTagValueError, TypeError) as error:
            raise ModelError(f"the card's preparation does not fit: {error}") from error
        self.sha256 = fingerprint(network, self.taxonomy, self.preparation)
        if self.sha256 != card["sha256"]:
            raise ModelError(
                f"the model's sha256 is {self.sha256[:12]}..., the card says {str(card['sha256'])[:12]}...: "
                "the network, the taxonomy or the preparation was damaged or exchanged; get the model again"
            )
        self._file = network
        self.device = _device()
        self.network = _network(network, self.preparation, len(self.taxonomy))
        self._serving, self._served = threading.Lock(), None

    def __reduce__(self) -> tuple[type[TagModel], tuple[dict[str, Any], bytes]]:
        """Let a model travel to another process, where it is loaded anew."""
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
        """Load a model directory; the packaged model if none is given.

        Raises
        ------
        ModelError
            A file is missing or damaged, or the parts do not fit each other.
        """
        directory = DEFAULT if directory is None else Path(directory)
        for name in (CARD, NETWORK):
            if not (directory / name).is_file():
                raise ModelError(f"{directory / name} is missing: give a directory written by TagModel.save")
        try:
            card = json.loads((directory / CARD).read_text("utf-8"))
            return cls(card, (directory / NETWORK).read_bytes())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{directory / CARD} is not JSON ({error}): get the model again") from error
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
        """Make a model of a Keras network that gives scores 0..1; `more` goes to the card."""
        with tempfile.TemporaryDirectory() as directory:
            network.save(Path(directory) / NETWORK)
            file = (Path(directory) / NETWORK).read_bytes()
        card = {
            "format": FORMAT,
            "name": name,
            "version": version,
            "taxonomy": [asdict(tag) for tag in taxonomy.tags],
            "thresholds": [round(float(threshold), 6) for threshold in thresholds],
            "preparation": preparation.to_dict(),
            "sha256": fingerprint(file, taxonomy, preparation),
        }
        return cls(card | more, file)

    def save(self, directory: str | Path) -> Path:
        """Write the model directory, all or nothing; a model that is there is replaced.

        Raises
        ------
        ModelError
            The directory holds something that is not a model.
        """
        directory = Path(directory)
        if directory.exists() and not (directory / CARD).is_file() and any(directory.iterdir()):
            raise ModelError(f"{directory} is not empty and holds no model: choose another directory")
        directory.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            new.chmod(0o755)
            (new / NETWORK).write_bytes(self._file)
            (new / CARD).write_text(json.dumps(self.card, indent=1) + "\n", "utf-8")
            if directory.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
                os.replace(directory, old)
                shutil.rmtree(old)
            os.replace(new, directory)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return directory

    def warm(self) -> None:
        """Prepare and run the network once, so that no frame waits for what is made at the first use."""
        distance = np.hypot(*np.indices((64, 64)) - 32)
        frame = self.preparation((1000 / (1 + distance)).astype(np.int32))
        self.infer([frame])

    def predict(
        self,
        images: np.ndarray | Sequence[np.ndarray],
        beam_centres: Sequence[tuple[float, float] | None] | None = None,
        masks: np.ndarray | Sequence[np.ndarray | None] | None = None,
    ) -> np.ndarray:
        """Score raw frames.

        Parameters
        ----------
        images : numpy.ndarray or sequence of numpy.ndarray
            (n, rows, columns) raw counts, or n arrays of (rows, columns) that may differ in shape.
        beam_centres : sequence, optional
            (x, y) in pixels, or None if unknown, for each image; all unknown if not given.
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


def fingerprint(network: bytes, taxonomy: Taxonomy, preparation: Preparation) -> str:
    """Return the SHA-256 of all that decides what the scores are: network, tags in their order, preparation.

    Thresholds, which anybody may set otherwise, and the card's prose are left out.
    """
    meaning = {"tags": taxonomy.names, "preparation": preparation.to_dict()}
    return hashlib.sha256(network + json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _taxonomy(card: Mapping[str, Any]) -> Taxonomy:
    try:
        return Taxonomy(tuple(Tag(**tag) for tag in card["taxonomy"]))
    except (errors.XTagError, TypeError) as error:
        raise ModelError(f"the card's taxonomy does not fit: {error}") from error


def _thresholds(card: Mapping[str, Any]) -> np.ndarray:
    try:
        thresholds = np.asarray(card["thresholds"], np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card's thresholds are not numbers: {error}") from error
    if thresholds.shape != (len(card["taxonomy"]),) or not np.all((thresholds >= 0) & (thresholds <= 1)):
        raise ModelError(
            f"the card has {len(card['taxonomy'])} tags, but thresholds {card['thresholds']}: "
            "one number from 0 to 1 is needed for each tag"
        )
    return thresholds


def _device() -> str:
    """Choose the device, with memory growth on GPUs, and announce it; other backends, which only train, do so alone."""
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


def _network(file: bytes, preparation: Preparation, tags: int) -> Any:
    """Return the Keras network in a file; ModelError if it could run code or does not fit."""
    import keras

    _refuse_foreign(file)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / NETWORK
        path.write_bytes(file)
        try:
            network: Any = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            raise ModelError(
                f"{NETWORK} cannot be loaded by Keras {keras.__version__} ({error}): "
                "use the version named in the card, or train again"
            ) from error
    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in network.inputs}
    if shapes != preparation.shapes:
        raise ModelError(f"the network takes {shapes}, but the preparation makes {preparation.shapes}")
    if tuple(network.output_shape) != (None, tags):
        raise ModelError(f"the network gives {network.output_shape[1:]} scores, but the card has {tags} tags")
    return network


def _refuse_foreign(file: bytes) -> None:
    """Raise ModelError unless a network's file consists of Keras' own layers, Lambda excluded."""
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            members = set(archive.namelist())
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(f"{NETWORK} is not a Keras file: {error}") from error
    if members - _MEMBERS:
        raise ModelError(f"{NETWORK} holds more than a network: {sorted(members - _MEMBERS)}")
    for part in _parts(config):
        module, name = part.get("module"), part["class_name"]
        if name == "__keras_tensor__":  # a reference to another layer's output
            continue
        if module not in _MODULES or name == "Lambda" or part.get("registered_name") not in (None, name):
            raise ModelError(
                f"{NETWORK} contains {module}.{name}, which could run code: only Keras' own layers are allowed"
            )


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            yield from _parts(item)
