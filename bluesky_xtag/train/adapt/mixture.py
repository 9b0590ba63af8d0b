"""Calibration of a model for the mixture of frames that beamlines have, where it was trained on another one.

No weight of the network changes: what is found are thresholds for its card, or, equally, slopes and offsets of its
logits, which make its scores probabilities on that mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from ...model import TagModel
from ..evaluate.report import plain
from .examples_of_frames import read_labelled
from .head import Head, Layer
from .measuring import stage_outcome
from .outcome import StageOutcome
from .stages import learn, validate

__all__ = ["Mixture", "calibrate_for"]


@dataclass(frozen=True, eq=False)
class Mixture:
    """A calibration for a mixture of frames.

    Parameters
    ----------
    tags : tuple of str
        The model's.
    thresholds : numpy.ndarray
        (tags,) for the model's own scores. The tags that they accept are those that the calibrated scores accept from
        0.5 on.
    slopes, offsets : numpy.ndarray
        (tags,) the calibrated score is expit(slope * logit(score) + offset).
    strength : float
        Of the penalty on slopes and offsets; infinite if no calibration helps.
    sources : dict
        Number of frames of each source.
    before, after : StageOutcome
        Errors on frames of sources not seen, with the model's thresholds and calibrated.
    """

    tags: tuple[str, ...]
    thresholds: np.ndarray
    slopes: np.ndarray
    offsets: np.ndarray
    strength: float
    sources: dict[str, int]
    before: StageOutcome
    after: StageOutcome

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return calibrated scores (n, tags) of the model's scores."""
        return expit(self.slopes * logit(np.clip(scores, 1e-7, 1 - 1e-7)) + self.offsets)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a card; without names of sources."""
        each = zip(self.tags, self.thresholds, self.slopes, self.offsets, strict=True)
        return plain(
            {
                "frames": sum(self.sources.values()),
                "sources": len(self.sources),
                "strength": self.strength if np.isfinite(self.strength) else None,
                "errors_before": self.before.errors,
                "errors_after": self.after.errors,
                "standard_error_of_change": self.after.error,
                "tags": {
                    tag: {"threshold": float(threshold), "slope": float(slope), "offset": float(offset)}
                    for tag, threshold, slope, offset in each
                },
            }
        )


def calibrate_for(model: TagModel, files: Sequence[str | Path]) -> Mixture:
    """Calibrate a model for the mixture of frames in some files, with the strength that helps on sources not seen.

    Parameters
    ----------
    model : TagModel
        Stays as it is.
    files : sequence of path
        HDF5 files of labelled frames, see `bluesky_xtag.frames.each_frame`: at least 10 frames from 3 sources in all,
        that hold tags as often as frames of beamlines do. Tags that the model does not know are not read.

    Raises
    ------
    XTagValueError
        A file does not fit, or they have too few labelled frames or sources.
    ModelError
        The network does not end with a dense layer and a sigmoid.
    FrameError
        A frame cannot be used.
    """
    head = Head.of(model)
    labelled = read_labelled([Path(file) for file in files], model, head)
    labelled = labelled.without(set(labelled.taxonomy.names) - set(model.taxonomy.names))
    layer = Layer.of(head, model, len(labelled.taxonomy))
    examples = layer.examples(labelled.features, labelled.labels, labelled.sources)
    with threadpool_limits(1):
        validated = validate(examples, None, layer.known, "calibration")
        learned = learn(examples, None, layer.known, list(validated)[-1])
    used = learned.stages(layer.known)
    before, after = (stage_outcome(stage, examples, validated[stage], True) for stage in (used[0], used[-1]))
    slopes, offsets = learned.calibration.slopes, learned.calibration.offsets
    least = logit(layer.thresholds)
    sources, counts = np.unique(labelled.sources, return_counts=True)
    return Mixture(
        tags=model.taxonomy.names,
        thresholds=np.where(learned.changed, expit(least - offsets / slopes), layer.thresholds),
        slopes=slopes,
        offsets=np.where(learned.changed, offsets - slopes * least, 0.0),
        strength=learned.recipe.calibration,
        sources={str(name): int(count) for name, count in zip(sources, counts, strict=True)},
        before=before,
        after=after,
    )
