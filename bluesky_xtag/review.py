"""Proposes the stored frames that are most worth a look by a person."""

from __future__ import annotations

import numpy as np

__all__ = ["doubts", "farthest_first"]


def doubts(scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """Return the probability that the model is wrong about each tag of each frame, if its scores are calibrated.

    The sum over the tags of a frame is the expected number of tags that are wrong.

    Parameters
    ----------
    scores : numpy.ndarray
        (frames, tags) probabilities; NaN for tags that the frame's model does not know.
    accepted : numpy.ndarray
        (frames, tags) bool.

    Returns
    -------
    numpy.ndarray
        (frames, tags), 0 to 1; 0 where there is no score.
    """
    return np.nan_to_num(np.where(accepted, 1 - scores, scores), nan=0.0)


def farthest_first(vectors: np.ndarray, known: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors that are farthest from all known ones and from those chosen before them.

    This is the greedy choice of k centres: Gonzalez, *Clustering to minimize the maximum intercluster distance*,
    Theoretical Computer Science 38 (1985); for what to label next, Sener and Savarese, ICLR 2018.

    Parameters
    ----------
    vectors : numpy.ndarray
        (n, size) float.
    known : numpy.ndarray
        (m, size) float; if there is none, the mean of `vectors` takes its place.
    count : int
        How many, at most n.

    Returns
    -------
    tuple of numpy.ndarray
        (count,) rows of `vectors`, the farthest first, and (count,) their distances as they were chosen.
    """
    from scipy.spatial.distance import cdist

    start = known if len(known) else vectors.mean(axis=0, keepdims=True)
    nearest = cdist(vectors, start).min(axis=1)
    chosen, distances = [], []
    for _ in range(min(count, len(vectors))):
        row = int(nearest.argmax())
        chosen.append(row)
        distances.append(float(nearest[row]))
        nearest = np.minimum(nearest, cdist(vectors, vectors[[row]])[:, 0])
        nearest[row] = -1.0  # not again, even where all others are the same
    return np.array(chosen, int), np.array(distances)
