"""What the demo scans: a simulated sample, or measured frames from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...view import Labels

if TYPE_CHECKING:
    from ...frames import MeasuredFrames
    from ...simulate import Exposures
    from ...view import SampleMap

__all__ = ["EXPOSURE", "Scan", "measured_scans", "sample_scan"]

EXPOSURE = 0.1
"""Seconds a frame."""

_NOTE = {"purpose": "bluesky_xtag demo"}


@dataclass(frozen=True, eq=False)
class Scan:
    """One run of the demo.

    Parameters
    ----------
    title : str
        What is scanned.
    exposures : Exposures
        What the detector sees.
    plan : callable
        Makes the plan from the detector and the motors x and y.
    labels : callable
        Given the data of a frame's event, returns what is known of the frame.
    sample : SampleMap, optional
        For the picture.
    """

    title: str
    exposures: Exposures
    plan: Callable[[Any, Any, Any], Any]
    labels: Callable[[Mapping[str, Any]], Labels | None]
    sample: SampleMap | None = None


def sample_scan(columns: int, rows: int) -> Scan:
    """Return a grid scan of the simulated sample, with columns x rows points."""
    import bluesky.plans as bp

    from ...simulate import PHASES, SIZE, Sample
    from ...view import SampleMap

    sample = Sample()
    low, high = 0.05 * SIZE, 0.95 * SIZE
    # Worked out before the scan, since a callback must not spend the scan's time on it.
    known = {
        _place(x, y): Labels(sample.phase(x, y), *sample.truth(x, y, EXPOSURE))
        for x in np.linspace(low, high, columns)
        for y in np.linspace(low, high, rows)
    }
    fine = np.linspace(0, SIZE, 301)
    return Scan(
        title=f"a sample, {columns} x {rows} points",
        exposures=sample,
        plan=lambda det, x, y: bp.grid_scan(
            [det], y, low, high, rows, x, low, high, columns, snake_axes=True, md=_NOTE
        ),
        labels=lambda data: known.get(_place(data["x"], data["y"])),
        sample=SampleMap(
            regions=sample.fractions(*np.meshgrid(fine, fine)).argmax(axis=0),
            names=PHASES,
            size=(SIZE, SIZE),
        ),
    )


def measured_scans(path: Path) -> list[Scan]:
    """Return the scans of the measured frames of a file: one for each shape, as for so many detectors.

    The frames lie as in a sample changer along x. XTagValueError names what is wrong with the file.
    """
    from ...frames import read_frames

    return [_measured_scan(group) for group in read_frames(path)]


def _measured_scan(group: MeasuredFrames) -> Scan:
    import bluesky.plans as bp

    def labels(data: Mapping[str, Any]) -> Labels:
        frame = group.at(data["x"])
        return Labels(frame.name.rpartition("__")[2], frame.present, frame.absent)

    count = len(group.frames)
    size = " x ".join(map(str, group.shape))
    return Scan(
        title=f"measured frames of {size} pixels, {group.dtype}: {count}",
        exposures=group,
        plan=lambda det, x, y: bp.scan([det], x, 0, count - 1, count, md=_NOTE),
        labels=labels,
    )


def _place(x: float, y: float) -> tuple[float, float]:
    return round(float(x), 3), round(float(y), 3)
