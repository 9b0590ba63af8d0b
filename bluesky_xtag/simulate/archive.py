"""Files of raw simulated frames with their truth, as `each_frame` reads them.

While a file grows its frames lie one by one in a directory beside it, each written under another name and renamed
once it is on disk, and are joined at the end. So a stop at any moment, a kill too, costs only the frames in work, and
what carries the file's name is complete. A frame that cannot be simulated costs no other frame: the others are
finished first, up to `_MOST_FAILURES` failures, then all that failed are named.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterable
from concurrent.futures import as_completed
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..errors import XTagError, XTagValueError
from ..frames import LabelledFrame, check_new, join_labelled, write_part
from ..model import write_atomically
from .dataset import expose_raw, make_scene, render_both
from .processes import worker_pool
from .scene.nuisances import select_nuisances
from .truth.continuous import continuous_truth
from .truth.labels import TAGS

__all__ = ["nuisance_names", "simulate"]

_SETTINGS = "settings.json"
_CHANCE = 3  # of the exposure, apart from that of the scene
_SPARE = 2**40  # far from the numbers of all frames
_MOST_FAILURES = 10  # more have one cause, which the first ones show


@dataclass(frozen=True)
class _Settings:
    """All that decides the content of a file; they stand in its attributes."""

    frames: int
    seed: int
    held_out: bool
    nuisances: str
    version: str


@dataclass(frozen=True)
class _Failure:
    """A frame that could not be simulated, and why."""

    index: int
    reason: str


def simulate(
    out: str | Path,
    frames: int,
    seed: int = 0,
    held_out: bool = True,
    *,
    nuisances: Iterable[str] | None = None,
    workers: int | None = None,
    leave_out: Iterable[int] = (),
) -> Path:
    """Write raw simulated frames with their truth to an HDF5 file.

    The layout: a data set a frame (int32, raw counts), attributes `truth` (1, 0, -1 uncertain, in the order of the
    file's attribute `tags`), `detector`, where the metadata would tell it, `beam_centre_xy`, and the continuous truth
    (see `continuous_truth`). A mask that is told
    apart from the frame lies under the same name in the group `masks` (bool, true where pixels must not be used).
    Attributes of the file: `tags` and the settings `frames`, `seed`, `held_out`, `nuisances` and `version`, of this
    package; `left_out`, the numbers of frames that are left out, if there are any.

    Stopped and called again with the same arguments, it goes on; the file is the same as without the stop, and the
    same for any number of workers. At the end the disk holds the frames twice for a moment.

    Parameters
    ----------
    out : path
        File to write; must not exist.
    frames : int
        How many.
    seed : int
        The same seed gives the same frames.
    held_out : bool
        Use the detectors and q ranges that training never sees.
    nuisances : iterable of str, optional
        Names in `NUISANCES` of what may disturb the frames; all if not given, () for clean frames.
    workers : int, optional
        Processes; as many as there are cores if not given.
    leave_out : iterable of int
        Numbers of frames that the file does not hold, for instance because they cannot be simulated; the others keep
        their numbers.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    XTagValueError
        The file exists already, its directory does not, `frames` is less than one, `seed` less than zero, a
        nuisance is not known, a frame to leave out is not among the frames or none is left, or the file was begun
        with other settings.
    XTagError
        A frame could not be simulated, a process ended before its frame was done, or the disk does not take the
        frames. All frames that were done are kept, and the same call goes on from there.
    """
    out = Path(out)
    parts = out.with_name(f"{out.name}.parts")
    if not (out.is_file() and parts.is_dir()):  # both are there if a call was killed at its very end
        check_new(out)
    if frames < 1:
        raise XTagValueError(f"at least one frame is needed, but got {frames}")
    if seed < 0:
        raise XTagValueError(f"the seed is {seed}, but chance starts from 0 or more: choose such a seed")
    left_out = frozenset(leave_out)
    if strange := sorted(left_out.difference(range(frames))):
        raise XTagValueError(f"there is no frame {strange[0]} to leave out: the frames are 0 to {frames - 1}")
    if len(left_out) == frames:
        raise XTagValueError("all frames are left out: keep at least one")
    settings = _Settings(frames, seed, held_out, _spell_nuisances(nuisances), version("bluesky_xtag"))
    try:
        if out.is_file():
            _clear(out, parts, settings, left_out)
            return out
        _write(out, parts, settings, left_out, workers)
    except OSError as error:
        raise XTagError(f"{out} cannot be written ({error}): mend that and call again; what is done is kept") from error
    return out


def _write(out: Path, parts: Path, settings: _Settings, left_out: frozenset[int], workers: int | None) -> None:
    _begin(parts, settings, out)
    kept = [index for index in range(settings.frames) if index not in left_out]
    wanted = [index for index in kept if not _part(parts, index).exists()]
    failures: list[_Failure] = []
    with _progress() as progress, closing(_simulate_parts(parts, wanted, settings, workers)) as outcomes:
        task = progress.add_task(f"Simulating {out.name}", total=len(kept), completed=len(kept) - len(wanted))
        for failure in outcomes:
            if failure is None:
                progress.advance(task)
                continue
            failures.append(failure)
            if len(failures) == _MOST_FAILURES:
                break
    if failures:
        raise XTagError(_describe_failures(failures, out, parts, settings, left_out))
    _join(parts, kept, settings, left_out, out)
    shutil.rmtree(parts)


def _clear(out: Path, parts: Path, settings: _Settings, left_out: frozenset[int]) -> None:
    """Remove what a call left that was killed when its file was whole; XTagValueError if the file is another."""
    with h5py.File(out) as file:
        held = {name: file.attrs.get(name) for name in asdict(settings)}
        others = frozenset(map(int, file.attrs.get("left_out", ())))
    if held != asdict(settings) or others != left_out:
        check_new(out)
    shutil.rmtree(parts)


def _describe_failures(
    failures: list[_Failure], out: Path, parts: Path, settings: _Settings, left_out: frozenset[int]
) -> str:
    """Say which frames failed, why, what is kept, and what to do."""
    failures = sorted(failures, key=lambda failure: failure.index)
    which = "; ".join(f"frame {failure.index} of seed {settings.seed} ({failure.reason})" for failure in failures)
    done = sum(_part(parts, index).exists() for index in range(settings.frames))
    numbers = sorted(left_out.union(failure.index for failure in failures))
    options = " ".join(f"--leave-out {number}" for number in numbers)
    return (
        f"{out} is not complete, because these frames cannot be simulated: {which}. The {done} frames that are done "
        f"are kept in {parts}, and the same call goes on from there. Please report the numbers, the seed and the "
        f"version, {settings.version}. To finish the file without these frames, call again with leave_out={numbers}, "
        f"in the shell: {options}"
    )


def _spell_nuisances(nuisances: Iterable[str] | None) -> str:
    """Return the nuisances as they stand in the file: their names, or "all", or "none"."""
    if nuisances is None:
        return "all"
    return ",".join(nuisance.name for nuisance in select_nuisances(nuisances)) or "none"


def nuisance_names(written: str) -> tuple[str, ...] | None:
    """Return the nuisances of their names with commas between, of "all" (None), or of "none"."""
    return {"all": None, "none": ()}.get(written, tuple(name.strip() for name in written.split(",")))


def _begin(parts: Path, settings: _Settings, out: Path) -> None:
    """Make the directory of an unfinished file, or see that it was begun with the same settings."""
    try:
        begun = json.loads((parts / _SETTINGS).read_text("utf-8"))
    except FileNotFoundError:
        parts.mkdir(exist_ok=True)
        with write_atomically(parts / _SETTINGS) as path:
            path.write_text(json.dumps(asdict(settings)), "utf-8")
        return
    other = [
        f"{name} {begun.get(name)}, not {value}" for name, value in asdict(settings).items() if begun.get(name) != value
    ]
    if other:
        raise XTagValueError(
            f"{out} was begun with other settings ({'; '.join(other)}): call again with those to finish it, choose "
            f"another name, or remove {parts} to start over"
        )


def _simulate_parts(
    parts: Path, wanted: list[int], settings: _Settings, workers: int | None
) -> Generator[_Failure | None, None, None]:
    """Simulate the wanted frames in processes of their own; of each yield None when it is done, or how it failed."""
    with worker_pool(workers, len(wanted)) as pool:
        jobs = [pool.submit(_write_part, parts, index, settings) for index in wanted]
        for job in as_completed(jobs):
            yield job.result()


def _write_part(parts: Path, index: int, settings: _Settings) -> _Failure | None:
    """Simulate one frame into a file of its own; where that fails, return why.

    A disk that takes no more concerns all frames: its error is raised. Any other is returned as text, because not
    every exception passes from one process to another.
    """
    path = _part(parts, index)
    try:
        frame = _frame(path.stem, index, settings)
    except Exception as error:
        return _Failure(index, f"{type(error).__name__}: {error}")
    with write_atomically(path) as unfinished:
        write_part(unfinished, frame, TAGS.names)
    return None


def _frame(name: str, index: int, settings: _Settings) -> LabelledFrame:
    """Return a frame with its truth, and the mask that is told apart from it, if any."""
    rendering, judged = render_both(
        make_scene(settings.seed, index, settings.held_out, nuisance_names(settings.nuisances))
    )
    shown, chance = judged.scene, np.random.default_rng([settings.seed, index, int(settings.held_out), _CHANCE])
    image, labels, mask = expose_raw(rendering, judged, chance)
    if (image < 0).all():  # nothing can be seen, and whoever reads the file would refuse it
        return _frame(name, index + _SPARE, settings)
    return LabelledFrame(
        name,
        image,
        truth={tag: bool(label) for tag, label in zip(TAGS.names, labels, strict=True) if label >= 0},
        beam_centre=shown.told_centre,
        mask=mask,
        detector=shown.layout.name or f"{image.shape[1]} x {image.shape[0]}",
        attributes=continuous_truth(shown),
    )


def _join(parts: Path, kept: list[int], settings: _Settings, left_out: frozenset[int], out: Path) -> None:
    """Copy the frames into one file."""
    attributes = asdict(settings) | ({"left_out": sorted(left_out)} if left_out else {})
    with write_atomically(out, parts) as path:
        join_labelled(path, (_part(parts, index) for index in kept), TAGS.names, attributes)


def _part(parts: Path, index: int) -> Path:
    return parts / f"{index:06d}.h5"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )
