"""The files of a model: what its network may be made of, and how its directory is written."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .card import CARD
from .prepare import Preparation

__all__ = ["NETWORK", "load_network", "write_model"]

NETWORK = "network.keras"
# What a network may be made of; anything else in its file could be a way to run code.
_MODULES = {"keras", "keras.layers", "keras.initializers", "keras.src.models.functional"}
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}


def write_model(directory: Path, card: Mapping[str, Any], network: bytes) -> Path:
    """Write a model directory, completely or not at all. An existing model is replaced.

    Raises
    ------
    ModelError
        The directory holds something that is not a model.
    """
    if directory.exists() and not (directory / CARD).is_file() and any(directory.iterdir()):
        raise ModelError(f"{directory} is not empty and does not hold a model: choose another directory")
    directory.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        new.chmod(0o755)
        (new / NETWORK).write_bytes(network)
        (new / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
        if directory.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
            os.replace(directory, old)
            shutil.rmtree(old)
        os.replace(new, directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return directory


def load_network(file: bytes, preparation: Preparation, tags: int) -> Any:
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
