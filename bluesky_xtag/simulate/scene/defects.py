"""What a detector adds to the photons, and what it loses of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import XTagValueError
from .exposure_limits import HIGHEST_LIMIT, check_shares
from .readout import Readout

__all__ = ["Defects"]


@dataclass(frozen=True)
class Defects:
    """What the detector adds.

    Parameters
    ----------
    psf : float
        Sigma of the point spread, pixels.
    flat_field : float
        Relative spread of the pixels' sensitivity.
    hot, zingers : float
        Fraction of pixels with a count far too high.
    tracks : float
        Tracks of charged cosmic particles per pixel: a few counts in each pixel of a short line.
    dead : float
        Fraction of pixels that count nothing.
    salt, salt_count : float
        Half of this fraction of the pixels holds that count, the other half none.
    dead_time : float
        A pixel counts n / (1 + dead_time n) of n photons.
    read_noise, offset : float
        Per pixel, counts.
    gain : float
        Counts per photon.
    limit : float
        Highest count of a pixel, at most `HIGHEST_LIMIT`.
    gap_value : int
        What is written in gaps; 0 leaves them unmarked.
    mask_shift : tuple of int
        (rows, columns), pixels by which the mask that is told lies beside the gaps.
    readout : Readout, optional
        Pattern of an integrating detector's read-out.
    blank : bool
        Where a round detector gets no light, 0 is written.

    Raises
    ------
    XTagValueError
        A share of the pixels is not from 0 to 1, or another number is not one that a detector has.
    """

    psf: float = 0.0
    flat_field: float = 0.0
    hot: float = 0.0
    zingers: float = 0.0
    tracks: float = 0.0
    dead: float = 0.0
    salt: float = 0.0
    salt_count: float = 0.0
    dead_time: float = 0.0
    read_noise: float = 0.0
    offset: float = 0.0
    gain: float = 1.0
    limit: float = 2**20 - 1
    gap_value: int = -1
    mask_shift: tuple[int, int] = (0, 0)
    readout: Readout | None = None
    blank: bool = False

    def __post_init__(self) -> None:
        check_shares(hot=self.hot, zingers=self.zingers, tracks=self.tracks, dead=self.dead, salt=self.salt)
        for name in ("psf", "flat_field", "salt_count", "dead_time", "read_noise", "offset", "gain"):
            if not 0 <= getattr(self, name) < math.inf:
                raise XTagValueError(f"`{name}` is {getattr(self, name)}: choose a finite number of 0 or more")
        if not 0 <= self.limit <= HIGHEST_LIMIT:
            raise XTagValueError(f"`limit` is {self.limit}: choose a count from 0 to {HIGHEST_LIMIT:.0f}")
