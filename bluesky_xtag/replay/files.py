"""Tag the images of files, without a catalogue, and write a table."""

from __future__ import annotations

import glob
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..documents import STATUSES, FrameId, Tagging, column, score_values
from ..errors import FrameError, XTagError, XTagValueError
from ..frames import Frame, FrameSelection, Mask, data_sets, origins, pack, read
from ..model import load_model, write_atomically
from ..tagger import Outcome, batches, finish
from .journal import Journal
from .settings import Watch, choose_backend, fingerprint

if TYPE_CHECKING:
    from ..model import PackedImage, TagModel

__all__ = ["frames_of", "tag_files"]

logger = logging.getLogger("bluesky_xtag")


@dataclass(frozen=True, eq=False)
class _Source:
    """The images of a data set of a file; or the reason why there are none."""

    path: str
    dataset: str
    size: None = None
    reason: str = ""

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        if self.reason:
            raise FrameError(self.reason)
        return read(self.path, self.dataset, index)

    def pack(self, index: int) -> np.ndarray | PackedImage:
        """Return image `index`, still compressed if its format can."""
        if self.reason:
            raise FrameError(self.reason)
        return pack(self.path, self.dataset, index)


_NOTHING = Frame(FrameId("", "", "", 1, 0, ""), None, None, _Source("", ""))  # for the header of a table


def tag_files(
    files: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    model: TagModel | str | Path | None = None,
    key: str | None = None,
    beam_centre: tuple[float, float] | None = None,
    mask: Mask | Mapping[str, Mask] | None = None,
    name: str = "xtag",
    workers: int | None = None,
    scheduler: str | None = None,
    watch: Watch | None = None,
) -> dict[str, int]:
    """Tag the images of files and write a table with one row for each image.

    The table appears when it is complete. Until then the rows are in a journal next to it. If the call ends early, for
    any reason, the same call continues from the journal.

    Parameters
    ----------
    files : str, Path or an iterable of these
        Files, or patterns such as ``"data/*.h5"`` and ``"data/**/*.cbf"``: HDF5 and NeXus, TIFF, CBF, EDF and other
        formats that fabio reads.
    out : str or Path
        A ``.csv`` or ``.parquet`` file that does not exist yet.
    model : TagModel, str or Path, optional
        The model, or its directory. If None, the packaged model.
    key : str, optional
        The data set of the images in HDF5 files. If None, all data sets that look like images.
    beam_centre : (float, float), optional
        Column and row in pixels. If None, estimated from each image.
    mask : array, str or Path, or a mapping of these, optional
        Pixels that must not be used, see `bluesky_xtag.frames.load_mask`; or one mask for each data set.
    name : str
        First part of the column names.
    workers, scheduler, watch
        As in `bluesky_xtag.replay.replay`. Here `watch` gets the path of the table instead of a uid.

    Returns
    -------
    dict
        The number of rows with each status. A file that cannot be read gives one row with the status "unreadable".

    Raises
    ------
    XTagValueError
        An argument does not fit, no file matches, or the table cannot be written there.
    """
    out = Path(out)
    journal_path = out.with_name(f".{out.name}.journal")
    if out.suffix not in (".csv", ".parquet"):
        raise XTagValueError(f"{out} must end in .csv or .parquet")
    if not out.parent.is_dir():
        raise XTagValueError(f"there is no directory {out.parent} for the table: make it first")
    if out.exists() and not journal_path.exists():
        raise XTagValueError(f"{out} exists: choose another name, or remove it")
    selection = FrameSelection(key=key, beam_centre=beam_centre, mask=mask)
    paths = list(_matching_files([files] if isinstance(files, str | Path) else files))
    model = load_model(model)
    about = {"settings": fingerprint(model, name, key, selection.fixed_centre, selection.mask)}
    with closing(Journal(journal_path, about, at=time.time())) as journal:
        frames = list(_each_once(paths, selection))
        with closing(choose_backend(model, scheduler, workers)) as backend:
            tagged = batches(backend.tag(_frames_without_tagging(frames, journal)))
            for done in _report_progress(tagged, frames, journal, watch, str(out)):
                journal.add(map(finish, done))
        rows = [_row(frame, journal.taggings[frame.id], model, name) for frame in frames]
        columns = list(_row(_NOTHING, Tagging(_NOTHING.id, "unreadable"), model, name))
        _write(pd.DataFrame(rows, columns=pd.Index(columns)), out)
        journal.remove()
    counts = Counter(row[column(name, "status")] for row in rows)
    return {status: counts[status] for status in STATUSES}


