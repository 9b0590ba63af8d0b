"""Corrects the last layer of a network by few labelled frames.

The correction adds delta . (f, 1) to the margin of a tag, f being the features of a frame. Its delta minimises the
cross entropy over the labelled frames, that over simulated ones, if there are any, at the same total weight, and
strength / 2 |delta|^2. How strong the penalty must be is decided elsewhere, see `stages`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

__all__ = ["MINIMUM", "Examples", "Scaling", "correct", "enough"]

MINIMUM = 3  # frames of either class, from at least two sources, that a tag needs
_FLOOR = 0.1  # of the spread of all features, added to that of each


@dataclass(frozen=True, eq=False)
class Examples:
    """Frames as the last layer sees them.

    Parameters
    ----------
    features : numpy.ndarray
        (n, width) float.
    margins : numpy.ndarray
        (n, tags) float, the network's logits less those of the thresholds; 0 for tags that are new to it.
    labels : numpy.ndarray
        (n, tags) int8: 1 holds, 0 does not, -1 ignored.
    sources : numpy.ndarray
        (n,) str, where each frame comes from.
    """

    features: np.ndarray
    margins: np.ndarray
    labels: np.ndarray
    sources: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, which: np.ndarray) -> Examples:
        """Return the chosen frames."""
        return Examples(self.features[which], self.margins[which], self.labels[which], self.sources[which])

    def of_tags(self, which: np.ndarray) -> Examples:
        """Return the same frames with some tags only."""
        return replace(self, margins=self.margins[:, which], labels=self.labels[:, which])

    def with_margins(self, margins: np.ndarray) -> Examples:
        """Return the same frames with other margins."""
        return replace(self, margins=margins)


@dataclass(frozen=True, eq=False)
class Scaling:
    """Brings features to a common spread and frames to a length of about 1; a last column of 1 is for the offset."""

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Scaling:
        """Measure the features (n, width) of some frames."""
        features = features.astype(np.float64)
        apart = features.std(0) + _FLOOR * features.std()
        centred = (features - features.mean(0)) / np.where(apart > 0, apart, 1)
        length = np.sqrt((centred**2).sum(1).mean())
        return cls(features.mean(0), np.where(apart > 0, apart, 1) * (length or 1.0))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return (n, width + 1) scaled features."""
        return np.column_stack([(features - self.centre) / self.spread, np.ones(len(features))])

    def undo(self, delta: np.ndarray) -> np.ndarray:
        """Return the correction (width + 1, tags) of scaled features as one of the features themselves."""
        kernel = delta[:-1] / self.spread[:, None]
        return np.vstack([kernel, delta[-1] - self.centre @ kernel])


def correct(examples: Examples, replay: Examples | None, strengths: np.ndarray) -> np.ndarray:
    """Return the correction of the last layer for given strengths of the penalty (one per tag; infinite for none).

    Parameters
    ----------
    examples : Examples
        The labelled frames.
    replay : Examples or None
        Simulated frames that hold the network to what it knew; they weigh as much as the labelled ones in all.
    strengths : numpy.ndarray
        (tags,) float.

    Returns
    -------
    numpy.ndarray
        (width + 1, tags) float64, the last row for the offset. The problem is convex, so it is the only minimum.
    """
    fitted = np.isfinite(strengths)
    delta = np.zeros((examples.features.shape[1] + 1, strengths.size))
    if not fitted.any():
        return delta
    scaling, parts = Scaling.of(examples.features), [examples] if replay is None else [examples, replay]
    features = np.concatenate([scaling(part.features) for part in parts])
    margins, labels = (
        np.concatenate([getattr(part, name) for part in parts])[:, fitted] for name in ("margins", "labels")
    )
    strength = strengths[fitted]
    shares = [len(examples) / len(part) for part in parts]
    weight = np.repeat(shares, [len(part) for part in parts])[:, None] * (labels >= 0)
    hit = labels == 1
    # The minimum is a sum of frames: if they are fewer than the features, fewer numbers are to be found.
    basis = np.linalg.qr(features.T)[0] if len(features) < features.shape[1] else None
    seen = features if basis is None else features @ basis

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        change = flat.reshape(seen.shape[1], -1)
        z = margins + seen @ change
        loss = (weight * (np.logaddexp(0, z) - hit * z)).sum() + (strength * change**2).sum() / 2
        slope = seen.T @ (weight * (expit(z) - hit)) + strength * change
        return float(loss), slope.ravel()

    start = np.zeros(seen.shape[1] * strength.size)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    change = found.x.reshape(seen.shape[1], -1)
    delta[:, fitted] = scaling.undo(change if basis is None else basis @ change)
    return delta


def enough(labels: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Return (tags,) bool: at least `MINIMUM` frames hold the tag and as many do not, each from two sources or more."""
    return np.array(
        [
            all((truth == value).sum() >= MINIMUM and np.unique(sources[truth == value]).size >= 2 for value in (0, 1))
            for truth in labels.T
        ]
    )
