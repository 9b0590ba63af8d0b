"""`xtag demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Model, explained, finish

__all__ = ["demo"]


def demo(
    catalog: Annotated[
        Path, typer.Option(help="Directory of the embedded Tiled catalogue; made, or opened again.")
    ] = Path("xtag-demo"),
    frames: Annotated[
        Path | None,
        typer.Option(help="HDF5 file of measured frames, a data set a frame; a simulated sample if not given."),
    ] = None,
    points: Annotated[tuple[int, int], typer.Option(help="Columns and rows of the scan of the sample.", min=1)] = (
        7,
        7,
    ),
    picture: Annotated[Path, typer.Option(help="Where to draw the scan, its tags and some frames.")] = Path("tags.png"),
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="Map where a tag begins and ends, each place chosen by the tags so far.")
    ] = False,
    tag: Annotated[str, typer.Option(help="Of --adaptive: the tag.")] = "ring",
    max_points: Annotated[int, typer.Option(min=1, help="Of --adaptive: how many places at most.")] = 140,
    model: Model = None,
) -> None:
    """Scan a simulated sample, or measured frames, and tag every frame while the scan runs.

    Ends with status 0 only if every frame has its row in the catalogue.
    """
    with explained():
        from rich.console import Console

        from ..errors import XTagValueError
        from .demo import measured_scans, run, sample_scan

        if adaptive:
            if frames is not None:
                raise XTagValueError("--adaptive maps the simulated sample: leave --frames out")
            from .demo.map_demo import run_adaptive

            console = Console(highlight=False)
            finish(run_adaptive(catalog, picture, console, model, tag=tag, frames=max_points))
            return
        scans = [sample_scan(*points)] if frames is None else measured_scans(frames)
        troubles = run(scans, catalog, picture, Console(highlight=False), model)
    finish(troubles)
