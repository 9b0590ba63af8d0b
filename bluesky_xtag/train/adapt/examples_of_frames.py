"""Labelled frames of one's own: their labels, sources and features, and the tags that a model does not know yet."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...errors import FrameError, XTagValueError
from ...model import Inputs, Tag, TagModel, Taxonomy
from .head import Head

__all__ = ["FEWEST", "Labelled", "read_labelled", "source"]

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
        (n,) str, see `source`.
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
    features, labelled, frames = [], [], _prepared(path, model)
    while batch := list(islice(frames, _BATCH)):
        layers = {name: np.stack([getattr(inputs, name) for _, inputs in batch]) for name in model.preparation.shapes}
        features.append(head.features(layers))
        labelled += [frame for frame, _ in batch]
    if len(labelled) < FEWEST:
        raise XTagValueError(
            f"{path} holds {len(labelled)} labelled frames, but at least {FEWEST} are needed: label more of them"
        )
    taxonomy, sources = _attributes(path, [name for name, *_ in labelled], model)
    if (count := np.unique(sources).size) < 3:
        raise XTagValueError(
            f"the frames of {path} come from {count} source(s), but at least 3 are needed to judge on frames of other "
            "sources: tell them apart in each frame's attribute `source`, for instance by sample or by run"
        )
    labels = [
        [1 if tag in present else 0 if tag in absent else -1 for tag in taxonomy.names]
        for _, present, absent in labelled
    ]
    return Labelled(taxonomy, np.concatenate(features), np.array(labels, np.int8), sources)


def source(name: str, attributes: Any) -> str:
    """Return where a frame comes from.

    What stands in its attribute `source` before the first "@" or ":" (of "beamline:file" the beamline), else its
    `detector`, else its own name.
    """
    told = re.split(r"@|:(?!//)", str(attributes.get("source", "")), maxsplit=1)[0].strip()
    return told or str(attributes.get("detector", "")).strip() or name


def _prepared(path: Path, model: TagModel) -> Iterator[tuple[tuple[str, frozenset[str], frozenset[str]], Inputs]]:
    """Yield name, present and absent tags, and network inputs of each labelled frame."""
    from ...frames import each_frame

    for frame in each_frame(path):
        if not frame.present | frame.absent:
            continue
        try:
            inputs = model.preparation(frame.pixels, frame.beam_centre)
        except FrameError as error:
            raise FrameError(f"{path}, frame {frame.name!r}: {error}") from error
        yield (frame.name, frame.present, frame.absent), inputs


def _attributes(path: Path, frames: list[str], model: TagModel) -> tuple[Taxonomy, np.ndarray]:
    """Return the tags of model and file, and the source of each frame."""
    with h5py.File(path, "r") as file:
        tags, definitions = (_words(file.attrs.get(name, ())) for name in ("tags", "definitions"))
        sources = np.array([source(name, file[name].attrs) for name in frames])
    if definitions and len(definitions) != len(tags):
        raise XTagValueError(
            f"{path} names {len(tags)} `tags` but gives {len(definitions)} `definitions`: give one for each tag"
        )
    own = [
        Tag(name, "own", definition or f"as labelled in {path.name}")
        for name, definition in zip(tags, definitions or [""] * len(tags), strict=True)
        if name not in model.taxonomy.names
    ]
    return Taxonomy((*model.taxonomy.tags, *own)), sources


def _words(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
