"""How far the average precision falls as one thing after another spoils the frames.

The same held-out scenes are exposed clean and with one nuisance at each of its levels, and labelled again each time;
`bluesky_xtag.train.evaluate.drops` says how they are compared.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np

from ...errors import XTagValueError
from ...model import Inputs, Preparation, TagModel
from ...simulate import NUISANCES, TAGS, Nuisance, make_scene, prepare_scene, sample, select_nuisances, worker_pool
from .drops import BAR, BARS, Curve, Judged, Robustness, compare
from .report import figures

__all__ = ["LEAST", "measure"]

LEAST = 10
SCENES = 16  # in a piece of work
Drawn = list[tuple[Inputs, np.ndarray]]


def measure(
    model: TagModel,
    frames: int = 400,
    seed: int = 0,
    *,
    nuisances: Iterable[str] | None = None,
    workers: int | None = None,
    least: int = LEAST,
) -> Robustness:
    """Measure a model under each nuisance.

    Parameters
    ----------
    model : TagModel
    frames : int
        Scenes for each level, of detectors and q ranges that training never sees.
    seed : int
        The same seed gives the same scenes and chances, whatever the number of workers.
    nuisances : iterable of str, optional
        Which of `NUISANCES`; all if not given.
    workers : int, optional
        Processes that simulate; all cores if not given. Only a few batches wait in memory at a time.
    least : int
        A tag counts where so many frames hold it and so many do not.

    Returns
    -------
    Robustness

    Raises
    ------
    XTagValueError
        `frames` is less than one, a nuisance is unknown, or no tag of the model is simulated.
    """
    from rich.console import Console
    from rich.progress import track

    spoilers = select_nuisances(nuisances)
    if frames < 1:
        raise XTagValueError(f"at least one frame a level is needed, but got {frames}")
    shared = [name for name in TAGS.names if name in model.taxonomy.names]
    if not shared:
        raise XTagValueError(f"none of the model's tags is simulated: {', '.join(model.taxonomy.names)}")
    columns, rows = [model.taxonomy.index(name) for name in shared], [TAGS.index(name) for name in shared]
    shape = (frames, len(shared))
    sizes = {"": 1} | {nuisance.name: len(nuisance.levels) for nuisance in spoilers}
    truth = {name: np.empty((size, *shape), np.int8) for name, size in sizes.items()}
    scores = {name: np.empty((size, *shape), np.float32) for name, size in sizes.items()}
    pieces = [(name, start, min(start + SCENES, frames)) for name in sizes for start in range(0, frames, SCENES)]
    work = _draw_pieces(pieces, seed, model.preparation, workers or os.cpu_count() or 1)
    model.warm()
    progress = track(
        zip(pieces, work, strict=True), "Measuring", total=len(pieces), console=Console(stderr=True), transient=True
    )
    for (name, start, stop), drawn in progress:
        found = model.infer([inputs for inputs, _ in drawn])[:, columns]
        known = np.stack([labels for _, labels in drawn])[:, rows]
        scores[name][:, start:stop] = found.reshape(-1, stop - start, len(shared))
        truth[name][:, start:stop] = known.reshape(-1, stop - start, len(shared))
    clean = Judged(truth[""][0], scores[""][0])
    return Robustness(
        f"{model.name} {model.version}, sha256 {model.sha256[:12]}",
        frames,
        seed,
        least,
        figures(shared, clean.truth, clean.scores, model.thresholds[columns]),
        tuple(
            Curve(
                nuisance.name,
                nuisance.title,
                nuisance.unit,
                tuple(
                    compare(value, shared, clean, Judged(*judged), least)
                    for value, *judged in zip(nuisance.levels, truth[nuisance.name], scores[nuisance.name], strict=True)
                ),
                BARS.get(nuisance.name, BAR),
            )
            for nuisance in spoilers
        ),
    )


def _draw_pieces(
    pieces: Sequence[tuple[str, int, int]], seed: int, preparation: Preparation, workers: int
) -> Iterator[Drawn]:
    """Yield what each piece of work draws, in order; few pieces at a time are under way."""
    with worker_pool(workers, len(pieces)) as pool:

        def submit(piece: tuple[str, int, int]) -> Any:
            return pool.submit(_draw, piece, seed, preparation)

        waiting = iter(pieces)
        under_way = deque(submit(piece) for piece in islice(waiting, 2 * workers))
        while under_way:
            drawn = under_way.popleft().result()
            under_way.extend(submit(piece) for piece in islice(waiting, 1))
            yield drawn


def _draw(piece: tuple[str, int, int], seed: int, preparation: Preparation) -> Drawn:
    """Return samples of some scenes, level by level; "" is none of the nuisances."""
    name, start, stop = piece
    scenes = range(start, stop)
    if not name:
        return [sample(seed, index, True, preparation, ()) for index in scenes]
    nuisance = NUISANCES[name]
    return [_spoil(nuisance, level, seed, index, preparation) for level in nuisance.levels for index in scenes]


def _spoil(
    nuisance: Nuisance, level: float, seed: int, index: int, preparation: Preparation
) -> tuple[Inputs, np.ndarray]:
    """Expose one scene with one nuisance.

    The chances of the nuisance are the same at every level, so that it only grows, and those of the exposure are the
    same as in `sample`: where a nuisance changes nothing the frame is the clean one.
    """
    how = np.random.default_rng([seed, index, crc32(nuisance.name.encode())])
    spoiled = nuisance.at(make_scene(seed, index, True, ()), level, how)
    return prepare_scene(spoiled, np.random.default_rng([seed, index, 1, 2]), preparation)
