"""Pictures of stored frames for a page: thumbnails, the pixels as they are, and the polar view that a network sees."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..catalog import Catalog
from ..errors import XTagError, XTagValueError, hide_secrets
from ..frames import Frame, Roots
from ..model import Preparation
from ..view import draw_thumbnail, invalid_pixels
from .thumbnail_store import Place, ThumbnailStore

__all__ = ["FramePictures", "pixel_message"]

logger = logging.getLogger("bluesky_xtag")

_RUNS = 16  # whose frames are kept: where their pixels are, not the pixels
_WORKERS = 2
_WAITING = 2000  # thumbnails that may wait to be drawn


class FramePictures:
    """Reads pixels of stored frames in threads of its own, and draws them.

    Parameters
    ----------
    catalog : Catalog
        The catalogue that has the runs.
    store : ThumbnailStore
        Where thumbnails are kept.
    roots : Roots, optional
        Where the files must be that documents name; anywhere if None.
    """

    def __init__(self, catalog: Catalog, store: ThumbnailStore, roots: Roots | None = None) -> None:
        self._catalog = catalog
        self._roots = roots
        self._store = store
        self._pool = ThreadPoolExecutor(_WORKERS, "xtag-pictures")
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Future[dict[Place, Frame]]] = OrderedDict()
        self._drawing: dict[Place, Future[bytes]] = {}

    def close(self) -> None:
        """End the threads; what waits is left out."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def kept(self, place: Place) -> bytes | None:
        """Return a thumbnail that was made before, at once; None if there is none."""
        return self._store.get(place)

    def thumbnail(self, place: Place) -> Future[bytes]:
        """Draw a thumbnail and keep it. The future raises XTagError if the pixels cannot be read.

        Raises
        ------
        XTagError
            Too many thumbnails wait.
        """
        with self._lock:
            found = self._drawing.get(place)
            if found is None:
                if len(self._drawing) >= _WAITING:
                    raise XTagError("too many thumbnails wait to be drawn: try again")
                found = self._drawing[place] = self._pool.submit(self._draw, place)
                found.add_done_callback(lambda _: self._drawing.pop(place, None))
            return found

    def pixels(self, place: Place) -> Future[bytes]:
        """Return the pixels of a frame as `pixel_message` gives them; the future raises as that of `thumbnail`."""
        return self._submit(place, lambda frame: pixel_message(frame.pixels(), frame.mask, frame.beam_centre))

    def polar(self, place: Place, preparation: str) -> Future[bytes]:
        """Return the polar view of a frame, radii down and azimuths across, as `pixel_message` gives pixels.

        Parameters
        ----------
        place : Place
            The frame.
        preparation : str
            Settings of the model's preparation, as JSON.
        """

        def prepare(frame: Frame) -> bytes:
            try:
                settings = Preparation.from_dict(json.loads(preparation))
            except (TypeError, ValueError) as error:
                raise XTagValueError(f"the run does not tell how its model saw the frame ({error})") from error
            view = settings(frame.pixels(), frame.beam_centre, frame.mask).polar
            return pixel_message(view[..., 0], view[..., 1] <= 0, None)

        return self._submit(place, prepare)

    def beam_centre(self, place: Place) -> tuple[float, float] | None:
        """Return the beam centre of a frame as its documents tell it; None if they do not. May take seconds."""
        return self._find(place).beam_centre

    def forget(self, uid: str) -> None:
        """Forget where the frames of a run are, because it has more by now."""
        with self._lock:
            self._runs.pop(uid, None)

    def _submit(self, place: Place, make: Callable[[Frame], bytes]) -> Future[bytes]:
        return self._pool.submit(lambda: _explained(place, lambda: make(self._find(place))))

    def _draw(self, place: Place) -> bytes:
        found = self._store.get(place)  # by another process meanwhile
        if found is None:
            frame = self._find(place)
            found = _explained(place, lambda: draw_thumbnail(frame.pixels(), frame.mask))
            self._store.put([(place, found)])
        return found

    def _find(self, place: Place) -> Frame:
        """Return a frame; XTagError if the run's documents do not have it."""
        uid = place[0]
        with self._lock:
            found = self._runs.get(uid)
            if mine := found is None:
                found = self._runs[uid] = Future()
                while len(self._runs) > _RUNS:
                    self._runs.popitem(last=False)
            else:
                self._runs.move_to_end(uid)
        if mine:
            try:
                found.set_result(self._frames(uid))
            except BaseException as error:  # whoever waits must hear of it
                self.forget(uid)
                found.set_exception(error)
        frames = found.result()
        if place not in frames:
            self.forget(uid)  # it may be there the next time
            raise XTagError("the run's documents do not tell where the pixels of this frame are")
        return frames[place]

    def _frames(self, uid: str) -> dict[Place, Frame]:
        run = self._catalog.get(uid)
        if run is None:
            raise XTagError(f"there is no run {uid} in the catalogue")
        return {(uid, each.id.key, each.id.seq_num, each.id.index): each for each in run.frames(self._roots)}


def _explained(place: Place, make: Callable[[], bytes]) -> bytes:
    """Return what is made; XTagError says why it cannot be."""
    try:
        return make()
    except XTagError:
        raise
    except Exception as error:  # readers of formats and clients of catalogues are foreign code
        reason = hide_secrets(f"{type(error).__name__}: {error}")
        logger.info("Frame %s cannot be shown: %s", place, reason)
        raise XTagError(f"the pixels cannot be read: {reason}") from error


def pixel_message(pixels: np.ndarray, mask: np.ndarray | None, beam_centre: tuple[float, float] | None) -> bytes:
    """Return the pixels of a frame for a page, without loss.

    Returns
    -------
    bytes
        The length of a JSON header (uint32, little-endian); the header, with spaces at its end so that the pixels
        begin at a multiple of 8 bytes; the pixels; and a bit for each pixel that is not valid, rows joined. The header
        has `rows`, `columns`, `type` (of a JavaScript array), `valid` (how many pixels count), `centre` (column and
        row, or null), and `percentiles` of the valid pixels.
    """
    data = np.ma.getdata(pixels)
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    invalid = invalid_pixels(pixels, mask)
    values = data[~invalid]
    kind = _small_type(data, values)
    plain = np.where(invalid, 0, data).astype(kind)
    at = (0, 1, 2, 5, 50, 95, 98, 99, 99.8, 99.95, 100)
    marks = [float(each) for each in np.percentile(values, at)] if values.size else [0.0] * len(at)
    header = {
        "rows": data.shape[0],
        "columns": data.shape[1],
        "type": _ARRAYS[kind],
        "valid": int(values.size),
        "centre": None if beam_centre is None else [float(each) for each in beam_centre],
        "percentiles": dict(zip(map(str, at), marks, strict=True)),
    }
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 4) % 8)
    if sys.byteorder == "big":
        plain = plain.byteswap()
    return b"".join([len(text).to_bytes(4, "little"), text, plain.tobytes(), np.packbits(invalid).tobytes()])


_ARRAYS = {"u1": "Uint8Array", "u2": "Uint16Array", "u4": "Uint32Array", "f4": "Float32Array", "f8": "Float64Array"}


def _small_type(data: np.ndarray, values: np.ndarray) -> str:
    """Return the smallest type that holds the valid pixels as they are."""
    if data.dtype.kind == "f" and not np.array_equal(np.floor(values), values):
        return "f8" if data.dtype.itemsize > 4 and not np.array_equal(values.astype("f4"), values) else "f4"
    largest: Any = values.max(initial=0)
    return next((kind for kind in ("u1", "u2", "u4") if largest < 256 ** int(kind[1])), "f8")
