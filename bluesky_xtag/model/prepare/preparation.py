"""Detector image -> network inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from ...errors import XTagValueError
from .binning import Binned, add_up
from .centre import estimate_centre
from .compiled import compiled
from .grid import QUICK, coarse, log1p, ratio, residual
from .packed import PackedImage
from .polar import POLAR_CHANNELS, PROFILE_CHANNELS, polar_views

__all__ = ["PLAIN_CHANNELS", "SCALARS", "Inputs", "Preparation"]

PLAIN_CHANNELS = ("log_mean", "valid", "residual")
_FARTHEST = 1e6  # pixels; a beam centre beyond is none
_LARGEST = 4096  # bins a side; more would only fill the memory
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
    """Settings of the preparation. Calling the object prepares one frame.

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
            most = 1e6 if name == "log_scale" else _LARGEST
            if not (isinstance(value, int | float) and whole and 0 < value <= most):
                raise XTagValueError(
                    f"the preparation's {name} is {value!r}: give a positive number of its kind, at most {most:g}"
                )

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
        image: np.ndarray | PackedImage,
        beam_centre: tuple[float, float] | None = None,
        mask: np.ndarray | None = None,
    ) -> Inputs:
        """Prepare one frame.

        Parameters
        ----------
        image : numpy.ndarray or PackedImage
            (rows, columns), raw counts of any integer or float type. Negative values, NaN, the maximum of an integer
            type and values of 1e12 or more mark pixels that are not valid (all as float32).
        beam_centre : tuple of float, optional
            (x, y) = (column, row), pixels. If not given, estimated from the image.
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

    def bin(self, image: np.ndarray | PackedImage, mask: np.ndarray | None = None) -> Binned:
        """Add up blocks of pixels; parameters and errors as in `__call__`."""
        return add_up(image, mask, self.grid)

    def views(self, binned: Binned, beam_centre: tuple[float, float] | None = None) -> Inputs:
        """Make the network's inputs from a binned frame; `beam_centre` is in pixels of the frame, or None."""
        symmetry = 0.0
        if beam_centre is None or not np.all(np.abs(beam_centre) < _FARTHEST):  # nor if it is NaN
            known, (x, y, symmetry) = 0.0, estimate_centre(binned, self.log_scale)
        else:
            known, (x, y) = 1.0, ((float(c) + 0.5) / binned.factor - 0.5 for c in beam_centre)
        rows, columns = binned.counts.shape
        polar, profile, nearest = polar_views(binned, (x, y), (self.radii, self.azimuths), self.log_scale)
        total, area = float(binned.counts.sum()), float(binned.valid.sum())
        scalars = (
            np.log1p(total) / 20,
            np.log1p(self.log_scale * total / area) / 10,
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

    def _plain(self, binned: Binned) -> np.ndarray:
        (counts, step), (valid, _) = (coarse(layer, self.side) for layer in (binned.counts, binned.valid))
        around = [cv2.blur(layer, (9, 9)) for layer in (counts, valid)]
        return _plain(counts, valid, *around, np.float32(step**2), self.side, np.float32(self.log_scale))


@compiled(*QUICK)
def _plain(
    counts: np.ndarray,
    valid: np.ndarray,
    around_counts: np.ndarray,
    around_valid: np.ndarray,
    bins: np.float32,
    side: int,
    log_scale: np.float32,
) -> np.ndarray:
    """Return the plain view, (side, side, channels of `PLAIN_CHANNELS`), of means over so many bins."""
    rows, columns = counts.shape
    view = np.zeros((side, side, len(PLAIN_CHANNELS)), np.float32)
    top, left = (side - rows) // 2, (side - columns) // 2
    for row in range(rows):
        for column in range(columns):
            photons, area, cell = bins * counts[row, column], bins * valid[row, column], view[top + row, left + column]
            around = ratio(bins * around_counts[row, column], bins * around_valid[row, column])
            cell[0] = log1p(log_scale * ratio(photons, area)) / np.float32(10)  # in the order of PLAIN_CHANNELS
            cell[1] = valid[row, column]
            cell[2] = residual(photons, around * area)
    return view
