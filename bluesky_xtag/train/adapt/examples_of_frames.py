"""Labelled frames of one's own: their labels, sources and features, and the tags that a model does not know yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ...errors import FrameError, XTagValueError
from ...frames import LabelledFile, open_labelled
from ...model import Inputs, Tag, TagModel, Taxonomy
from .head import Head

__all__ = ["FEWEST", "Labelled", "read_labelled"]

FEWEST = 10
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled frames as the last layer of a network sees them.

    Parameters
    ----------
    taxonomy : Taxonomy
        The model's tags, then those that only the files know (group "own").
    features : numpy.ndarray
        (n, features) float32.
    labels : numpy.ndarray
        (n, tags) int8: 1 holds, 0 does not, -1 uncertain or not labelled.
    sources : numpy.ndarray
        (n,) str: where each frame comes from, see `bluesky_xtag.frames.LabelledFrame.origin`, or else its own name.
    names : tuple of str
        (n,) names of the frames in their files.
    """

    taxonomy: Taxonomy
    features: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    names: tuple[str, ...]

    def without(self, tags: Collection[str]) -> Labelled:
        """Return the same frames without the labels of some tags, and without these tags."""
        kept = [name for name in self.taxonomy.names if name not in tags]
        columns = [self.taxonomy.index(name) for name in kept]
        return Labelled(self.taxonomy.subset(kept), self.features, self.labels[:, columns], self.sources, self.names)


def read_labelled(paths: Sequence[Path], model: TagModel, head: Head) -> Labelled:
    """Read the frames of some files that have at least one certain label, a batch at a time.

    Parameters
    ----------
    paths : sequence of Path
        HDF5, see `bluesky_xtag.frames.each_frame`. Optional attributes: of the file, `definitions` (in the
        order of `tags`); of a frame, `source` and `detector`.
    model : TagModel
        Its preparation is used.
    head : Head
        The last layer of that model.

    Raises
    ------
    XTagValueError
        A file does not fit, or they have too few labelled frames or sources.
    FrameError
        A frame cannot be used.
    """
    features, truths, names, origins = [], [], [], []
    own: dict[str, Tag] = {}
    for path in paths:
        with open_labelled(path) as file:
            own |= {tag.name: tag for tag in _own_tags(model, file) if tag.name not in own}
            frames = _prepare(file, model)
            while batch := list(islice(frames, _BATCH)):
                layers = {name: np.stack([getattr(each, name) for *_, each in batch]) for name in _inputs(model)}
                features.append(head.features(layers))
                for name, origin, truth, _ in batch:
                    names.append(name)
                    origins.append(origin)
                    truths.append(truth)
    named = " and ".join(map(str, paths))
    if len(truths) < FEWEST:
        raise XTagValueError(
            f"{named} holds {len(truths)} labelled frames, but at least {FEWEST} are needed: label more of them"
        )
    sources = np.array(origins)
    if (count := np.unique(sources).size) < 3:
        raise XTagValueError(
            f"the frames of {named} come from {count} source(s), but at least 3 are needed to judge on frames of other "
            "sources: tell them apart in each frame's attribute `source`, for instance by sample or by run"
        )
    taxonomy = Taxonomy((*model.taxonomy.tags, *own.values()))
    labels = [[int(truth.get(tag, -1)) for tag in taxonomy.names] for truth in truths]
    return Labelled(taxonomy, np.concatenate(features), np.array(labels, np.int8), sources, tuple(names))


def _inputs(model: TagModel) -> Sequence[str]:
    return tuple(model.preparation.shapes)


def _prepare(file: LabelledFile, model: TagModel) -> Iterator[tuple[str, str, Mapping[str, bool], Inputs]]:
    """Yield the name of each labelled frame, where it comes from, its truth, and what the network sees of it."""
    for frame in file:
        if not frame.truth:
            continue
        try:
            inputs = model.preparation(frame.pixels, frame.beam_centre, frame.mask)
        except FrameError as error:
            raise FrameError(f"{file.path}, frame {frame.name!r}: {error}") from error
        yield frame.name, frame.origin or frame.name, frame.truth, inputs


def _own_tags(model: TagModel, file: LabelledFile) -> list[Tag]:
    """Return the tags that only the file knows."""
    return [
        Tag(name, "own", definition or f"as labelled in {file.path.name}")
        for name, definition in file.definitions.items()
        if name not in model.taxonomy.names
    ]
