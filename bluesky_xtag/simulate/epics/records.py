"""Records of an IOC by their names, as areaDetector has them: most as a pair, `Name` to set and `Name_RBV` to read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from caproto import (
    ChannelChar,
    ChannelData,
    ChannelDouble,
    ChannelEnum,
    ChannelInteger,
    ChannelString,
    ChannelType,
    SkipWrite,
)

__all__ = ["Put", "Records", "SkipWrite"]

Put = Callable[[Any], Awaitable[Any]]
_LONGEST = 256  # characters of a text that is a waveform, as areaDetector has it
_READBACK = "_RBV"


class _Hooked:
    """A channel that calls a function with each value that a client puts."""

    put: Put | None = None

    async def verify_value(self, data: Any) -> Any:
        """Return what is to be kept of a value that a client puts."""
        if self.put is None:
            return data
        kept = await self.put(data)
        return data if kept is None else kept


class _Double(_Hooked, ChannelDouble):
    pass


class _Integer(_Hooked, ChannelInteger):
    pass


class _Choice(_Hooked, ChannelEnum):
    pass


class _Text(_Hooked, ChannelChar):
    async def write_from_dbr(self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0) -> None:
        """Take a text from a client; caproto itself cannot take one that is empty."""
        if data_type != ChannelType.CHAR:
            await super().write_from_dbr(data, data_type, metadata, flags=flags)
            return
        text, _, _ = bytes(bytearray(data)).partition(b"\0")
        await self.write(text.decode("latin-1"), flags=flags)


class _Short(_Hooked, ChannelString):
    pass


class Records(dict[str, ChannelData]):
    """The records of one device, by full name.

    What nobody simulates is there too: a record that does nothing is made for each name that begins with the prefix
    when a client asks for it. ophyd's classes name hundreds, most of which no scan needs.

    Parameters
    ----------
    prefix : str
        What all names begin with.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def __missing__(self, name: str) -> ChannelData:
        if not name.startswith(self.prefix):
            raise KeyError(name)
        suffix = name.removeprefix(self.prefix)
        self.add(suffix.removesuffix(_READBACK), 0)
        if name not in self:
            self[name] = _Integer(value=0)
        return self[name]

    def add(
        self,
        suffix: str,
        value: Any,
        *,
        choices: Sequence[str] = (),
        short: bool = False,
        put: Put | None = None,
        readback: bool = True,
        **metadata: Any,
    ) -> None:
        """Make a record and, unless it has none, the one that reads it back.

        Parameters
        ----------
        suffix : str
            The part of the name behind the prefix.
        value : float, int or str
            The first value, which decides the type. One of `choices`, if there are any.
        choices : sequence of str
            The values that it can have.
        short : bool
            Whether a text is a string of EPICS, up to 40 characters, and no waveform.
        put : callable, optional
            Called with each value that a client puts, before it is there; what it returns, unless None, is kept
            instead. If it raises SkipWrite, nothing is kept.
        readback : bool
            Whether there is a `suffix_RBV`.
        **metadata
            Such as `units` and `precision`.
        """
        names = [suffix, *([f"{suffix}{_READBACK}"] if readback else [])]
        for name in names:
            if self.prefix + name not in self:
                self[self.prefix + name] = _channel(value, choices, short, metadata)
        record = self[self.prefix + suffix]

        async def keep(data: Any) -> Any:
            kept = None if put is None else await put(_simple(record, data))
            if readback:
                await self[f"{self.prefix}{suffix}{_READBACK}"].write(
                    data if kept is None else kept, verify_value=False
                )
            return kept

        if isinstance(record, _Hooked):
            record.put = keep

    def get_value(self, suffix: str) -> Any:
        """Return the value of a record: text for texts and choices."""
        record: Any = self[self.prefix + suffix]
        return _simple(record, record.value)

    async def set_value(self, suffix: str, value: Any) -> None:
        """Give a record, and what reads it back, a value, without what a put would do."""
        for name in (f"{self.prefix}{suffix}", f"{self.prefix}{suffix}{_READBACK}"):
            if name in self:
                await self[name].write(value, verify_value=False)


def _channel(value: Any, choices: Sequence[str], short: bool, metadata: dict[str, Any]) -> ChannelData:
    if choices:
        return _Choice(value=value, enum_strings=list(choices), **metadata)
    if isinstance(value, str):
        return _Short(value=value, **metadata) if short else _Text(value=value, max_length=_LONGEST, **metadata)
    if isinstance(value, float):
        return _Double(value=value, precision=metadata.pop("precision", 4), **metadata)
    return _Integer(value=int(value), **metadata)


def _simple(record: Any, data: Any) -> Any:
    """Return a value as Python has it: choices and all texts as str."""
    value: Any = data[0] if isinstance(data, list | tuple | np.ndarray) and len(data) == 1 else data
    if isinstance(record, ChannelEnum) and not isinstance(value, str | bytes):
        return record.enum_strings[int(value)]
    if isinstance(record, ChannelChar) and not isinstance(value, str | bytes):
        value = bytes(bytearray(value))
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value.partition("\0")[0] if isinstance(value, str) else value
