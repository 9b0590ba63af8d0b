"""The files of a model: what its network may be made of, and how its directory is written."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError, XTagError
from .atomic import write_atomically
from .card import CARD
from .network_guard import NETWORK, refuse_unwritten
from .network_guard import refuse_foreign as _refuse_foreign
from .prepare import Preparation

__all__ = ["NETWORK", "load_network", "write_model"]


def write_model(directory: Path, card: Mapping[str, Any], network: bytes) -> Path:
    """Write a model directory, completely or not at all. An existing model is replaced.

    Raises
    ------
    ModelError
        The directory holds something that is not a model.
    XTagError
        The disk does not take it. A model that was there is still there.
    """
    if directory.exists() and not (directory / CARD).is_file() and any(directory.iterdir()):
        raise ModelError(f"{directory} is not empty and does not hold a model: choose another directory")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as place:
            new, old = Path(place) / "new", Path(place) / "old"
            new.mkdir()
            with write_atomically(new / NETWORK) as file:
                file.write_bytes(network)
            with write_atomically(new / CARD) as file:
                file.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
            _put(new, directory, old)
    except OSError as error:
        raise XTagError(f"the model {directory} cannot be written ({error}): mend that and call again") from error
    return directory


def _put(new: Path, directory: Path, old: Path) -> None:
    """Give a directory its name; what had the name before becomes `old`."""
    there = directory.exists()
    if there:
        os.replace(directory, old)
    try:
        os.replace(new, directory)
    except OSError:
        if there:
            os.replace(old, directory)
        raise


def load_network(file: bytes, preparation: Preparation, width: int, *, trust: bool = False) -> Any:
    """Return the Keras network in a file; ModelError if it could run code or does not fit.

    Parameters
    ----------
    file : bytes
        The network's file.
    preparation : Preparation
        It makes what the network takes.
    width : int
        How many numbers the network must give, a score a tag, then the strengths.
    trust : bool
        The file may run code: neither this package nor Keras checks what it is made of.
    """
    if not trust:
        refuse_unwritten(file, _refuse_foreign(file))  # before Keras makes anything of it
    import keras

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / NETWORK
        path.write_bytes(file)
        try:
            network: Any = keras.saving.load_model(path, compile=False, safe_mode=not trust)
        except Exception as error:
            raise ModelError(
                f"{NETWORK} cannot be loaded by Keras {keras.__version__} ({error}): "
                "use the version named in the card, or train again"
            ) from error
    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in network.inputs}
    if shapes != preparation.shapes:
        raise ModelError(f"the network takes {shapes}, but the preparation makes {preparation.shapes}")
    if len(network.outputs) != 1 or tuple(network.output_shape) != (None, width):
        found = " and ".join(str(tuple(output.shape[1:])) for output in network.outputs)
        raise ModelError(f"the network gives {found} scores, but the card has {width} tags (and strengths)")
    return network
