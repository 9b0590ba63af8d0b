"""What the file of a network may hold. It is checked before Keras sees it: layers by name, sizes, and plain weights.

Keras' safe mode alone forbids only a part: it loads layers that read other files, and it reads weights through links.
So what is allowed is a list, of what networks of this package are made of. Anything else needs a model that its user
trusts: ``TagModel.load(directory, trust=True)``.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import ModelError

__all__ = ["NETWORK", "read_network", "refuse_foreign", "refuse_unwritten"]

NETWORK = "network.keras"

_FILE = 512 * 2**20  # bytes
_MEMBERS = {  # with the largest size, bytes
    "config.json": 4 * 2**20,
    "metadata.json": 2**16,
    "model.weights.h5": _FILE,
}
_DEPTH = 64  # brackets within brackets in the configuration
_LAYERS = 2000
_SIZE = 2**16  # of anything that a layer counts: units, filters, pixels
_OBJECTS = 20_000  # groups and data sets of the weights

_LAYER_NAMES = frozenset(
    {
        *("InputLayer", "Dense", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
        *("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
        *("BatchNormalization", "LayerNormalization", "GroupNormalization", "Rescaling"),
        *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
        *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
        *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
        *("Cropping1D", "Cropping2D", "ZeroPadding1D", "ZeroPadding2D", "UpSampling1D", "UpSampling2D"),
        *("Flatten", "Permute", "Reshape"),
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise"),
    }
)
_ALLOWED: Mapping[Any, frozenset[str]] = {
    "keras.layers": _LAYER_NAMES,
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras": frozenset({"DTypePolicy"}),
    "keras.initializers": frozenset(
        {
            *("Constant", "Ones", "Zeros", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"),
            *("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal"),
        }
    ),
    "keras.regularizers": frozenset({"L1", "L2", "L1L2"}),
}
_ACTIVATIONS = frozenset(
    {
        *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "mish", "tanh"),
        *("sigmoid", "hard_sigmoid", "log_sigmoid", "softmax", "log_softmax", "softplus", "softsign", "exponential"),
    }
)
_TRUST = "if you trust whoever made it, load it with TagModel.load(directory, trust=True)"
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def refuse_foreign(file: bytes) -> int:
    """Raise ModelError unless a network's file holds nothing but known layers and plain weights, of sensible sizes.

    Parameters
    ----------
    file : bytes
        The archive that Keras writes.

    Returns
    -------
    int
        How many numbers its weights are.
    """
    if len(file) > _FILE:
        raise _refuse(f"is of {len(file):,} bytes, at most {_FILE:,} are allowed")
    members = _members(file)
    if "config.json" not in members:
        raise ModelError(f"{NETWORK} is not a Keras file: it has no config.json")
    _check_config(_json(members["config.json"], "config.json"))
    if "metadata.json" in members:
        _json(members["metadata.json"], "metadata.json")
    return _check_weights(members["model.weights.h5"]) if "model.weights.h5" in members else 0


def refuse_unwritten(file: bytes, numbers: int) -> None:
    """Raise ModelError if a network has more weights than its file: Keras makes room for all before it reads one.

    Parameters
    ----------
    file : bytes
        A file that `refuse_foreign` passed.
    numbers : int
        What that returned.
    """
    config = json.loads(_members(file)["config.json"]) | {"compile_config": None}
    with ThreadPoolExecutor(1) as thread:  # Keras would make room for these weights later, too, in this very thread
        wanted = thread.submit(_count_weights, config).result()
    if wanted > numbers + _LAYERS:  # layers with random numbers have some of their own
        raise _refuse(f"has {wanted:,} weights, of which its file holds {numbers:,}")


def _count_weights(config: dict[str, Any]) -> int:
    import keras

    try:
        with keras.StatelessScope(initialize_variables=False):  # only their shapes
            network: Any = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:
        how = f"Keras {keras.__version__} ({error})"
        raise ModelError(f"{NETWORK} cannot be loaded by {how}: train it again") from error
    return sum(math.prod(variable.shape) for variable in network.variables)


def read_network(directory: Path, *, trust: bool = False) -> bytes:
    """Return the file of the network in a model directory; ModelError if it is missing or too large."""
    path = directory / NETWORK
    if not path.is_file():
        raise ModelError(f"{path} is missing: give a directory written by TagModel.save")
    try:
        if not trust and (size := path.stat().st_size) > _FILE:
            raise _refuse(f"is of {size:,} bytes, at most {_FILE:,} are allowed")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): see that you may read it") from error


def _refuse(what: str, remedy: str = _TRUST) -> ModelError:
    return ModelError(f"{NETWORK} {what}: {remedy}")


# The archive


def _members(file: bytes) -> dict[str, bytes]:
    """Return the members of the archive, each within its limit."""
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            listed = archive.infolist()
            if foreign := sorted({member.filename for member in listed} - set(_MEMBERS)):
                shown = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
                raise _refuse(f"holds more than a network: {shown}")
            if len(listed) > len({member.filename for member in listed}):
                raise _refuse("holds a member twice", "get the model again")
            for member in listed:
                most = _MEMBERS[member.filename]
                if member.file_size > most:
                    raise _refuse(
                        f"holds {member.filename} of {member.file_size:,} bytes, at most {most:,} are allowed"
                    )
                if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise _refuse(f"holds {member.filename} packed in a way that Keras does not use")
                with archive.open(member) as opened:
                    content = opened.read(most + 1)
                if len(content) > most:
                    raise _refuse(f"holds {member.filename} of more than {most:,} bytes")
                found[member.filename] = content
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, EOFError, OSError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{NETWORK} is not a Keras file: {error}") from error
    except Exception as error:  # zlib.error, NotImplementedError, struct.error
        raise ModelError(f"{NETWORK} is not a Keras file: {type(error).__name__}: {error}") from error
    return found


def _json(text: bytes, name: str) -> Any:
    """Return what a member says, unless it is nested too deep for Python's parser."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _TEXT.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > _DEPTH:
            raise _refuse(f"holds {name} with more than {_DEPTH} levels")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{NETWORK} is not a Keras file: {name}: {error}") from error


