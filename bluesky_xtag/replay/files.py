"""Tag the images of files, without a catalogue, and write a table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..documents import STATUSES, FrameId, Tagging, column, score_values
from ..errors import XTagError, XTagValueError
from ..frames import Frame, FrameSelection, Mask, RootMap, each_once, matching_files
from ..model import write_atomically
from ..tagger import Outcome, batches, finish
from .journal import Journal
from .settings import Watch, choose_backend, fingerprint, needed

if TYPE_CHECKING:
    from ..model import ServedModel, TagModel

__all__ = ["tag_files"]

_NOWHERE = FrameId("", "", "", 1, 0, "")  # for the header of a table


def tag_files(
    files: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    model: TagModel | str | Path | None = None,
    key: str | None = None,
    beam_centre: tuple[float, float] | None = None,
    mask: Mask | Mapping[str, Mask] | None = None,
    root_map: Mapping[str, str] | None = None,
    name: str = "xtag",
    workers: int | None = None,
    scheduler: str | None = None,
    insecure: bool = False,
    backend: str | None = None,
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
    root_map : mapping of str to str, optional
        Where directories are now that links, virtual data sets and raw data sets of HDF5 files name by an earlier
        place: ``{"/old/mount": "/data/archive"}``.
    name : str
        First part of the column names.
    workers, scheduler, insecure, backend, watch
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
    roots = RootMap(root_map)
    paths = list(matching_files(files))
    model, known = needed(model, backend)
    about = {"settings": fingerprint(known, name, key, selection.fixed_centre, selection.mask, roots)}
    with closing(Journal(journal_path, about, at=time.time())) as journal:
        frames = list(each_once(paths, selection, roots))
        with closing(choose_backend(model, scheduler, workers, insecure=insecure, backend=backend)) as tagging:
            tagged = batches(tagging.tag(_frames_without_tagging(frames, journal)))
            for done in _report_progress(tagged, frames, journal, watch, str(out)):
                journal.add(finish(outcome, tagging.model.device) for outcome in done)
        rows = [_row(journal.taggings[frame.id], known, name) for frame in frames]
        columns = list(_row(Tagging(_NOWHERE, "unreadable"), known, name))
        _write(pd.DataFrame(rows, columns=pd.Index(columns)), out)
        journal.remove()
    counts = Counter(row[column(name, "status")] for row in rows)
    return {status: counts[status] for status in STATUSES}


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


def _row(tagging: Tagging, model: ServedModel, name: str) -> Mapping[str, Any]:
    return {
        "file": tagging.frame.run,
        "dataset": tagging.frame.key,
        "index": tagging.frame.index,
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
