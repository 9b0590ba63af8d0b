"""What the network sees of a frame, and the names of the channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FOLDS", "PLAIN_CHANNELS", "POLAR_CHANNELS", "PROFILE_CHANNELS", "SCALARS", "Inputs"]

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
