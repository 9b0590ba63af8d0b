"""What several views on stored runs need: the newest of them, their rows under plain names, and their frames."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import pandas as pd

from ..documents import PLACE, TagTable
from ..errors import CatalogError
from ..frames import Frame, FrameAssembler
from .documents_of_runs import documents_of
from .stored_runs import client, start_of

__all__ = ["frames_of", "newest_runs", "pixels", "plain_rows", "readable"]

_PAGE = 50


def newest_runs(catalog: Any, at_most: int) -> Iterator[Any]:
    """Yield the newest runs of a catalogue (Tiled's or databroker's), newest first, without derived ones."""
    return islice((run for run in _backwards(client(catalog)) if "original_run_uid" not in start_of(run)), at_most)


def _backwards(catalog: Any) -> Iterator[Any]:
    for page in count():
        runs = catalog.values()[-1 - page * _PAGE : -1 - (page + 1) * _PAGE : -1]
        yield from runs
        if len(runs) < _PAGE:
            return


def frames_of(run: Any) -> Iterator[Frame]:
    """Yield the frames of a stored run, by the code that live tagging finds them with."""
    assembler = FrameAssembler()
    for name, doc in documents_of(run):
        yield from assembler(name, doc)


def readable(frame: Frame) -> np.ndarray | str:
    """Return the pixels of a frame, or why they cannot be read; CatalogError if their server is away."""
    try:
        return frame.pixels()
    except CatalogError:
        raise
    except Exception as error:  # noqa: BLE001 - handlers are foreign code and raise anything
        return f"{type(error).__name__}: {error}"


def pixels(catalog: Any, frames: pd.DataFrame) -> list[np.ndarray | None]:
    """Return the pixels of frames, None where they cannot be read.

    Parameters
    ----------
    catalog : catalogue or Broker
        Has the runs.
    frames : pandas.DataFrame
        With columns `run`, `key`, `seq_num` and `index`.
    """
    found: dict[tuple[Any, ...], np.ndarray] = {}
    for uid, wanted in frames.groupby("run", sort=False):
        places = set(wanted[PLACE].itertuples(index=False, name=None))
        for frame in frames_of(client(catalog)[uid]):
            place = (frame.id.key, frame.id.seq_num, frame.id.index)
            if place in places and (uid, *place) not in found:
                image = readable(frame)
                if not isinstance(image, str):
                    found[uid, *place] = image
    return [found.get(place) for place in frames[["run", *PLACE]].itertuples(index=False, name=None)]


def plain_rows(table: pd.DataFrame, run: Any) -> pd.DataFrame:
    """Return rows of tags under plain names, with the run that they belong to; see `TagTable.plain`."""
    start = start_of(run)
    return TagTable(table).plain(start["uid"], start.get("scan_id", 0))
