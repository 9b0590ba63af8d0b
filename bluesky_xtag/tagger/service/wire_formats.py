"""Documents as bytes on a message bus, as JSON or msgpack: reading them runs no code, whoever wrote them.

Both are what others on a bus write: msgpack with arrays as the package msgpack-numpy packs them, which bluesky-kafka
uses; JSON with arrays as lists. msgpack-numpy itself unpickles arrays of objects, and once it is "patched in", so does
every call of msgpack in its process: so neither is used to read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack_numpy
import numpy as np
from event_model import NumpyEncoder

from ...errors import XTagValueError

try:  # not the functions of `msgpack`, which others may have exchanged
    from msgpack._cmsgpack import Packer, unpackb
except ImportError:
    from msgpack.fallback import Packer, Unpacker

    def unpackb(packed: bytes, **options: Any) -> Any:
        """Return the one object in some bytes."""
        unpacker = Unpacker(None, max_buffer_size=len(packed), **options)
        unpacker.feed(packed)
        return unpacker.unpack()


__all__ = ["FORMATS", "WireFormat"]


@dataclass(frozen=True)
class WireFormat:
    """How a document becomes bytes, and bytes a document; `loads` raises ValueError where they are none."""

    name: str
    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]

    @classmethod
    def named(cls, name: str) -> WireFormat:
        """Return a format by its name; XTagValueError if there is none."""
        if name not in FORMATS:
            raise XTagValueError(
                f"the format {name!r} is not known: choose one of {', '.join(FORMATS)}, and give the publisher of the "
                "RunEngine the same (Bluesky's default, pickle, lets whoever can send to the bus run code here)"
            )
        return FORMATS[name]


def _pack(content: Any) -> bytes:
    packed = Packer(default=msgpack_numpy.encode).pack(content)
    assert packed is not None  # it is not told to keep what it packs
    return packed


def _unpack(packed: bytes) -> Any:
    try:
        return unpackb(packed, raw=False, strict_map_key=False, object_hook=_array)
    except ValueError:
        raise
    except Exception as error:  # bytes of strangers
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _array(values: dict[Any, Any]) -> Any:
    """Return the array or number that msgpack-numpy packed; any other map as it is."""
    if b"nd" not in values:
        if b"complex" in values:
            return complex(str(values[b"data"]))
        return values
    dtype = values[b"type"]
    if values.get(b"kind") in (b"O", b"V", "O", "V") or not isinstance(dtype, str | bytes):
        raise ValueError("it holds an array of objects, which only running code could read")
    dtype = np.dtype(dtype.decode() if isinstance(dtype, bytes) else dtype)
    if dtype.hasobject or dtype.kind == "V":
        raise ValueError("it holds an array of objects, which only running code could read")
    found = np.frombuffer(values[b"data"], dtype)
    return found.reshape(tuple(values[b"shape"])) if values[b"nd"] is True else found[0]


def _read_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


FORMATS = {
    "msgpack": WireFormat("msgpack", _pack, _unpack),
    "json": WireFormat("json", lambda content: json.dumps(content, cls=NumpyEncoder).encode(), _read_json),
}
