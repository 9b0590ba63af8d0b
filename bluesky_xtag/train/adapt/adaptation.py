"""Adapts a model to labelled frames of one's own, tags of one's own included.

The network stays as it is but for its last layer (see `stages`). What the adapted model is worth is measured by
leaving out the frames of some sources, adapting to the others, and counting errors on those left out.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from ...errors import XTagValueError
from ...model import TagModel
from ..evaluate.metrics import mean_average_precision
from ..evaluate.report import figures
from .adaptation_page import write_adaptation
from .examples_of_frames import Labelled, read_labelled
from .head import Head, Layer
from .judging import divide, errors
from .last_layer import Examples
from .measuring import frame_outcomes, stage_outcome, tag_outcomes
from .outcome import Adaptation
from .simulated_examples import simulate_features
from .stages import CALIBRATION, LAST_LAYER, OUTER_FOLDS, labelled_enough, learn, validate

__all__ = ["NETWORK_FROM", "OWN", "adapt_model"]

SIMULATED = 500
NETWORK_FROM = 100  # labelled frames; for fewer, the simulation takes longer than all the rest
OWN = 10  # frames of either class, from at least two sources, that a tag of one's own needs


def adapt_model(
    model: TagModel,
    frames: str | Path,
    out: str | Path,
    *,
    html: str | Path | None = None,
    simulated: int | None = None,
    seed: int = 1,
    workers: int | None = None,
) -> Adaptation:
    """Adapt a model to labelled frames and save it.

    Parameters
    ----------
    model : TagModel
        What to start from; its network must end with a dense layer and a sigmoid.
    frames : path
        HDF5 file of at least 10 labelled frames from at least 3 sources, see `read_labelled`.
    out : path
        Model directory to write.
    html : path, optional
        Page to write: errors before and after, and the frames that changed most.
    simulated : int, optional
        Simulated frames that hold the model to what it knew in the last stage, and as many held-out ones to measure
        that by; 0 for none. If not given, 500 from 100 labelled frames on, and none for fewer.
    seed : int
        Of the simulated frames.
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
    labelled = read_labelled([path], model, head)
    rare = _too_rare(labelled, model, path)
    labelled = labelled.without(rare)
    if simulated is None:
        simulated = SIMULATED if len(labelled.names) >= NETWORK_FROM else 0
    tags = labelled.taxonomy.names
    layer = Layer.of(head, model, len(tags))
    examples = layer.examples(labelled.features, labelled.labels, labelled.sources)
    replay, test = (
        layer.examples(*simulate_features(model, head, tags, simulated, seed, held_out, workers))
        for held_out in (False, True)
    )
    held = replay if len(replay) else None
    # The products are so small that threads cost more than they bring; on a busy machine, fifty times more.
    with threadpool_limits(1):
        validated = validate(examples, held, layer.known)
        learned = learn(examples, held, layer.known, list(validated)[-1])
    used = learned.stages(layer.known)
    after = validated[used[-1]]
    vain = _guessed(tags, examples, after, layer.known)
    kept = np.array([tag not in vain for tag in tags])  # the other tags do not depend on those taken off again
    corrected, taxonomy = layer.corrected_by(learned).of_tags(kept), labelled.without(vain).taxonomy
    kinds = np.select([~layer.known, learned.weighed, learned.changed], ["new", "adapted", "calibrated"], "kept")
    known = examples.of_tags(layer.known)
    sources, counts = np.unique(labelled.sources, return_counts=True)
    adaptation = Adaptation(
        model=f"{model.name} {model.version}",
        file=path.name,
        tags=tag_outcomes(
            taxonomy.names,
            examples.of_tags(kept),
            after[:, kept],
            divide(examples.sources, OUTER_FOLDS),
            kinds[kept].tolist(),
            corrected.thresholds,
        ),
        left_out=rare | vain,
        stages=tuple(
            stage_outcome(stage, known, margins[:, layer.known], stage in used) for stage, margins in validated.items()
        ),
        sources={str(name): int(count) for name, count in zip(sources, counts, strict=True)},
        each=frame_outcomes(labelled.names, model.taxonomy.names, known, after[:, layer.known]),
        simulated=_simulated(test, learned(test)),
        simulated_frames=len(test),
    )
    story = {
        "from": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "file": path.name,
        **adaptation.to_dict(),
        "settings": {
            "simulated": simulated,
            "seed": seed,
            "strengths_of_calibration": list(CALIBRATION),
            "strengths_of_last_layer": list(LAST_LAYER),
            "strength_of_calibration": _finite(learned.recipe.calibration),
            "strength_of_last_layer": {
                tag: _finite(strength) for tag, strength in zip(tags, learned.recipe.last_layer, strict=True)
            },
        },
    }
    TagModel.from_network(
        head.network(corrected.kernel, corrected.bias),
        taxonomy,
        corrected.thresholds,
        model.preparation,
        name=out.name,
        version=version("bluesky_xtag"),
        figures=_figures(taxonomy.names, test.of_tags(kept), learned(test)[:, kept], corrected.thresholds),
        adaptation=story,
        **{key: model.card.stored[key] for key in ("training", "versions") if key in model.card.stored},
    ).save(out)
    if html is not None:
        write_adaptation(adaptation, path, html)
    return adaptation


