"""`xtag demo`, `map` and `info`: commands that show what tagging is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import XTagValueError
from .options import Model, finish, report_errors

__all__ = ["demo", "doctor", "info", "map_phases"]

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
    epics: Annotated[
        bool,
        typer.Option("--epics", help="Over Channel Access: a simulated IOC, and the classes of ophyd."),
    ] = False,
    epics_async: Annotated[bool, typer.Option("--epics-async", help="The same with ophyd-async.")] = False,
) -> None:
    """Scan a simulated sample, or measured frames, and tag every frame while the scan runs.

    The exit status is 0 only if every frame has its row in the catalogue.
    """
    with report_errors():
        from rich.console import Console

        from .demo import measured_scans, run, sample_scan

        if frames is not None and (epics or epics_async):
            raise XTagValueError("the camera of the IOC looks at the simulated sample: leave out --frames or --epics")
        control = "ophyd-async" if epics_async else "ophyd" if epics else "simulated"
        scans = [sample_scan(*points)] if frames is None else measured_scans(frames)
        troubles = run(scans, catalog, picture, Console(highlight=False), model, control)
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


def doctor(
    profile: Annotated[
        Path, typer.Argument(help="A profile directory of IPython, such as ~/.ipython/profile_collection.")
    ],
) -> None:
    """Load a profile, look at its detectors, and say what has to change so that their frames are tagged live.

    No device is staged, triggered or set; but startup files do what they do. The exit status is 1 if something has to
    change.
    """
    with report_errors():
        from .doctor import examine

        changes = examine(profile)
    finish(changes)


def info(
    model: Model = None,
    device: Annotated[
        bool, typer.Option(help="Load the network, which takes some seconds, to see on which device it runs.")
    ] = True,
) -> None:
    """Print what is installed, the model with its tags and thresholds, and the device on which it runs."""
    with report_errors():
        from importlib.metadata import version

        from rich.console import Console
        from rich.table import Table

        from ..model import ModelCard, load_model

        loaded = load_model(model) if device else None
        card = ModelCard.load(model) if loaded is None else loaded.card
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_row("bluesky_xtag", version("bluesky_xtag"))
    for package in ("bluesky", "tensorflow", "keras"):
        table.add_row(package, version(package))
    table.add_row("model", f"{card.name} {card.version}, sha256 {card.sha256[:12]}")
    if loaded is not None:
        table.add_row("device", loaded.device)
    measured = card.stored.get("figures", {}).get("held_out", {})
    if measured:
        found, chance = measured["mean_average_precision"], measured["chance"]
        table.add_row("held-out mAP", f"{found:.3f} (chance {chance:.3f}), on geometries that training did not see")
    console.print(table)
    precision = {row["tag"]: row["average_precision"] for row in measured.get("tags", ())}
    tags = Table("tag", "group", "threshold", "AP", "holds when")
    for tag, threshold in zip(card.taxonomy.tags, card.thresholds, strict=True):
        known = precision.get(tag.name)
        tags.add_row(tag.name, tag.group, f"{threshold:.2f}", "" if known is None else f"{known:.3f}", tag.definition)
    console.print(tags)
