"""Detectors that write no files: a device that takes images from a channel of pvAccess into the events of a run."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import XTagError, XTagValueError

if TYPE_CHECKING:
    from ophyd.status import Status

__all__ = ["PvaImage"]


class PvaImage:
    """The images of an NTNDArray channel, such as `CAM:Pva1:Image` of areaDetector's PVA plugin.

    A device for plans of Bluesky: each trigger waits for an image that was taken after it. The images are in the
    events, so they are in the catalogue, too.

    Parameters
    ----------
    channel : str
        Name of the channel, without "pva://".
    name : str
        The data key of the image. Its number is `<name>_unique_id`.
    acquire : str, optional
        A channel that each trigger writes 1 to, such as `CAM:cam1:Acquire`, served over pvAccess. If None, the camera
        runs by itself.
    skip : int, optional
        How many images to let pass after a trigger. If None, 1 for a camera that runs by itself, because the exposure
        of the first image began before the trigger, else 0.
    timeout : float
        Seconds in which an image must come.
    context : p4p.client.thread.Context, optional
        A client of pvAccess. If None, one that is set up by the environment (`EPICS_PVA_ADDR_LIST` and others).

    Raises
    ------
    XTagValueError
        p4p is missing.
    """

    parent = None

    def __init__(
        self,
        channel: str,
        name: str,
        *,
        acquire: str | None = None,
        skip: int | None = None,
        timeout: float = 10.0,
        context: Any = None,
    ) -> None:
        try:
            from p4p.client.thread import Context  # pyright: ignore[reportMissingImports] - of an extra
        except ImportError as error:
            raise XTagValueError('images over pvAccess need p4p: pip install "bluesky_xtag[epics]"') from error
        self.name, self._channel, self._acquire, self._timeout = name, channel, acquire, timeout
        self._skip = int(acquire is None) if skip is None else skip
        self._context: Any = Context("pva", nt=False) if context is None else context
        self._changed = threading.Condition()
        self._subscription: Any = None
        self._newest: _Image | None = None
        self._taken: _Image | None = None
        self._lost = False
        self._trouble: Exception | None = None
        self._waiting: tuple[Status, int] | None = None  # and how many images must still pass

    def stage(self) -> list[object]:
        """Connect to the channel, and wait for the image that it has.

        Raises
        ------
        XTagError
            The channel does not answer, or what it has is not an image.
        """
        self._trouble = None
        if self._subscription is None:
            self._subscription = self._context.monitor(self._channel, self._take, notify_disconnect=True)
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._trouble, self._timeout)
            trouble, image = self._trouble, self._newest
        if image is None or trouble is not None:
            self.unstage()
            raise XTagError(
                f"{self._channel} gave no image within {self._timeout:g} s ({trouble or 'it does not answer'}): "
                "start its PVA plugin, and let the camera take one image first"
            ) from trouble
        self._taken = image
        return [self]

    def unstage(self) -> list[object]:
        """Leave the channel."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        self._newest = None
        return [self]

    def trigger(self) -> Status:
        """Return a status that is done when an image has come that was taken after this call."""
        from ophyd.status import Status

        if self._subscription is None:
            raise XTagError(f"{self.name} is not staged: name it among the detectors of a plan, or stage it")
        status = Status(self)
        timer = threading.Timer(self._timeout, self._give_up, [status])
        timer.daemon = True
        status.add_callback(lambda _: timer.cancel())
        with self._changed:
            self._waiting = status, self._skip
        timer.start()
        if self._acquire is not None:
            try:
                self._context.put(self._acquire, 1, wait=False, timeout=self._timeout)
            except Exception as error:
                self._fail(status, f"{self._acquire} cannot be written ({error})")
        return status

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the image of the last trigger, and its number."""
        image = self._image()
        return {
            self.name: {"value": image.pixels, "timestamp": image.time},
            f"{self.name}_unique_id": {"value": image.number, "timestamp": image.time},
        }

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return shape, type and source of what `read` returns."""
        pixels = self._image().pixels
        source = f"pva://{self._channel}"
        about = {"dtype": "array", "shape": list(pixels.shape), "dtype_numpy": pixels.dtype.str}
        return {
            self.name: {"source": source, **about},
            f"{self.name}_unique_id": {"source": source, "dtype": "integer", "shape": []},
        }

    def read_configuration(self) -> dict[str, Any]:
        """Return nothing: the channel says no more of the camera."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Return nothing, as `read_configuration`."""
        return {}

    def _image(self) -> _Image:
        if self._taken is None:
            raise XTagError(f"{self.name} has no image yet: trigger it first")
        return self._taken

    def _take(self, update: Any) -> None:
        """Take an update of the channel, or what is wrong with it; called by p4p's thread."""
        try:
            image = None if isinstance(update, Exception) else _Image(update)
        except Exception as error:
            with self._changed:
                self._trouble = error
                waiting, self._waiting = self._waiting, None
                self._changed.notify_all()
            if waiting:
                self._fail(waiting[0], f"{self._channel} has no image that can be used ({error})")
            return
        done = None
        with self._changed:
            if image is None:  # disconnected: it may come back, and gives its last image again then
                self._lost = True
                return
            again = self._lost and self._newest is not None and self._newest.mark == image.mark
            self._newest, self._lost = image, False
            if self._waiting and not again:
                status, skip = self._waiting
                if skip:
                    self._waiting = status, skip - 1
                else:
                    self._taken, self._waiting, done = image, None, status
            self._changed.notify_all()
        if done is not None and not done.done:
            done.set_finished()

    def _give_up(self, status: Status) -> None:
        self._fail(status, f"{self._channel} gave no new image within {self._timeout:g} s after the trigger")

    @staticmethod
    def _fail(status: Status, reason: str) -> None:
        if not status.done:
            status.set_exception(XTagError(f"{reason}: look at the camera and its PVA plugin"))


class _Image:
    """An image of a channel: pixels (rows, columns), their number, and when they were taken (seconds since 1970)."""

    def __init__(self, value: Any) -> None:
        if not value.getID().startswith("epics:nt/NTNDArray:"):
            raise XTagError(f"it is a {value.getID() or 'structure'}, not an NTNDArray")
        codec = value.codec.name
        if codec:
            raise XTagError(f"it is compressed with {codec}: set the plugin before it to no compression")
        flat, shape = np.asarray(value.value), [int(each.size) for each in value.dimension][::-1]
        if len(shape) < 2 or flat.size != np.prod(shape):
            raise XTagError(f"it has {flat.size} pixels and the dimensions {shape}")
        self.pixels = flat.reshape(shape)
        self.number = int(value.uniqueId)
        stamp = value.timeStamp
        self.mark = self.number, stamp.secondsPastEpoch, stamp.nanoseconds
        self.time = stamp.secondsPastEpoch + 1e-9 * stamp.nanoseconds or time.time()
