"""Files of labelled frames, in the layout that `xtag adapt` and `xtag evaluate` read.

In such a file, what people said about a frame is certain. A tag that nobody spoke of is unknown (-1), whatever the
model said. A person who corrects one tag has not looked for all the others, and a model that learns from its own
answers learns its own mistakes. `correct(..., confirm=True)` says that all other tags are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog import Catalog, Run, RunSelection, StoredCatalog, Where, as_catalog, select_runs, try_pixels
from ..documents import KEY, Correction, FrameId, standing, verdicts
from ..errors import XTagValueError
from ..frames import LabelledFrame, NamedRoots, Roots, as_source, check_new, write_labelled
from ..search import configuration, find_tagging, read_corrections

__all__ = ["Exported", "corrected_runs", "export_labels", "run_source"]


@dataclass(frozen=True)
class Exported:
    """The counts of what was written.

    Parameters
    ----------
    frames, runs, labels : int
        The numbers of frames, of the runs that they come from, and of certain labels of all frames.
    unreadable : mapping of str to str
        The corrected frames that are left out because their pixels cannot be read, and the reasons.
    """

    frames: int
    runs: int
    labels: int
    unreadable: Mapping[str, str]


def export_labels(
    catalog: StoredCatalog, out: str | Path, runs: RunSelection = None, *, roots: NamedRoots = None
) -> Exported:
    """Write the frames that people corrected to a file, completely or not at all.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        A catalogue of Tiled or databroker.
    out : path
        The HDF5 file, which must not exist yet. It has one data set for each frame, with the beam centre if the
        documents hold it. `source` is the sample if the run's start document names one (`sample` or `sample_name`),
        else the run.
    runs : str, int, run, or an iterable of these, optional
        Only the frames of these runs, see `bluesky_xtag.catalog.select_runs`. If None, of all runs.
    roots : str, Path or an iterable of these, optional
        Directories below which files may be read, as in `bluesky_xtag.replay.replay`: other frames are
        among the unreadable ones, with the file that they name.
        If None, all files are read.

    Raises
    ------
    XTagValueError
        The file exists, its directory does not exist, a root is not a directory, there is no such run, or no corrected
        frame can be read.
    CatalogError
        The catalogue does not answer.
    XTagError
        The frames cannot be written to the disk.
    """
    check_new(Path(out))
    allowed = Roots.of(roots)
    place = as_catalog(catalog)
    asked = corrected_runs(place) if runs is None else list(select_runs(place, runs))
    said = {run.uid: standing(read_corrections(run, place)) for run in asked}
    corrected = [run for run in asked if said[run.uid]]
    tags = dict.fromkeys(tag for run in corrected for tag in _taxonomy(run, place))
    # The newest model may not know every tag that people spoke of.
    tags |= dict.fromkeys(tag for words in said.values() for each in words for tag in (*each.added, *each.removed))
    counts, unreadable = Counter[str](), dict[str, str]()

    def frames() -> Iterator[LabelledFrame]:
        for run in corrected:
            for frame in _labelled_frames(run, said[run.uid], unreadable, allowed):
                counts[run.uid] += 1
                counts["labels"] += len(frame.truth)
                yield frame
        if unreadable and not counts:
            first, reason = next(iter(unreadable.items()))
            raise XTagValueError(
                f"none of the {len(unreadable)} corrected frames can be read, so {out} was not made; {first}: {reason}"
            )

    written = write_labelled(out, list(tags), frames())
    labels = counts.pop("labels")
    return Exported(written, len(counts), labels, unreadable)


def corrected_runs(catalog: Catalog) -> list[Run]:
    """Return the runs of a catalogue that people corrected, in the order of their first corrections."""
    human = catalog.search(Where(f"{KEY}.source", "==", "human")).runs()
    uids = dict.fromkeys(each.original_uid for each in human)
    found = [catalog.get(uid) for uid in uids]  # what was said may be kept longer than the run
    return [run for run in found if run is not None]


def _taxonomy(run: Run, catalog: Catalog) -> list[str]:
    settings = configuration(find_tagging(run, catalog=catalog)[0])
    (taxonomy,) = [tags for key, tags in settings.items() if key.endswith("_taxonomy")]
    return [str(tag) for tag in taxonomy]


def _labelled_frames(
    run: Run, said: Sequence[Correction], unreadable: dict[str, str], allowed: Roots | None
) -> Iterator[LabelledFrame]:
    """Yield the corrected frames of a run; note those whose pixels cannot be read."""
    frames = list(run.frames(allowed))
    missing = {_frame_name(each.frame) for each in said}
    for number, verdict in sorted(verdicts([frame.id for frame in frames], said).items()):
        frame = frames[number]
        name = _frame_name(frame.id)
        missing.discard(name)
        pixels = try_pixels(frame)
        if isinstance(pixels, str):
            unreadable[name] = pixels
            continue
        about = {"by": verdict.by, "note": verdict.note}
        name = f"{run.uid}_{frame.id.stream}_{frame.id.key}_{frame.id.seq_num}_{frame.id.index}"
        yield LabelledFrame(
            name,
            pixels,
            verdict.truth,
            frame.beam_centre,
            source=run_source(run.start),
            detector=frame.id.key,
            attributes=about,
        )
    unreadable |= dict.fromkeys(sorted(missing), "the run's documents do not tell where its pixels are")


def _frame_name(frame: FrameId) -> str:
    return f"run {frame.run}, {frame.key}, point {frame.seq_num}, image {frame.index}"


def run_source(start: Mapping[str, Any]) -> str:
    """Return where the frames of a run come from: frames of one sample are alike, and so are those of one run."""
    for key in ("sample", "sample_name"):
        sample = start.get(key)
        if isinstance(sample, Mapping):
            sample = sample.get("name")
        if sample:
            return as_source(str(sample))
    return f"run {start['uid']}"
