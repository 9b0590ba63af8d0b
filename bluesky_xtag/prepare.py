"""Detector image -> network inputs: the one implementation, for training and for serving.

Nothing is healed or interpolated. Photons are masked and added up (`Preparation.bin`), and three views are
made of the sums: the detector image as it is, the polar image about the beam centre, and the radial profile
with the azimuthal harmonics of each radius (`Preparation.views`). Logarithms are fixed, so that one hot pixel
cannot flatten a frame; beside them stand residuals in units of the counting noise, because what is visible is
decided by photons and not by shades of grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from scipy import fft

from .errors import FrameError, XTagValueError

__all__ = ["Binned", "Inputs", "Preparation", "estimate_centre"]

PLAIN_CHANNELS = ("log_mean", "valid", "residual")
POLAR_CHANNELS = ("log_mean", "valid", "excess_variance", "residual", "azimuthal_residual")
# Folds of the azimuthal harmonics: of texture and symmetric lattices, and 1, which a wrong centre or a slope makes.
FOLDS = (1, 2, 4, 6)
PROFILE_CHANNELS = (
    "log_mean",
    "coverage",
    "residual",
    "broad_residual",
    "scatter",
    "peak",
    *(f"harmonic_{fold}" for fold in FOLDS),
    *(f"smooth_harmonic_{fold}" for fold in FOLDS),
    *(f"contrast_{fold}" for fold in FOLDS),
)
SCALARS = (
    "log_total",
    "log_mean",
    "masked_fraction",
    "log_at_limit",
    "log_maximum",
    "centre_known",
    "centre_x",
    "centre_y",
    "nearest_radius",
    "symmetry",
    "log_binning",
    "log_aspect",
)

# Rows of blocks that are binned together: few enough to stay in the processor's cache.
_STRIP = 16
# A pixel of more than SPIKE_COUNTS above SPIKE_RATIO times its brightest neighbour is hot or was hit by a cosmic ray:
# no optics focus photons so sharply (a Gaussian spot with a sigma of 0.35 pixels has a ratio of 11).
SPIKE_RATIO, SPIKE_COUNTS = 15.0, 50.0
_NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
# Below the limit of an eight-bit counter, many equal highest counts mean nothing.
_LOWEST_LIMIT = 254


@dataclass(frozen=True, eq=False)
class Binned:
    """A frame on the working grid; no photon of a valid pixel is lost.

    Parameters
    ----------
    counts : numpy.ndarray
        (rows, columns) float32, sums of counts over the valid pixels of each block.
    valid : numpy.ndarray
        (rows, columns) float32, fraction of each block's pixels that are valid, 0..1.
    factor : int
        Pixels of the frame along one side of a block.
    maximum : float
        Highest count of a valid pixel.
    at_limit : int
        Valid pixels that hold the highest count, if it is high enough to be a counter's limit.
    """

    counts: np.ndarray
    valid: np.ndarray
    factor: int
    maximum: float
    at_limit: int


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the network sees of one frame; all float32.

    Parameters
    ----------
    plain : numpy.ndarray
        (side, side, len(PLAIN_CHANNELS)), the detector image, aspect kept, centred.
    polar : numpy.ndarray
        (radii, azimuths, len(POLAR_CHANNELS)), the image about the beam centre.
    profile : numpy.ndarray
        (2 radii, len(PROFILE_CHANNELS)), what each radius holds: mean, noise-weighted residuals, harmonics.
    scalars : numpy.ndarray
        (len(SCALARS),).
    """

    plain: np.ndarray
    polar: np.ndarray
    profile: np.ndarray
    scalars: np.ndarray


