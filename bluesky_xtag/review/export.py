"""Files of labelled frames, in the layout that `xtag adapt` and `xtag evaluate` read.

What people said of a frame is certain in such a file. What nobody spoke of is not (-1), whatever the model said of it:
a person who corrects one tag has not thereby looked for all others, and a model that learns from its own answers learns
its own mistakes. `correct(..., confirm=True)` says that all the rest is right.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..catalog import Catalog, Run, RunSelection, StoredCatalog, Where, as_catalog, select_runs, try_pixels
from ..documents import KEY, Correction, FrameId, verdicts
from ..errors import XTagError, XTagValueError
from ..search import configuration, find_tagging, read_corrections

__all__ = ["Exported", "LabelledFrame", "export_labels", "write_labelled"]


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """One frame and what is certain of it.

    Parameters
    ----------
    name : str
        Its name in the file.
    pixels : numpy.ndarray
        (rows, columns), counts as the detector wrote them.
    truth : mapping of str to bool
        Whether a tag holds; tags that are not in it are uncertain.
    beam_centre : tuple of float or None
        (column, row), pixels.
    attributes : mapping
        What else is to stand beside the frame, such as its `source`.
    """

    name: str
    pixels: np.ndarray
    truth: Mapping[str, bool]
    beam_centre: tuple[float, float] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Parameters
    ----------
    frames, runs, labels : int
        Frames, the runs that they are from, and certain labels of all frames.
    unreadable : mapping of str to str
        The corrected frames that are left out because their pixels cannot be read, and why.
    """

    frames: int
    runs: int
    labels: int
    unreadable: Mapping[str, str]


def export_labels(catalog: StoredCatalog, out: str | Path, runs: RunSelection = None) -> Exported:
    """Write the frames that people corrected to a file; it is made whole or not at all.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        Tiled's or databroker's.
    out : path
        The HDF5 file; must not exist. It has a data set a frame, with the beam centre where the documents tell it, and
        as `source` the sample if the run's start document names one (`sample` or `sample_name`), else the run.
    runs : str, int, run, or an iterable of these, optional
        Only the frames of these, see `bluesky_xtag.catalog.select_runs`; of all runs if None.

    Raises
    ------
    XTagValueError
        The file exists, its directory does not, a run is not there, or there is no corrected frame that can be read.
    CatalogError
        The catalogue does not answer.
    XTagError
        The disk does not take the frames.
    """
    check_new(Path(out))
    place = as_catalog(catalog)
    asked = _corrected_runs(place) if runs is None else list(select_runs(place, runs))
    said = {run.uid: read_corrections(run, place) for run in asked}
    corrected = [run for run in asked if said[run.uid]]
    tags = dict.fromkeys(tag for run in corrected for tag in _taxonomy(run, place))
    # The newest model may not know every tag that people spoke of.
    tags |= dict.fromkeys(tag for words in said.values() for each in words for tag in (*each.added, *each.removed))
    counts, unreadable = Counter[str](), dict[str, str]()

    def frames() -> Iterator[LabelledFrame]:
        for run in corrected:
            for frame in _labelled(run, said[run.uid], unreadable):
                counts[run.uid] += 1
                counts["labels"] += len(frame.truth)
                yield frame
        if unreadable and not counts:
            first, reason = next(iter(unreadable.items()))
            raise XTagValueError(
                f"none of the {len(unreadable)} corrected frames can be read, so no {out} was made; {first}: {reason}"
            )

    written = write_labelled(out, list(tags), frames())
    labels = counts.pop("labels")
    return Exported(written, len(counts), labels, unreadable)


def _corrected_runs(catalog: Catalog) -> list[Run]:
    """Return the runs of a catalogue of which people said something, in the order in which they first did."""
    human = catalog.search(Where(f"{KEY}.source", "==", "human")).runs()
    uids = dict.fromkeys(each.original_uid for each in human)
    found = []
    for uid in uids:
        with suppress(KeyError):  # what was said may be kept longer than the run
            found.append(catalog.find(uid))
    return found