def _matching_files(patterns: Iterable[str | Path]) -> Iterator[str]:
    for pattern in patterns:
        found = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))
        if not found:
            raise XTagValueError(f"no file matches {pattern}: name files that exist, patterns in quotes")
        for path in found:
            if os.path.isfile(path):
                yield path
            elif len(found) == 1:
                logger.warning("%s is a directory: name the files in it, such as '%s'", path, os.path.join(path, "*"))


def _each_once(paths: list[str], selection: FrameSelection) -> Iterator[Frame]:
    """Yield the images of all files; those that files show of others that are named, too, once: through the first."""
    shown: dict[tuple[str, str], str] = {}
    for path in paths:  # masters first, whatever their names
        for place in _origins_elsewhere(path, selection):
            shown.setdefault(place, path)
    said: set[str] = set()
    for path in paths:
        for frame in frames_of(path, selection):
            master = _shown_by(frame, shown)
            if master is None:
                yield frame
            elif path not in said:
                said.add(path)
                logger.warning("%s: its images are tagged once, as those of %s", path, master)


def _shown_by(frame: Frame, shown: Mapping[tuple[str, str], str]) -> str | None:
    """Return the other file through which a frame is tagged, None if it is tagged through its own."""
    masters = {shown.get(place) for place in _origins(frame.id.run, frame.id.key)}
    (master,) = masters if len(masters) == 1 else (None,)
    return master if master != frame.id.run else None


def _origins_elsewhere(path: str, selection: FrameSelection) -> set[tuple[str, str]]:
    if selection.key is not None:
        return set()
    try:
        found = {place for dataset, _ in data_sets(path) for place in _origins(path, dataset)}
    except FrameError:
        return set()
    here = os.path.realpath(path)
    return found if any(file != here for file, _ in found) else set()


@lru_cache(maxsize=4096)
def _origins(path: str, dataset: str) -> frozenset[tuple[str, str]]:
    try:
        return origins(path, dataset)
    except FrameError:
        return frozenset()


def frames_of(path: str, selection: FrameSelection | None = None) -> Iterator[Frame]:
    """Yield the images of a file as frames. A file without images yields one frame that cannot be read.

    Parameters
    ----------
    path : str
        The file.
    selection : FrameSelection, optional
        Beam centre, mask and, as `key`, the data sets of the images, for formats that name data sets. If it is None, or
        has no `key`, the data sets that look like images.
    """
    selection = selection or FrameSelection()
    centre = selection.fixed_centre

    def frame(source: _Source, index: int) -> Frame:
        place = FrameId(path, "", source.dataset, 1, index, path)
        return Frame(place, centre, selection.mask_of(source.dataset), source)

    for wanted in [None] if selection.key is None else sorted(selection.key):
        try:
            for dataset, count in data_sets(path, wanted):
                source = _Source(path, dataset)
                yield from (frame(source, index) for index in range(count))
        except FrameError as error:
            yield frame(_Source(path, wanted or "", reason=str(error)), 0)


def _frames_without_tagging(frames: Iterable[Frame], journal: Journal) -> Iterator[Frame]:
    return (frame for frame in frames if frame.id not in journal.taggings)


def _report_progress(
    tagged: Iterable[list[Outcome]], frames: list[Frame], journal: Journal, watch: Watch | None, name: str
) -> Iterator[list[Outcome]]:
    """Pass on what was tagged, and report the progress once it is in the journal."""
    for done in tagged:
        yield done
        if watch is not None:
            watch(name, len(journal.taggings), len(frames))


def _row(frame: Frame, tagging: Tagging, model: TagModel, name: str) -> Mapping[str, Any]:
    return {
        "file": frame.id.run,
        "dataset": frame.id.key,
        "index": frame.id.index,
        **score_values(name, model.taxonomy, tagging),
        column(name, "tags"): " ".join(tagging.tags),
        column(name, "status"): tagging.status,
        column(name, "reason"): tagging.reason,
        column(name, "model"): f"{model.name} {model.version}",
        column(name, "model_sha256"): model.sha256,
    }


def _write(table: pd.DataFrame, out: Path) -> None:
    """Write the table, completely or not at all."""
    try:
        with write_atomically(out) as new:
            if out.suffix == ".csv":
                table.to_csv(new, index=False)
            else:
                table.to_parquet(new, index=False)
    except OSError as error:
        raise XTagError(
            f"the table {out} could not be written ({error.strerror}): make room, then call again"
        ) from error
    except ImportError as error:
        raise XTagValueError("Parquet needs pyarrow: pip install pyarrow, or name a .csv file") from error
