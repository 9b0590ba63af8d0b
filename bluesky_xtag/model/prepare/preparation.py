"""Detector image -> network inputs.

What this package says of a preparation needs no compiler; what prepares frames is imported with the first of them, so
that a session whose frames are prepared in another process has neither Numba nor OpenCV in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import XTagValueError
from .inputs import PLAIN_CHANNELS, POLAR_CHANNELS, PROFILE_CHANNELS, SCALARS, Inputs

if TYPE_CHECKING:
    from .binning import Binned
    from .packed import PackedImage

__all__ = ["Preparation"]

_LARGEST = 4096  # bins a side; more would only fill the memory


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
        from .binning import add_up

        return add_up(image, mask, self.grid)

    def views(self, binned: Binned, beam_centre: tuple[float, float] | None = None) -> Inputs:
        """Make the network's inputs from a binned frame; `beam_centre` is in pixels of the frame, or None."""
        from .views import make_views

        return make_views(
            binned,
            beam_centre,
            side=self.side,
            radii=self.radii,
            azimuths=self.azimuths,
            log_scale=self.log_scale,
        )
