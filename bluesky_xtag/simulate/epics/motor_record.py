"""A motor record: what ophyd's and ophyd-async's motors use of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .records import Records, SkipWrite

__all__ = ["MotorRecord"]

_TICK = 0.01  # seconds


class MotorRecord(Records):
    """A motor that moves with constant speed; a put to it ends when it has arrived.

    Parameters
    ----------
    name : str
        Name of the record.
    position : float
        Where it is first, in mm.
    speed : float
        Millimetres a second.
    limits : (float, float)
        Lowest and highest position.
    """

    def __init__(self, name: str, position: float = 0.0, speed: float = 100.0, limits: tuple[float, float] = (0, 10)):
        super().__init__(name)
        self._turn = 0
        low, high = map(float, limits)
        shown: dict[str, Any] = {"units": "mm", "precision": 3}
        bounded: dict[str, Any] = shown | {"lower_ctrl_limit": low, "upper_ctrl_limit": high}
        for field in ("", ".VAL"):
            self.add(field, position, put=self._move, readback=False, **bounded)
        for field in (".RBV", ".DRBV", ".OFF"):
            self.add(field, 0.0 if field == ".OFF" else position, readback=False, **shown)
        for field, value in {".LLM": low, ".DLLM": low, ".HLM": high, ".DHLM": high, ".LVIO": 0, ".PREC": 3}.items():
            self.add(field, value, readback=False)
        for field, value in {".VELO": speed, ".VMAX": 10 * speed, ".VBAS": 0.0, ".ACCL": 0.01, ".MRES": 0.001}.items():
            self.add(field, value, readback=False)
        for field, value in {".UREV": 1.0, ".ERES": 0.001, ".RDBD": 0.001}.items():
            self.add(field, value, readback=False)
        self.add(".OUT", "@asyn(SIM)", short=True, readback=False)
        self.add(".EGU", "mm", short=True, readback=False)
        self.add(".DESC", name, short=True, readback=False)
        for field, choices in {
            ".DIR": ("Pos", "Neg"),
            ".SET": ("Use", "Set"),
            ".FOFF": ("Variable", "Frozen"),
        }.items():
            self.add(field, choices[0], choices=choices, readback=False)
        self.add(".DMOV", 1, readback=False)
        self.add(".MOVN", 0, readback=False)
        self.add(".STOP", 0, put=self._stop, readback=False)

    @property
    def position(self) -> float:
        """Where it is, in mm."""
        return float(self.get_value(".RBV"))

    async def _move(self, target: Any) -> None:
        target = float(target)
        low, high = self.get_value(".LLM"), self.get_value(".HLM")
        if not low <= target <= high:
            await self.set_value(".LVIO", 1)
            raise SkipWrite
        self._turn += 1
        turn, start, begin = self._turn, self.position, time.monotonic()
        for field in ("", ".VAL"):
            await self.set_value(field, target)
        await self.set_value(".LVIO", 0)
        await self._show_moving(True)
        seconds = abs(target - start) / float(self.get_value(".VELO")) + float(self.get_value(".ACCL"))
        while turn == self._turn and (part := (time.monotonic() - begin) / seconds) < 1:
            await asyncio.sleep(min(_TICK, seconds))
            await self._show(start + (target - start) * min(part, 1.0))
        if turn == self._turn:
            await self._show(target)
            await self._show_moving(False)
        raise SkipWrite

    async def _stop(self, value: Any) -> int:
        if value:
            self._turn += 1
            for field in ("", ".VAL"):
                await self.set_value(field, self.position)
            await self._show_moving(False)
        return 0

    async def _show(self, position: float) -> None:
        for field in (".RBV", ".DRBV"):
            await self.set_value(field, position)

    async def _show_moving(self, moving: bool) -> None:
        await self.set_value(".MOVN", int(moving))
        await self.set_value(".DMOV", int(not moving))
