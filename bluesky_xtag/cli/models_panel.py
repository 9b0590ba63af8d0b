"""`xtag train`, `simulate`, `evaluate` and `info`: models and the frames that they learn from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import XTagValueError
from .options import JsonFile, Model, Workers, explained

__all__ = ["evaluate", "info", "simulate", "train"]


def train(
    out: Annotated[Path, typer.Option(help="Model directory to write.")],
    start: Annotated[
        str, typer.Option("--from", help="Model directory to start from, or `default` for the packaged model.")
    ] = "",
    frames: Annotated[
        Path | None, typer.Option(help="HDF5 file of labelled frames of your own to adapt that model to.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Simulated frames to train on (not with --frames).")] = 100_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over them (not with --frames).")] = 10,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 1,
    workers: Workers = None,
) -> None:
    """Train a model on simulated frames, or adapt one to labelled frames of your own.

    Training on simulated frames goes on where it was, when it is called again after a stop.
    """
    with explained():
        from ..model import DEFAULT

        first = DEFAULT if start == "default" else Path(start) if start else None
        if frames is None:
            from ..train import train

            print(train(out, workers=workers, start=first, samples=samples, epochs=epochs, seed=seed))
            return
        if first is None:
            raise XTagValueError("--frames adapts a model: name it with --from, for instance --from default")
        from rich.console import Console

        from ..model import TagModel, without_build_notes
        from ..train import adapt_model

        with without_build_notes():
            loaded = TagModel.load(first)
        adaptation = adapt_model(loaded, frames, out, seed=seed, workers=workers)
    console = Console(highlight=False)
    console.print(adaptation.table(), *adaptation.notes, str(out), sep="\n")


def simulate(
    out: Annotated[Path | None, typer.Argument(help="HDF5 file to write; must not exist.", show_default=False)] = None,
    frames: Annotated[int, typer.Option("--frames", "-n", min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same frames.")] = 0,
    held_out: Annotated[bool, typer.Option(help="Use detectors and q ranges that training never sees.")] = True,
    nuisances: Annotated[
        str, typer.Option(help="What may spoil the frames: names with commas between, all, or none for clean frames.")
    ] = "all",
    workers: Workers = None,
    leave_out: Annotated[
        list[int] | None, typer.Option(help="Number of a frame that the file does not hold; may be given again.")
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Draw a picture there with examples of each tag and of each nuisance.")
    ] = None,
) -> None:
    """Write simulated raw frames with their truth, such as `xtag evaluate` and `xtag demo --frames` read.

    The same call after a stop goes on where it was.
    """
    with explained():
        if out is None and gallery is None:
            raise XTagValueError("there is nothing to write: name an HDF5 file for frames, or a picture with --gallery")
        if out is not None:
            from ..simulate import nuisance_names, simulate

            try:
                names = nuisance_names(nuisances)
                print(
                    simulate(out, frames, seed, held_out, nuisances=names, workers=workers, leave_out=leave_out or ())
                )
            except KeyboardInterrupt:
                print("xtag: stopped; the same command goes on from there", file=sys.stderr)
                raise typer.Exit(130) from None
        if gallery is not None:
            from rich.console import Console

            from ..simulate import draw_gallery, nuisance_names

            with Console().status(f"Drawing {gallery.name}"):
                draw_gallery(gallery, seed, nuisance_names(nuisances))
            print(gallery)


def evaluate(
    frames: Annotated[
        Path | None, typer.Argument(help="HDF5 file of labelled frames; not needed with --robustness.")
    ] = None,
    model: Model = None,
    centres: Annotated[bool, typer.Option(help="Tell the model the beam centres that the file knows.")] = True,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with curves and the worst frames there.")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Measure how the figures fall as nuisances spoil simulated frames.")
    ] = False,
    frames_per_level: Annotated[int, typer.Option(min=1, help="Of --robustness: scenes for each level.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of --robustness: the same seed gives the same scenes.")] = 0,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the worst frames there, as PNG; with --robustness, the curves.")
    ] = None,
) -> None:
    """Tell how good a model is on labelled frames: average precision of each tag beside chance, F1, calibration.

    With --robustness: how the average precision falls from clean simulated frames as each nuisance grows.
    """
    with explained():
        if robustness == (frames is not None):
            raise XTagValueError("name a file of labelled FRAMES, or give --robustness to use simulated ones")
        for place in (json_file, html, picture):
            if place is not None and not place.parent.is_dir():
                raise XTagValueError(f"there is no directory {place.parent} for {place.name}: make it first")
        from rich.console import Console

        from ..model import TagModel, without_build_notes
        from ..train import measure, robustness_curves, score, worst_frames, write_page

        with without_build_notes():
            loaded = TagModel.load(model)
        if frames is None:
            found = measure(loaded, frames_per_level, seed)
            if picture is not None:
                picture.write_bytes(robustness_curves(found))
        else:
            found = score(loaded, frames, use_centres=centres)
            if html is not None:
                write_page(found, html)
            if picture is not None:
                picture.write_bytes(worst_frames(found))
    for table in found.tables():
        Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(found.to_json(), indent=1) + "\n")


def info(model: Model = None) -> None:
    """Print what is installed, the model with its tags and thresholds, and the device it runs on."""
    with explained():
        from importlib.metadata import version

        from rich.console import Console
        from rich.table import Table

        from ..model import TagModel, without_build_notes

        with without_build_notes():
            loaded = TagModel.load(model)
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
        table.add_row("held-out mAP", f"{found:.3f} (chance {chance:.3f}), simulated geometries never trained on")
    console.print(table)
    precision = {row["tag"]: row["average_precision"] for row in measured.get("tags", ())}
    tags = Table("tag", "group", "threshold", "AP", "holds when")
    for tag, threshold in zip(loaded.taxonomy.tags, loaded.thresholds, strict=True):
        known = precision.get(tag.name)
        tags.add_row(tag.name, tag.group, f"{threshold:.2f}", "" if known is None else f"{known:.3f}", tag.definition)
    console.print(tags)
