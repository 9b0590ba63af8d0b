"""What was searched for: kept for a while, so that a page can ask for more of it."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..documents import STATUSES
from .frame_columns import FrameColumns
from .frame_query import select_frames

__all__ = ["Selection", "Selections"]

_KEPT = 64


@dataclass(frozen=True, eq=False)
class Selection:
    """Frames in an order.

    Parameters
    ----------
    run, position, value : numpy.ndarray
        (frames,) the number of each one's run, its position in the run, and what it is ordered by.
    facets, statuses : mapping of str to int
        How many of them have each tag, and each status.
    """

    run: np.ndarray
    position: np.ndarray
    value: np.ndarray
    facets: Mapping[str, int]
    statuses: Mapping[str, int]


class Selections:
    """The selections that were asked for last, by name. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[int, str, str], Selection]] = OrderedDict()

    def get(self, name: str) -> Selection | None:
        """Return the selection of a name; None if it is not kept any more."""
        with self._lock:
            found = self._kept.get(name)
        return None if found is None else found[1]

    def find(self, columns: FrameColumns, text: str, order: str) -> tuple[str, Selection]:
        """Return frames in an order, and the name by which more of them are asked for; errors of `select_frames`."""
        asked = (columns.version, text, order)
        with self._lock:
            for name, (known, selection) in self._kept.items():
                if known == asked:
                    self._kept.move_to_end(name)
                    return name, selection
        rows, values = select_frames(columns, text, order)
        facets = dict(zip(columns.tags, columns.accepted[rows].sum(axis=0).tolist(), strict=True))
        facets["corrected"] = int(columns.corrected[rows].sum())
        counts = np.bincount(columns.status[rows].clip(0), minlength=len(STATUSES))
        statuses = {status: int(count) for status, count in zip(STATUSES, counts, strict=True) if count}
        name = secrets.token_hex(8)
        selection = Selection(columns.run[rows], columns.position[rows], values, facets, statuses)
        with self._lock:
            self._kept[name] = asked, selection
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return name, selection