# The layers


def _check_config(config: Any) -> None:
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelError(f"{NETWORK} is not a Keras file: its config.json does not describe a network")
    layers = 0
    for part in _parts(config):
        if "class_name" in part or "registered_name" in part or "module" in part:
            layers += _check_class(part)
        for key, value in part.items():
            _check_entry(key, value)
    if layers > _LAYERS:
        raise _refuse(f"has {layers:,} layers, at most {_LAYERS:,} are allowed")


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield all mappings in a configuration, also those within others."""
    left = [config]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            left += part.values()
        elif isinstance(part, list):
            left += part


def _check_class(part: Mapping[str, Any]) -> bool:
    """Check a mapping that names a class; return whether it is a layer."""
    module, name, registered = (part.get(key) for key in ("module", "class_name", "registered_name"))
    if name == "__keras_tensor__" and module is None and registered is None:  # a reference to a layer's output
        return False
    named = isinstance(module, str) and isinstance(name, str) and name in _ALLOWED.get(module, ())
    if not named or registered not in (None, name):
        raise _refuse(
            f"contains {module}.{name}{f' ({registered})' if registered not in (None, name) else ''}, "
            "which could run code or read other files; only the layers of a list are allowed"
        )
    return module == "keras.layers"


def _check_entry(key: str, value: Any) -> None:
    """Check an entry of a layer: functions that it names, and sizes."""
    known = isinstance(value, dict | None) or (isinstance(value, str) and value in _ACTIVATIONS)
    if key.endswith("activation") and not known:
        raise _refuse(f"contains the activation {str(value)[:80]!r}, which is not known")
    if key.endswith(("initializer", "regularizer", "constraint")) and not isinstance(value, dict | None):
        raise _refuse(f"contains the {key} {str(value)[:80]!r}, which is not known")
    if key in ("seed", "shared_object_id"):
        return
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int) and abs(number) > _SIZE:
            raise _refuse(f"contains {key} = {number}, at most {_SIZE} is allowed")


# The weights


def _check_weights(content: bytes) -> int:
    """Check that weights are plain numbers in the file itself, neither linked nor computed; return how many."""
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return _check_group(file, len(content))
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - h5py raises anything for a damaged file
        raise ModelError(f"{NETWORK} holds weights that cannot be read: {type(error).__name__}: {error}") from error


def _check_group(file: Any, room: int) -> int:
    """Check all objects below a group, each reached by one name only; return how many numbers they are."""
    import h5py

    low: Any = h5py
    seen: set[Any] = set()
    left = [(file, "", 0)]
    total = numbers = 0
    while left:
        group, path, depth = left.pop()
        if depth > _DEPTH:
            raise _refuse(f"holds weights in more than {_DEPTH} levels")
        for name in group:
            place = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise _refuse(f"holds the link {place} in its weights ({type(link).__name__})")
            each = group[name]
            address = low.h5o.get_info(each.id).addr
            if address in seen:
                raise _refuse(f"holds weights under two names, one is {place}")
            seen.add(address)
            if len(seen) > _OBJECTS:
                raise _refuse(f"holds more than {_OBJECTS:,} weights")
            if isinstance(each, h5py.Group):
                left.append((each, place, depth + 1))
            elif isinstance(each, h5py.Dataset):
                total += _check_dataset(each, place)
                numbers += each.size or 0
            else:
                raise _refuse(f"holds {place} in its weights, which is not data")
            if total > room:
                raise _refuse(f"says that it holds more weights than its {room:,} bytes")
    return numbers


def _check_dataset(data: Any, place: str) -> int:
    """Check that a data set holds its numbers as they are; return its size in bytes."""
    import h5py

    plan = data.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise _refuse(f"holds weights that lie in other files ({place})")
    if plan.get_nfilters():
        raise _refuse(f"holds packed weights ({place})")
    if data.dtype.kind not in "fiub" or data.dtype.hasobject or data.dtype.metadata or data.shape is None:
        raise _refuse(f"holds {place} of type {data.dtype} in its weights, which is not a number")
    size = math.prod(data.shape) * data.dtype.itemsize
    if plan.get_layout() != h5py.h5d.COMPACT and data.id.get_storage_size() < size:
        raise _refuse(f"holds weights that are not written ({place})")
    return size
