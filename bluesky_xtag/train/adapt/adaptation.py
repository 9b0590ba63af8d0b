"""Adapts a model to labelled frames of one's own, tags of one's own included.

The network stays as it is but for its last layer (see `correction`). What the adapted model is worth is measured by
leaving out the frames of some sources, adapting to the others, and scoring those left out.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from ...errors import XTagValueError
from ...model import TagModel
from ..evaluate.metrics import mean_average_precision
from ..evaluate.report import figures
from . import logit_correction as correction
from .examples_of_frames import Labelled, read_labelled
from .head import Head
from .logit_correction import Correction, Examples
from .outcome import Adaptation, intervals, outcomes

__all__ = ["adapt_model"]

SIMULATED = 500
_CHUNK = 125


def adapt_model(
    model: TagModel,
    frames: str | Path,
    out: str | Path,
    *,
    simulated: int = SIMULATED,
    seed: int = 1,
    workers: int | None = None,
) -> Adaptation:
    """Adapt a model to labelled frames and save it.

    Parameters
    ----------
    model : TagModel
        What to start from; its network must end with a dense layer and a sigmoid.
    frames : path
        HDF5 file of at least 20 labelled frames from at least 3 sources, see `read_labelled`.
    out : path
        Model directory to write.
    simulated : int
        Simulated frames that hold the model to what it knew, and as many held-out ones to measure that by; 0 for none.
    seed : int
        Of all chance.
    workers : int, optional
        Processes that simulate; all cores if not given.

    Returns
    -------
    Adaptation
        The held-out figures; the model's card holds them, too.

    Raises
    ------
    XTagValueError
        The file does not fit, or has too few labelled frames, sources, or frames of each tag.
    ModelError
        The model's last layer is another one, or `out` holds something that is no model.
    FrameError
        A frame cannot be used.
    """
    path, out, head = Path(frames), Path(out), Head.of(model)
    labelled = read_labelled(path, model, head)
    left_out = _too_rare(labelled, model, path)
    labelled = labelled.without(left_out)
    layer = _Layer.of(head, labelled)
    examples = layer.examples(labelled.features, labelled.labels, labelled.sources)
    replay, test = (
        layer.examples(*_simulate_head(model, head, labelled.taxonomy.names, simulated, seed, held_out, workers))
        for held_out in (False, True)
    )
    known = np.arange(len(labelled.taxonomy)) < len(model.taxonomy)
    before = np.append(model.thresholds, np.full((~known).sum(), 0.5))
    # The products are so small that threads cost more than they bring; on a busy machine, fifty times more.
    with threadpool_limits(1):
        learned = correction.learn(examples, replay, known, before)
        found = correction.cross_validate(examples, replay, known, before)
    sources, counts = np.unique(labelled.sources, return_counts=True)
    first, second, change = intervals(examples, found[0], known, seed)
    corrected = test.logits + test.features @ learned.delta
    adaptation = Adaptation(
        tags=outcomes(labelled.taxonomy.names, examples, known, before, learned, found),
        left_out=left_out,
        before=first,
        after=second,
        change=change,
        sources={str(name): int(count) for name, count in zip(sources, counts, strict=True)},
        simulated_before=mean_average_precision(test.labels, test.logits)[0],
        simulated_after=mean_average_precision(test.labels, corrected)[0],
        simulated_frames=len(test),
    )
    story = {
        "from": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "file": path.name,
        **adaptation.to_dict(),
        "settings": {
            "simulated": simulated,
            "seed": seed,
            "strengths": list(correction.STRENGTHS[1:]),
            "fewest_of_either_class": correction.MINIMUM,
            "weight_of_simulated": "all together that of the labelled frames",
        },
    }
    TagModel.from_network(
        head.network(*layer.corrected_by(learned)),
        labelled.taxonomy,
        learned.thresholds,
        model.preparation,
        name=out.name,
        version=version("bluesky_xtag"),
        figures=_figures(labelled.taxonomy.names, test.labels, corrected, learned.thresholds),
        adaptation=story,
        **{key: model.card.stored[key] for key in ("training", "versions") if key in model.card.stored},
    ).save(out)
    return adaptation


@dataclass(frozen=True, eq=False)
class _Layer:
    """The last layer, with room for new tags, on features that are scaled to a length of about 1."""

    kernel: np.ndarray
    bias: np.ndarray
    scale: float

    @classmethod
    def of(cls, head: Head, labelled: Labelled) -> _Layer:
        new = len(labelled.taxonomy) - head.bias.size
        length = float(np.sqrt((labelled.features**2).sum(1).mean()))
        return cls(np.pad(head.kernel, ((0, 0), (0, new))), np.pad(head.bias, (0, new)), length or 1.0)

    def examples(self, features: np.ndarray, labels: np.ndarray, sources: np.ndarray) -> Examples:
        scaled = np.column_stack([features / self.scale, np.ones(len(features))])
        return Examples(scaled, features @ self.kernel + self.bias, labels, sources)

    def corrected_by(self, learned: Correction) -> tuple[np.ndarray, np.ndarray]:
        return self.kernel + learned.delta[:-1] / self.scale, self.bias + learned.delta[-1]


def _figures(names: tuple[str, ...], labels: np.ndarray, logits: np.ndarray, thresholds: np.ndarray) -> dict[str, Any]:
    """Return the figures on held-out simulated frames for the card, of the tags that are simulated."""
    tags = np.flatnonzero((labels >= 0).any(0))
    if not tags.size:
        return {}
    report = figures([names[tag] for tag in tags], labels[:, tags], expit(logits[:, tags]), thresholds[tags])
    return {"held_out": report.to_dict()}


def _too_rare(labelled: Labelled, model: TagModel, path: Path) -> tuple[str, ...]:
    """Return the new tags with too few frames of either class; XTagValueError if no tag has enough."""
    enough = correction.enough(labelled.labels, labelled.sources)
    if not enough.any():
        raise XTagValueError(
            f"no tag of {path} has {correction.MINIMUM} frames that hold it and {correction.MINIMUM} that do not, each "
            "from two sources or more: label more frames"
        )
    names = labelled.taxonomy.names
    return tuple(name for name, may in zip(names, enough, strict=True) if not may and name not in model.taxonomy.names)


def _simulate_head(
    model: TagModel,
    head: Head,
    names: tuple[str, ...],
    count: int,
    seed: int,
    held_out: bool,
    workers: int | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels and sources of simulated frames; none if the model knows no tag that is simulated."""
    from ...simulate import TAGS
    from .. import data

    shared = [name for name in model.taxonomy.names if name in TAGS.names]
    if not shared or not count:
        return np.empty((0, len(head.kernel))), np.empty((0, len(names)), np.int8), np.empty(0, str)
    chunks = -(-count // _CHUNK)
    with tempfile.TemporaryDirectory() as directory:
        place, size = Path(directory) / ("held-out frames" if held_out else "frames"), -(-count // chunks)
        data.generate(place, chunks, seed, held_out, workers, size, model.preparation)
        samples = data.load(place, chunks)
        features = [head.features(samples.inputs(slice(at, at + size))) for at in range(0, len(samples), size)]
        labels = np.full((len(samples), len(names)), -1, np.int8)
        labels[:, [names.index(name) for name in shared]] = samples.labels[:, [TAGS.index(name) for name in shared]]
    return np.concatenate(features), labels, np.full(len(labels), "simulated")