def _taxonomy(run: Run, catalog: Catalog) -> list[str]:
    settings = configuration(find_tagging(run, catalog=catalog))
    (taxonomy,) = [tags for key, tags in settings.items() if key.endswith("_taxonomy")]
    return [str(tag) for tag in taxonomy]


def _labelled(run: Run, said: Sequence[Correction], unreadable: dict[str, str]) -> Iterator[LabelledFrame]:
    """Yield the corrected frames of a run; note those whose pixels cannot be read."""
    frames = list(run.frames())
    missing = {_called(each.frame) for each in said}
    for number, verdict in sorted(verdicts([frame.id for frame in frames], said).items()):
        frame = frames[number]
        name = _called(frame.id)
        missing.discard(name)
        pixels = try_pixels(frame)
        if isinstance(pixels, str):
            unreadable[name] = pixels
            continue
        about = {"source": _source(run.start), "detector": frame.id.key, "by": verdict.by, "note": verdict.note}
        name = f"{run.uid}_{frame.id.stream}_{frame.id.key}_{frame.id.seq_num}_{frame.id.index}"
        yield LabelledFrame(name, pixels, verdict.truth, frame.beam_centre, about)
    unreadable |= dict.fromkeys(sorted(missing), "the run's documents do not tell where its pixels are")


def _called(frame: FrameId) -> str:
    return f"run {frame.run}, {frame.key}, point {frame.seq_num}, image {frame.index}"


def _source(start: Mapping[str, Any]) -> str:
    """Return where the frames of a run come from: frames of one sample are alike, and so are those of one run."""
    for key in ("sample", "sample_name"):
        sample = start.get(key)
        if isinstance(sample, Mapping):
            sample = sample.get("name")
        if sample:
            # What follows these signs would not count, see `bluesky_xtag.train.adapt.examples_of_frames.source`.
            return re.sub("[@:]", " ", str(sample))
    return f"run {start['uid']}"


def write_labelled(out: str | Path, tags: Sequence[str], frames: Iterable[LabelledFrame]) -> int:
    """Write labelled frames to an HDF5 file, one by one, and return how many.

    The file gets its name when all frames are on disk: whatever fails, there is a whole file or none.

    Parameters
    ----------
    out : path
        The file; must not exist.
    tags : sequence of str
        The order of each frame's `truth`.
    frames : iterable of LabelledFrame
        At least one.

    Raises
    ------
    XTagValueError
        The file exists, its directory does not, or there is no frame.
    XTagError
        The disk does not take the frames.
    """
    import h5py
    import hdf5plugin

    out = Path(out)
    check_new(out)
    written, packed = 0, hdf5plugin.Bitshuffle(cname="lz4")
    try:
        with _finished(out) as path, h5py.File(path, "w") as file:
            file.attrs["tags"] = list(tags)
            for frame in frames:
                data = file.create_dataset(frame.name, data=frame.pixels, **packed)
                data.attrs["truth"] = np.array([int(frame.truth.get(tag, -1)) for tag in tags], np.int8)
                if frame.beam_centre is not None:
                    data.attrs["beam_centre_xy"] = np.array(frame.beam_centre, np.float32)
                data.attrs.update(frame.attributes)
                written += 1
            if not written:
                raise XTagValueError(f"there is no labelled frame to write to {out}: correct or confirm some first")
    except XTagError:
        raise
    except OSError as error:
        raise XTagError(f"{out} cannot be written ({error}): mend that and call again; no file was left") from error
    return written


def check_new(out: Path) -> None:
    """Raise XTagValueError unless a file can be made there without replacing another."""
    if out.exists():
        raise XTagValueError(f"{out} exists: choose another name or remove it first")
    if not out.parent.is_dir():
        raise XTagValueError(f"there is no directory {out.parent}: make it first or choose another name for the file")


@contextmanager
def _finished(out: Path) -> Iterator[Path]:
    """Give a name to write to, which becomes `out` when all that was written is on disk."""
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        check_new(out)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
