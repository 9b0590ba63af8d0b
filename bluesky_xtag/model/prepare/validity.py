"""What the pixels of a frame hold: counts, noise about zero, saturation, or values that say "no pixel here".

The type of the array does not tell: frames are kept in wider types, averaged, divided and replayed. So each frame is
asked, by its values, how many pixels hold them, and what their neighbours hold. Frames of plain counts are left as they
are, to the last bit, and cost a look at a few rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["GAP_VALUES", "Counts", "as_counts", "describe_counts", "hides_gaps", "sample_step", "split_high"]

# What detectors and their software put where there is no pixel: the maxima of 8, 16, 24, 31 and 32 bits.
GAP_VALUES = tuple(np.float32(value) for value in (2**8 - 1, 2**16 - 1, 2**24 - 1, 2**31 - 1, 2**32 - 1))
FEW = 20  # pixels; fewer decide nothing
_ROWS = 64  # that are looked at first
_NOISY = {1: 1.0, 2: 0.01, 3: 0.01}  # share of negative pixels from which they are noise, by distinct values
_NOISY_OF_MANY = 1e-3
_CLUMPED = 0.1  # share of neighbours that hold the same value, beyond that of any pixel: in gaps
_PEDESTAL = 4.0  # standard deviations
_FAR = 10.0  # standard deviations below zero: no noise
_SMALLEST_STEP = 0.05  # counts; averages of up to 20 frames stay what they are
_MANY = 2e-3  # share of the pixels from which on a value is looked at that is not the highest
_KINDS = 4  # different values, of which steps are told
_FAINT = 0.02  # variance over mean from which on numbers are no counts; of counts it is 1


@dataclass(frozen=True, eq=False)
class Counts:
    """A frame as counts.

    Parameters
    ----------
    image : numpy.ndarray
        (rows, columns); not valid where negative or NaN.
    scale : float
        What the numbers of the frame were multiplied by.
    pedestal : float
        What was added then, so that noise about zero is not negative.
    """

    image: np.ndarray
    scale: float = 1.0
    pedestal: float = 0.0


def sample_step(rows: int) -> int:
    """Return which rows of a frame are looked at first: the first, and every so many."""
    return -(-rows // _ROWS)


def as_counts(image: np.ndarray) -> Counts:
    """Return a frame as counts: normalised ones are multiplied, noise about zero gets its pedestal back.

    Detectors that add up charge have a pedestal, which software subtracts; the network knows frames with one. Half of
    the pixels of a dark area are negative then. That is told from the values that mark gaps and dead pixels by how many
    there are, how many different ones, and whether neighbours hold the same.

    Frames that were divided by a monitor have steps of one photon, or, where pixels were corrected one by one, less
    noise than photons can have.
    """
    if image.dtype.kind not in "fi":
        return Counts(image)
    rows = image[:: sample_step(len(image))]
    if image.dtype.kind == "i" and (rows < 0).mean() <= _NOISY_OF_MANY:
        return Counts(image)
    sample = rows.astype(np.float64)
    scale = _scale(sample) if image.dtype.kind == "f" else 1.0
    negative = sample < 0
    noise, marks = _negatives(sample, negative) if negative.mean() > _NOISY_OF_MANY else (0.0, ())
    if scale == 1 and not noise:
        return Counts(image)
    counts = image.astype(np.float32)
    if not noise:
        counts *= np.float32(scale)
        return Counts(counts, scale)
    no_pixel = image < -_FAR * noise
    for value in marks:
        no_pixel |= _patches(image == value) if image.dtype.kind == "i" or value == round(value) else image == value
    pedestal = float(np.ceil(_PEDESTAL * noise * scale))
    counts *= np.float32(scale)
    counts += np.float32(pedestal)
    np.maximum(counts, 0, out=counts, where=np.isfinite(counts))
    counts[no_pixel] = np.nan
    return Counts(counts, scale, pedestal)


def _patches(holds: np.ndarray) -> np.ndarray:
    """Return the pixels of those that hold a value which lie next to others: noise holds it here and there, too."""
    around = np.asarray(
        cv2.boxFilter(holds.astype(np.uint8), -1, (3, 3), normalize=False, borderType=cv2.BORDER_REPLICATE)
    )
    inside = (holds & (around >= 5)).astype(np.uint8)
    return holds & (np.asarray(cv2.dilate(inside, np.ones((3, 3), np.uint8))) > 0)


def _negatives(sample: np.ndarray, negative: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the standard deviation of noise about zero, 0 if negative values are none, and values that are marks."""
    values, counts = np.unique(sample[negative], return_counts=True)
    whole = bool((values == np.round(values)).all())
    marks = []
    for value in values[np.argsort(counts)[::-1][:6]]:
        here = sample == value
        beside = (here[:, 1:] & here[:, :-1]).sum() / max(here[:, 1:].sum(), 1)
        # By chance, as often as any pixel holds it; and noise that is no integer never repeats.
        if here.sum() >= FEW and (beside > _CLUMPED + 1.5 * here.mean() or not whole):
            marks.append(value)
    rest = np.setdiff1d(values, marks)
    if not len(rest):
        return 0.0, np.array(marks)
    noisy = np.isin(sample, rest) & negative
    share = noisy.sum() / max((~np.isin(sample, marks)).sum(), 1)
    if noisy.sum() < FEW or share < _NOISY.get(len(rest), _NOISY_OF_MANY):
        return 0.0, np.array(marks)
    deviation = float(np.sqrt(np.mean(sample[noisy] ** 2)))
    # Noise is as often above zero as below, and most often near it; values that say "no pixel" are not.
    above, below = ((sample > 0) & (sample <= deviation + 0.5)).sum(), (noisy & (sample >= -deviation - 0.5)).sum()
    at_zero, before = ((np.round(sample) == value) & ~np.isin(sample, marks) for value in (0, -1))
    if above < below / 2 or at_zero.sum() < 0.7 * before.sum():
        return 0.0, np.array(marks)
    return deviation, np.array(marks)