def _too_rare(labelled: Labelled, model: TagModel, path: Path) -> dict[str, str]:
    """Return the new tags with too few frames of either class, and why; XTagValueError if nothing can be learned."""
    sources, rare, may = labelled.sources, {}, labelled_enough(labelled.labels, labelled.sources)
    for tag, truth, enough in zip(labelled.taxonomy.names, labelled.labels.T, may, strict=True):
        if tag in model.taxonomy.names:
            continue
        held, not_held = ((truth == value).sum() for value in (1, 0))
        apart = all(np.unique(sources[truth == value]).size >= 2 for value in (0, 1))
        if min(held, not_held) < OWN or not apart or not enough:
            rare[tag] = (
                f"{held} frames hold it and {not_held} do not, but at least {OWN} of either kind are needed, each "
                "from two sources or more"
            )
    if not any(enough for tag, enough in zip(labelled.taxonomy.names, may, strict=True) if tag not in rare):
        raise XTagValueError(f"no tag of {path} has labels on frames of two sources or more: label more frames")
    return rare


def _guessed(tags: tuple[str, ...], examples: Examples, after: np.ndarray, known: np.ndarray) -> dict[str, str]:
    """Return the new tags that make as many errors on sources not seen as guessing does, and how many."""
    vain = {}
    for tag in map(int, np.flatnonzero(~known)):
        truth = examples.labels[:, tag]
        wrong, by_guess = int(errors(after[:, tag], truth).sum()), int(min((truth == 1).sum(), (truth == 0).sum()))
        if wrong >= by_guess:
            vain[tags[tag]] = f"{wrong} errors on frames of sources not seen, guessing makes {by_guess}: label more"
    return vain


def _simulated(test: Examples, after: np.ndarray) -> dict[str, dict[str, float]]:
    """Return the figures on held-out simulated frames before and after, of the tags that are simulated."""
    if not len(test):
        return {}
    return {
        when: {
            "mAP": mean_average_precision(test.labels, margins)[0],
            "errors": float(errors(margins, test.labels).sum(1).mean()),
        }
        for when, margins in (("before", test.margins), ("after", after))
    }


def _figures(names: tuple[str, ...], test: Examples, margins: np.ndarray, thresholds: np.ndarray) -> dict[str, Any]:
    """Return the figures on held-out simulated frames for the card, of the tags that are simulated."""
    tags = np.flatnonzero((test.labels >= 0).any(0))
    if not tags.size:
        return {}
    scores = expit(margins + logit(thresholds))[:, tags]
    report = figures([names[int(tag)] for tag in tags], test.labels[:, tags], scores, thresholds[tags])
    return {"held_out": report.to_dict()}


def _finite(strength: float) -> float | None:
    return float(strength) if np.isfinite(strength) else None
