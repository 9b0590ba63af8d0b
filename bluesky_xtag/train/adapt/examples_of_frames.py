"""Labelled frames of one's own: their labels, sources and features, and the tags that a model does not know yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ...errors import FrameError, XTagValueError
from ...frames import LabelledFile, open_labelled
from ...model import Inputs, Tag, TagModel, Taxonomy
from .head import Head

__all__ = ["FEWEST", "Labelled", "read_labelled"]

FEWEST = 20
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled frames as the last layer of a network sees them.

    Parameters
    ----------
    taxonomy : Taxonomy
        The model's tags, then those that only the file knows (group "own").
    features : numpy.ndarray
        (n, features) float32.
    labels : numpy.ndarray
        (n, tags) int8: 1 holds, 0 does not, -1 uncertain or not labelled.
    sources : numpy.ndarray
        (n,) str: where each frame comes from, see `bluesky_xtag.frames.LabelledFrame.origin`, or else its own name.
    """

    taxonomy: Taxonomy
    features: np.ndarray
    labels: np.ndarray
    sources: np.ndarray

    def without(self, tags: Collection[str]) -> Labelled:
        """Return the same frames without the labels of some tags, and without these tags."""
        kept = [name for name in self.taxonomy.names if name not in tags]
        columns = [self.taxonomy.index(name) for name in kept]
        return Labelled(self.taxonomy.subset(kept), self.features, self.labels[:, columns], self.sources)


def read_labelled(path: Path, model: TagModel, head: Head) -> Labelled:
    """Read the frames of a file that have at least one certain label, a batch at a time.

    Parameters
    ----------
    path : Path
        HDF5, see `bluesky_xtag.frames.each_frame`. Optional attributes: of the file, `definitions` (in the
        order of `tags`); of a frame, `source` and `detector`.
    model : TagModel
        Its preparation is used.
    head : Head
        The last layer of that model.

    Raises
    ------
    XTagValueError
        The file does not fit, or has too few labelled frames or sources.
    FrameError
        A frame cannot be used.
    """
    features, labelled, origins = [], [], []
    with open_labelled(path) as file:
        frames = _prepare(file, model)
        while batch := list(islice(frames, _BATCH)):
            layers = {name: np.stack([getattr(each, name) for *_, each in batch]) for name in model.preparation.shapes}
            features.append(head.features(layers))
            labelled += [truth for _, truth, _ in batch]
            origins += [origin for origin, *_ in batch]
        if len(labelled) < FEWEST:
            raise XTagValueError(
                f"{path} holds {len(labelled)} labelled frames, but at least {FEWEST} are needed: label more of them"
            )
        taxonomy, sources = _add_own_tags(model, file), np.array(origins)
    if (count := np.unique(sources).size) < 3:
        raise XTagValueError(
            f"the frames of {path} come from {count} source(s), but at least 3 are needed to judge on frames of other "
            "sources: tell them apart in each frame's attribute `source`, for instance by sample or by run"
        )
    labels = [[int(truth.get(tag, -1)) for tag in taxonomy.names] for truth in labelled]
    return Labelled(taxonomy, np.concatenate(features), np.array(labels, np.int8), sources)


def _prepare(file: LabelledFile, model: TagModel) -> Iterator[tuple[str, Mapping[str, bool], Inputs]]:
    """Yield where each labelled frame comes from, its truth, and what the network sees of it."""
    for frame in file:
        if not frame.truth:
            continue
        try:
            inputs = model.preparation(frame.pixels, frame.beam_centre)
        except FrameError as error:
            raise FrameError(f"{file.path}, frame {frame.name!r}: {error}") from error
        yield frame.origin or frame.name, frame.truth, inputs


def _add_own_tags(model: TagModel, file: LabelledFile) -> Taxonomy:
    """Return the tags of the model, and behind them those that only the file knows."""
    own = [
        Tag(name, "own", definition or f"as labelled in {file.path.name}")
        for name, definition in file.definitions.items()
        if name not in model.taxonomy.names
    ]
    return Taxonomy((*model.taxonomy.tags, *own))
