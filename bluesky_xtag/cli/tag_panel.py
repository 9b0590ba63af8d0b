"""`xtag demo`, `map` and `info`: commands that show what tagging is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Model, finish, report_errors

__all__ = ["demo", "info", "map_phases"]

Directory = Annotated[
    Path, typer.Option("--catalog", help="Directory of the embedded Tiled catalogue; made if it does not exist.")
]
Drawn = Annotated[Path, typer.Option(help="File for a picture of the scan, its tags and some frames.")]


def demo(
    catalog: Directory = Path("xtag-demo"),
    frames: Annotated[
        Path | None,
        typer.Option(help="HDF5 file of measured frames, one data set for each frame. Default: a simulated sample."),
    ] = None,
    points: Annotated[tuple[int, int], typer.Option(help="Columns and rows of the scan of the sample.", min=1)] = (
        7,
        7,
    ),
    picture: Drawn = Path("tags.png"),
    model: Model = None,
) -> None:
    """Scan a simulated sample, or measured frames, and tag every frame while the scan runs.

    The exit status is 0 only if every frame has its row in the catalogue.
    """
    with report_errors():
        from rich.console import Console

        from .demo import measured_scans, run, sample_scan

        scans = [sample_scan(*points)] if frames is None else measured_scans(frames)
        troubles = run(scans, catalog, picture, Console(highlight=False), model)
    finish(troubles)


def map_phases(
    catalog: Directory = Path("xtag-demo"),
    tag: Annotated[str, typer.Option(help="The tag whose region is mapped.")] = "ring",
    max_points: Annotated[int, typer.Option(min=1, help="The largest number of places to look at.")] = 140,
    picture: Drawn = Path("tags.png"),
    model: Model = None,
) -> None:
    """Map where a tag begins and ends on a simulated sample. The tags so far decide each next place."""
    with report_errors():
        from rich.console import Console

        from .demo.map_demo import run_adaptive

        troubles = run_adaptive(catalog, picture, Console(highlight=False), model, tag=tag, frames=max_points)
    finish(troubles)


def info(model: Model = None) -> None:
    """Print what is installed, the model with its tags and thresholds, and the device on which it runs."""
    with report_errors():
        from importlib.metadata import version

        from rich.console import Console
        from rich.table import Table

        from ..model import load_model

        loaded = load_model(model)
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_row("bluesky_xtag", version("bluesky_xtag"))
    for package in ("bluesky", "tensorflow", "keras"):
        table.add_row(package, version(package))
    table.add_row("model", f"{loaded.name} {loaded.version}, sha256 {loaded.sha256[:12]}")
    table.add_row("device", loaded.device)
    measured = loaded.card.stored.get("figures", {}).get("held_out", {})
    if measured:
        found, chance = measured["mean_average_precision"], measured["chance"]
        table.add_row("held-out mAP", f"{found:.3f} (chance {chance:.3f}), on geometries that training did not see")
    console.print(table)
    precision = {row["tag"]: row["average_precision"] for row in measured.get("tags", ())}
    tags = Table("tag", "group", "threshold", "AP", "holds when")
    for tag, threshold in zip(loaded.taxonomy.tags, loaded.thresholds, strict=True):
        known = precision.get(tag.name)
        tags.add_row(tag.name, tag.group, f"{threshold:.2f}", "" if known is None else f"{known:.3f}", tag.definition)
    console.print(tags)