def _scale(sample: np.ndarray) -> float:
    """Return what brings a frame to counts, 1 for counts."""
    usable = np.isfinite(sample) & (sample > 0) & (sample < 1e12)
    values = sample[usable]
    if len(values) < FEW or (values == np.round(values)).all():
        return 1.0
    low = np.sort(values)[: max(len(values) * 9 // 10, 1)]  # without what is in gaps
    step = float(low[0])
    ratios = low[low < 50 * step] / step  # of more steps the last digits tell nothing
    near = np.abs(ratios - np.round(ratios)) < 0.02
    if near.mean() > 0.99 and len(ratios) > max(0.3 * len(low), FEW) and (ratios[-1] > 1.5 or _is_sparse(sample, step)):
        return 1 / step if step < _SMALLEST_STEP else 1.0
    # No steps: a bright spot less than its neighbour's noise would be, were these photons. Where these are few, pixels
    # without one are a part of the noise; where two such lie side by side, there may be no pixels.
    counted = usable | (sample == 0)
    pairs = counted[:, 1:] & counted[:, :-1] & (usable[:, 1:] | usable[:, :-1])
    ends = np.percentile(low, [0, 99])
    pairs &= (sample[:, 1:] <= ends[1]) & (sample[:, :-1] <= ends[1])
    if pairs.sum() < 10 * FEW:
        return 1.0
    differences = (sample[:, 1:] - sample[:, :-1])[pairs]
    mean = sample[:, 1:][pairs].mean()
    spread = float(np.median(np.abs(differences)) / 0.6745) ** 2 / 2
    if not spread or spread > _FAINT * mean or ends[1] > 1:
        return 1.0
    return float(min(mean / spread, 1e5 / ends[1]))


def _is_sparse(sample: np.ndarray, step: float) -> bool:
    """Tell whether a frame holds nothing or one photon in most pixels, of which a step is one, and whole steps else."""
    above = sample[np.isfinite(sample) & (sample > 1.5 * step) & (sample < 50 * step)] / step
    return bool((sample == 0).mean() > 0.5 and len(above) and (np.abs(above - np.round(above)) < 0.02).mean() > 0.95)


def describe_counts(image: np.ndarray) -> str:
    """Return in words what is assumed of the numbers of a frame, as the rest of a sentence; "" for plain counts.

    Gains of whole steps are told alone, since many detectors have one: the numbers stay as they are.
    """
    image = image[:: sample_step(len(image))]
    found = as_counts(image)
    told = []
    if found.scale != 1:
        told.append(f"were divided or normalised, and are multiplied by {found.scale:.4g}")
    elif (step := _gain(image)) != 1:
        told.append(f"are whole multiples of {step:.4g}, and are taken as they are, as if each were a photon")
    if found.pedestal:
        told.append(f"have noise about zero, as frames without their dark have: {found.pedestal:.0f} is added")
    return "; they ".join(told)


def _gain(sample: np.ndarray) -> float:
    """Return the step of which the numbers of a frame are whole multiples, 1 if there is none but that."""
    if sample.dtype.kind not in "fiu":
        return 1.0
    values, times = np.unique(sample[np.isfinite(sample) & (sample > 0)], return_counts=True)
    values = values[: np.searchsorted(np.cumsum(times), 0.9 * times.sum()) + 1].astype(np.float64)  # without gaps
    if len(values) < _KINDS:
        return 1.0
    step = values[0]
    ratios = values[values < 50 * step] / step
    if len(ratios) < _KINDS or (np.abs(ratios - np.round(ratios)) > 1e-3).any():
        return 1.0
    # The lowest value may be two steps, or three.
    differences = np.diff(np.round(ratios))
    return float(step) if (differences == 1).any() else 1.0


def hides_gaps(image: np.ndarray, maximum: float) -> np.float32 | None:
    """Return a value that may mark gaps in a frame of another type than the detector's, None if there is none.

    That is the highest of a frame, or one that far more pixels hold than hold the values about it.
    """
    sample = image[:: sample_step(len(image))]
    for value in GAP_VALUES[::-1]:
        if value > maximum or (image.dtype.kind in "iu" and value >= np.iinfo(image.dtype).max):
            continue
        if value == np.float32(maximum):
            return value
        holds = (sample == int(value)).sum()
        if holds > _MANY * sample.size:
            about = ((sample > int(value) - 6) & (sample < int(value) + 6)).sum() - holds
            if holds > 2 * about + FEW:  # ten values
                return value
    return None


def split_high(image: np.ndarray, value: np.float32, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Split the pixels that hold a value, or more, in those where there is no pixel and those that are saturated.

    Light spreads: next to saturated pixels there is more of it than further away, or nearly as much as they hold. Next
    to a gap there is what is further away, too. What reaches from edge to edge is a gap.

    Parameters
    ----------
    image : numpy.ndarray
        (rows, columns).
    value : numpy.float32
        The value.
    mask : numpy.ndarray or None
        (rows, columns), true where pixels must not be used.

    Returns
    -------
    gaps, saturated : numpy.ndarray
        (rows, columns) bool.
    """
    plain = image.astype(np.float32)
    of_type = image.dtype.kind in "iu" and value >= np.iinfo(image.dtype).max
    high = plain >= value if of_type else plain == value
    usable = np.isfinite(plain) & (plain >= 0) & ~high
    if mask is not None:
        high &= ~mask
        usable &= ~mask
    count, labels, stats = map(np.asarray, cv2.connectedComponentsWithStats(high.astype(np.uint8), connectivity=8)[:3])
    typical = float(np.median(plain[usable][::97])) if usable.any() else 0.0
    saturated = np.zeros(int(count), bool)
    rows, columns = image.shape
    for label in np.argsort(stats[1:, cv2.CC_STAT_AREA])[::-1][:2000] + 1:
        left, top, width, height, area = stats[label]
        if width > 0.9 * columns or height > 0.9 * rows or area < 2:
            continue
        around = slice(max(top - 6, 0), top + height + 6), slice(max(left - 6, 0), left + width + 6)
        here = (labels[around] == label).astype(np.uint8)
        next_to, within, beyond = (
            np.asarray(cv2.dilate(here, np.ones((size, size), np.uint8))) > 0 for size in (3, 7, 13)
        )
        near = plain[around][usable[around] & next_to]
        far = plain[around][usable[around] & beyond & ~within]
        if near.size < 4:
            continue
        light, further = float(np.median(near)), float(np.median(far)) if far.size else typical
        saturated[label] = light >= 0.5 * value or light > 3 * further + 50 or light > max(100 * typical, 3000)
    return high & ~saturated[labels], saturated[labels] & high