@dataclass(frozen=True)
class Preparation:
    """Settings of the preparation; calling it prepares one frame.

    Parameters
    ----------
    grid : int
        Longest side of the working grid, bins.
    side : int
        Side of the plain view.
    radii, azimuths : int
        Size of the polar view; the profile has twice the radii.
    log_scale : float
        Photons per bin n enter as log(1 + log_scale n).
    """

    grid: int = 256
    side: int = 64
    radii: int = 96
    azimuths: int = 72
    log_scale: float = 16.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            whole = name == "log_scale" or isinstance(value, int)
            if not (isinstance(value, int | float) and whole and 0 < value < 1e6):
                raise XTagValueError(f"the preparation's {name} is {value!r}: give a positive number of its kind")

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Preparation:
        """Return the preparation of these settings; XTagValueError if they are not exactly its fields."""
        known = set(cls.__dataclass_fields__)
        if not isinstance(settings, Mapping) or set(settings) != known:
            raise XTagValueError(
                f"preparation settings must be {sorted(known)}, but got {sorted(settings)}: "
                "use a model made by this version of bluesky_xtag"
            )
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input by name, as the network must take them."""
        return {
            "plain": (self.side, self.side, len(PLAIN_CHANNELS)),
            "polar": (self.radii, self.azimuths, len(POLAR_CHANNELS)),
            "profile": (2 * self.radii, len(PROFILE_CHANNELS)),
            "scalars": (len(SCALARS),),
        }

    def __call__(
        self,
        image: np.ndarray,
        beam_centre: tuple[float, float] | None = None,
        mask: np.ndarray | None = None,
    ) -> Inputs:
        """Prepare one frame.

        Parameters
        ----------
        image : numpy.ndarray
            (rows, columns), raw counts of any integer or float type. Negative values, NaN, infinities and the
            maximum of an integer type mark pixels that are not valid.
        beam_centre : tuple of float, optional
            (x, y) = (column, row), pixels; estimated from the image if not given.
        mask : numpy.ndarray, optional
            (rows, columns), true where pixels must not be used.

        Returns
        -------
        Inputs

        Raises
        ------
        FrameError
            The image is not two-dimensional, not numbers, does not fit the mask, or has no valid pixel.
        """
        return self.views(self.bin(image, mask), beam_centre)

    def bin(self, image: np.ndarray, mask: np.ndarray | None = None) -> Binned:
        """Add up blocks of pixels; parameters and errors as in `__call__`."""
        image = np.asarray(image)
        if image.ndim != 2 or 0 in image.shape:
            raise FrameError(f"a frame has (rows, columns), but this one has shape {image.shape}")
        if mask is not None:
            if np.shape(mask) != image.shape:
                raise FrameError(
                    f"the mask has shape {np.shape(mask)}, but the frame {image.shape}: give a mask of this detector"
                )
            mask = np.asarray(mask, bool)
        rows, columns = image.shape
        factor = max(1, -(-max(image.shape) // self.grid))
        counts, fraction = np.empty((2, -(-rows // factor), -(-columns // factor)), np.float32)
        maximum, at_limit = 0.0, 0
        for top in range(0, len(counts), _STRIP):
            strip, weights = _masked(image, mask, top * factor, _STRIP * factor, factor)
            shape = (len(strip) // factor, counts.shape[1])
            counts[top : top + _STRIP] = _block_mean(strip, shape) * factor**2
            fraction[top : top + _STRIP] = _block_mean(weights, shape)
            highest = float(strip.max())
            if highest >= max(maximum, _LOWEST_LIMIT):
                at_limit = (at_limit if highest == maximum else 0) + int(np.count_nonzero(strip == highest))
            maximum = max(maximum, highest)
        if not fraction.any():
            raise FrameError("no valid pixel: every value is masked, negative, NaN or the type's maximum")
        return Binned(counts, fraction, factor, maximum, at_limit)

    def views(self, binned: Binned, beam_centre: tuple[float, float] | None = None) -> Inputs:
        """Make the network's inputs of a binned frame; `beam_centre` in pixels of the frame, or None."""
        symmetry = 0.0
        if beam_centre is None or not np.all(np.isfinite(beam_centre)):
            known, (x, y, symmetry) = 0.0, estimate_centre(binned, self.log_scale)
        else:
            known, (x, y) = 1.0, ((float(c) + 0.5) / binned.factor - 0.5 for c in beam_centre)
        rows, columns = binned.counts.shape
        polar, profile, nearest = self._polar(binned, (x, y))
        total, area = float(binned.counts.sum()), float(binned.valid.sum())
        scalars = (
            np.log1p(total) / 20,
            self._log(total / area),
            1 - area / binned.valid.size,
            np.log10(1 + binned.at_limit) / 4,
            np.log1p(binned.maximum) / 15,
            known,
            np.clip((x + 0.5) / columns, -1, 2),
            np.clip((y + 0.5) / rows, -1, 2),
            nearest,
            symmetry,
            np.log2(binned.factor) / 4,
            np.log(columns / rows),
        )
        return Inputs(self._plain(binned), polar, profile, np.array(scalars, np.float32))

    def _log(self, photons: Any) -> Any:
        return np.log1p(self.log_scale * photons) / 10

    def _plain(self, binned: Binned) -> np.ndarray:
        rows, columns = binned.counts.shape
        step = max(1, -(-max(rows, columns) // self.side))
        shape = (-(-rows // step), -(-columns // step))
        counts, valid = (_block_mean(_padded(layer, step), shape) * step**2 for layer in (binned.counts, binned.valid))
        mean = _ratio(counts, valid)
        expected = _ratio(cv2.blur(counts, (9, 9)), cv2.blur(valid, (9, 9))) * valid
        view = np.zeros(self.shapes["plain"], np.float32)
        top, left = (self.side - shape[0]) // 2, (self.side - shape[1]) // 2
        view[top : top + shape[0], left : left + shape[1]] = np.stack(
            [self._log(mean), valid / step**2, _residual(counts, expected)], axis=-1
        )
        return view

    def _polar(self, binned: Binned, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the polar view, the profile, and nearest / farthest radius."""
        half_bins = (round(2 * centre[0]), round(2 * centre[1]))
        cells, pixels, nearest = _polar_cells(binned.counts.shape, half_bins, 2 * self.radii, self.azimuths)
        size, shape = 2 * self.radii * self.azimuths, (2 * self.radii, self.azimuths)

        def add(layer: np.ndarray) -> np.ndarray:
            return np.bincount(cells, layer.ravel(), size).astype(np.float32).reshape(shape)

        fine_counts, fine_valid = add(binned.counts), add(binned.valid)
        squares = _pairs(add(_ratio(binned.counts**2, binned.valid)))
        counts, valid, pixels = _pairs(fine_counts), _pairs(fine_valid), _pairs(pixels)
        mean = _ratio(counts, valid)
        variance = np.maximum(_ratio(squares, valid) - mean**2, 0)
        ring = _ratio(counts.sum(1), valid.sum(1))[:, None]
        around = _ratio(_blur_polar(counts), _blur_polar(valid))
        view = np.stack(
            [
                self._log(mean),
                valid / np.maximum(pixels, 1),
                np.log1p(variance / (mean + 0.1)) / 5,
                _residual(counts, around * valid),
                _residual(counts, ring * valid),
            ],
            axis=-1,
        )
        return view.astype(np.float32), self._profile(fine_counts, fine_valid), nearest

    def _profile(self, counts: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return what each radius of the (2 radii, azimuths) sums holds: the channels of `PROFILE_CHANNELS`."""
        total, area = counts.sum(1), valid.sum(1)
        mean, seen = _ratio(total, area), valid > 1e-3
        sectors = np.maximum(seen.sum(1), 1).astype(np.float32)
        expected = mean[:, None] * valid
        sigmas = np.where(seen, (counts - expected) / np.sqrt(expected + 1), 0).astype(np.float32)
        wave, smoothing = _waves(self.azimuths), np.ones(9, np.float32)
        harmonics = (sigmas @ wave).T  # (folds, radii) complex, each of unit variance per sector by chance
        smooth = np.stack([np.convolve(row, smoothing, "same") for row in harmonics])
        noise = np.sqrt(sectors)
        smooth_noise = np.sqrt(np.convolve(sectors, smoothing, "same"))
        excess = np.where(seen, _ratio(counts, valid) - mean[:, None], 0)
        contrast = 2 * np.abs((excess @ wave).T) / (sectors * (mean + 1e-3))
        channels = [
            self._log(mean),
            sectors / self.azimuths * (area > 0),
            _residual(total, area * _ratio(_blur_line(total, 15), _blur_line(area, 15))),
            _residual(total, area * _ratio(_blur_line(total, 61), _blur_line(area, 61))),
            np.log1p((sigmas**2).sum(1) / sectors) / 5,
            np.arcsinh(sigmas.max(1)) / 4,
            *np.arcsinh(np.abs(harmonics) / noise) / 4,
            *np.arcsinh(np.abs(smooth) / smooth_noise) / 4,
            *np.clip(contrast, 0, 2),
        ]
        return np.stack(channels, axis=-1).astype(np.float32)


def estimate_centre(binned: Binned, log_scale: float = 16.0) -> tuple[float, float, float]:
    """Estimate the beam centre as the centre of symmetry (Friedel's law: I(q) = I(-q)).

    The local contrast of the logarithm is convolved with itself: the peak lies at twice the centre. Each
    lag is normalised by the energy of the overlapping valid bins, and lags with little overlap count
    less. The contrast is local and bounded, so that edges of the lit area and single bright spots do not
    decide.

    Parameters
    ----------
    binned : Binned
        The frame.
    log_scale : float
        As in `Preparation`.

    Returns
    -------
    x, y : float
        Centre in bins of the working grid, always inside the frame.
    symmetry : float
        Correlation of the frame with itself turned by 180 degrees about that centre, -1..1.
    """
    rows, columns = binned.counts.shape
    step = max(1, -(-max(rows, columns) // 128))
    shape = (-(-rows // step), -(-columns // step))
    counts = _block_mean(_padded(binned.counts, step), shape)
    weights = _block_mean(_padded(binned.valid, step), shape)
    valid = (weights > 0.25).astype(np.float32)
    log = np.log1p(log_scale * _ratio(counts, weights)) * valid
    log = (log - _ratio(cv2.blur(log, (15, 15)), cv2.blur(valid, (15, 15)))) * valid
    bound = 2 * np.sqrt((log**2).sum() / max(valid.sum(), 1))
    log = np.clip(log, -bound, bound)
    size = [fft.next_fast_len(2 * side, real=True) for side in shape]
    image, energy, where = (np.asarray(fft.rfft2(layer, size)) for layer in (log, log**2, valid))
    product, power, overlap = (
        np.asarray(fft.irfft2(pair, size)) for pair in (image * image, energy * where, where * where)
    )
    share = np.clip(overlap / max(valid.sum(), 1), 0, 1)
    correlation = np.where((share > 0.1) & (power > 1e-3), product / np.maximum(power, 1e-3), -1)
    merit = correlation * share**0.25
    peak = np.unravel_index(np.argmax(merit), merit.shape)
    if merit[peak] <= 0:
        return (columns - 1) / 2, (rows - 1) / 2, 0.0
    y, x = ((lag / 2 + 0.5) * step - 0.5 for lag in peak)
    return float(x), float(y), float(np.clip(correlation[peak], -1, 1))


def _masked(
    image: np.ndarray, mask: np.ndarray | None, top: int, height: int, factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and validity (1 or 0) of a strip of rows, float32, filled up with nothing to whole blocks."""
    above = min(top, 1)  # one row more on both sides, so that every pixel has its neighbours
    pixels = slice(top - above, top + height + 1)
    image, mask = image[pixels], None if mask is None else mask[pixels]
    rows, columns = image.shape
    lines = -(-max(rows - above, 1) // factor) * factor + above
    padded = (max(lines, rows), -(-columns // factor) * factor)
    counts, weights = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    valid = _valid_pixels(image)
    if mask is not None:
        valid &= ~mask
    weights[:rows, :columns] = valid
    if image.dtype.kind == "f":  # NaN times zero would be NaN
        np.copyto(counts[:rows, :columns], image, casting="unsafe", where=valid)
    else:
        np.multiply(image, weights[:rows, :columns], out=counts[:rows, :columns], dtype=np.float32, casting="unsafe")
    _leave_spikes(counts, weights)
    strip = slice(above, above + min(height, -(-(rows - above) // factor) * factor))
    return counts[strip], weights[strip]


def _leave_spikes(counts: np.ndarray, weights: np.ndarray) -> None:
    """Make single pixels that stand far above all their neighbours invalid, in place."""
    if counts.max() <= SPIKE_COUNTS:
        return
    around = cv2.dilate(counts, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    spikes = counts > SPIKE_RATIO * around + SPIKE_COUNTS
    if spikes.any():
        counts[spikes] = weights[spikes] = 0


def _valid_pixels(image: np.ndarray) -> np.ndarray:
    if image.dtype.kind == "f":
        return (image >= 0) & (image < np.inf)
    if image.dtype.kind == "u":
        return image < np.iinfo(image.dtype).max
    if image.dtype.kind == "i":  # read as unsigned, negative numbers lie above the maximum: one comparison will do
        return image.view(image.dtype.str.replace("i", "u")) < np.iinfo(image.dtype).max
    raise FrameError(f"a frame holds counts, but this one has dtype {image.dtype}: give integers or floats")


def _block_mean(layer: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return means over equal blocks; the shape of `layer` is a multiple of `shape`."""
    if layer.shape == shape:
        return layer
    return cv2.resize(layer, shape[::-1], interpolation=cv2.INTER_AREA)


def _padded(layer: np.ndarray, step: int) -> np.ndarray:
    rows, columns = layer.shape
    return np.pad(layer, ((0, -rows % step), (0, -columns % step)))


def _ratio(counts: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return counts per fully valid bin, 0 where nothing is valid."""
    return np.where(valid > 1e-3, counts / np.maximum(valid, 1e-3), 0).astype(np.float32)


def _residual(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the deviation in units of the counting noise, asinh so that strong ones stay in range."""
    return np.arcsinh((counts - expected) / np.sqrt(np.maximum(expected, 0) + 1)) / 4


def _pairs(layer: np.ndarray) -> np.ndarray:
    """Add neighbouring radii."""
    return layer[::2] + layer[1::2]


def _blur_line(line: np.ndarray, width: int) -> np.ndarray:
    """Return running means."""
    return cv2.blur(line[None].astype(np.float32), (width, 1), borderType=cv2.BORDER_REPLICATE)[0]


@lru_cache(maxsize=4)
def _waves(azimuths: int) -> np.ndarray:
    """Return exp(i n chi) at the middle of each sector, (azimuths, folds) complex64."""
    chi = (np.arange(azimuths) + 0.5) * (2 * np.pi / azimuths)
    waves = np.exp(1j * chi[:, None] * np.array(FOLDS)).astype(np.complex64)
    waves.setflags(write=False)
    return waves


def _blur_polar(layer: np.ndarray) -> np.ndarray:
    """Return means over 13 radii and 9 azimuths, round the circle."""
    wrapped = cv2.copyMakeBorder(layer, 0, 0, 4, 4, cv2.BORDER_WRAP)
    return cv2.blur(wrapped, (9, 13), borderType=cv2.BORDER_REPLICATE)[:, 4:-4]


@lru_cache(maxsize=16)
def _polar_cells(
    shape: tuple[int, int], half_bins: tuple[int, int], radii: int, azimuths: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the polar cell of each bin, the bins in each cell, and nearest / farthest radius.

    Radii run from the nearest to the farthest bin of the frame, so that a centre far outside wastes none.
    """
    rows, columns = shape
    x, y = half_bins[0] / 2, half_bins[1] / 2
    across = np.arange(columns, dtype=np.float32) - np.float32(x)
    down = np.arange(rows, dtype=np.float32)[:, None] - np.float32(y)
    radius, azimuth = np.hypot(across, down), np.arctan2(down, across)
    farthest = float(radius.max()) + 0.5
    nearest = max(0.0, float(radius.min()) - 0.5) if not (0 <= x < columns and 0 <= y < rows) else 0.0
    ring = ((radius - nearest) * (radii / (farthest - nearest))).astype(np.int32).clip(0, radii - 1)
    sector = np.floor((azimuth / (2 * np.pi) + 0.5) * azimuths).astype(np.int32) % azimuths
    cells = (ring * azimuths + sector).ravel()
    cells.setflags(write=False)
    pixels = np.bincount(cells, minlength=radii * azimuths).astype(np.float32).reshape(radii, azimuths)
    return cells, pixels, nearest / farthest
