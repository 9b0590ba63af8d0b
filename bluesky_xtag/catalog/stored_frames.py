"""What several packages need of stored runs: their rows under plain names, and the pixels of their frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..documents import PLACE, TagTable
from ..errors import CatalogError
from ..frames import Frame, Roots
from .protocol import Catalog, Run

__all__ = ["plain_rows", "read_pixels", "try_pixels"]


def plain_rows(table: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Return rows of tags under plain names, with the run that they belong to; see `TagTable.plain`."""
    return TagTable(table).plain(run.uid, run.scan_id)


def try_pixels(frame: Frame) -> np.ndarray | str:
    """Return the pixels of a frame, or why they cannot be read; CatalogError if their server does not answer."""
    try:
        return frame.pixels()
    except CatalogError:
        raise
    except Exception as error:  # noqa: BLE001 - handlers are foreign code and raise anything
        return f"{type(error).__name__}: {error}"


def read_pixels(catalog: Catalog, frames: pd.DataFrame, roots: Roots | None = None) -> list[np.ndarray | None]:
    """Return the pixels of frames, or None for frames that cannot be read.

    Parameters
    ----------
    catalog : Catalog
        The catalogue that has the runs.
    frames : pandas.DataFrame
        With columns `run`, `key`, `seq_num` and `index`.
    roots : Roots, optional
        Where the files must be; anywhere if None.

    Returns
    -------
    list of numpy.ndarray or None
        One for each row of `frames`, in the same order.
    """
    found: dict[tuple[Any, ...], np.ndarray] = {}
    for uid, rows in frames.groupby("run", sort=False):
        places = set(rows[PLACE].itertuples(index=False, name=None))
        for frame in catalog.find(str(uid)).frames(roots):
            place = (frame.id.key, frame.id.seq_num, frame.id.index)
            if place in places and (uid, *place) not in found:
                image = try_pixels(frame)
                if not isinstance(image, str):
                    found[uid, *place] = image
    return [found.get(place) for place in frames[["run", *PLACE]].itertuples(index=False, name=None)]
