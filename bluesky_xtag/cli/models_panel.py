"""`xtag train`, `adapt`, `evaluate`, `robustness`, `simulate` and `gallery`: commands for models and their frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import JsonFile, Model, Number, Picture, Seed, Workers, check_directory, report_errors, resumable

__all__ = ["adapt", "evaluate", "gallery", "robustness", "simulate", "train"]

Out = Annotated[Path, typer.Option(help="The model directory to write.")]
Labelled = Annotated[Path, typer.Argument(metavar="FRAMES", help="HDF5 file of labelled frames.")]
Nuisances = Annotated[
    str, typer.Option(help="What may spoil the frames: names separated by commas, `all`, or `none` for clean frames.")
]


def train(
    out: Out,
    start: Annotated[
        str,
        typer.Option(help="Model directory to start from, or `default` (packaged model). Else random weights."),
    ] = "",
    samples: Annotated[int, typer.Option(min=1, help="How many simulated frames to train on.")] = 100_000,
    epochs: Annotated[int, typer.Option(min=1, help="How many passes over these frames.")] = 10,
    learning_rate: Annotated[
        float, typer.Option(min=0, help="Of the steps; to start from a model, choose less.")
    ] = 2e-3,
    observed: Annotated[
        bool, typer.Option("--observed", help="Show what measured frames have beyond the nuisances, too.")
    ] = False,
    forms: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the frames that come in the forms of other software.")
    ] = 0.0,
    seed: Seed = 1,
    workers: Workers = None,
) -> None:
    """Train a model on simulated frames.

    After a stop, the same command continues from there.
    """
    with report_errors(), resumable():
        from ..model import DEFAULT
        from ..train import train

        first = DEFAULT if start == "default" else Path(start) if start else None
        settings = {"samples": samples, "epochs": epochs, "learning_rate": learning_rate}
        shown = {"observed": float(observed), "forms": forms}
        print(train(out, workers=workers, start=first, seed=seed, **settings, **shown))


def adapt(
    frames: Labelled,
    out: Out,
    model: Model = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with the errors before and after, and the changed frames.")
    ] = None,
    simulated: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many simulated frames hold the model to what it knew. "
            "[default: 500 from 100 labelled frames on, else none]",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 1,
    workers: Workers = None,
) -> None:
    """Adapt a model to your own labelled frames, in stages that each must help. You can add new tags."""
    with report_errors():
        check_directory(html)
        from rich.console import Console

        from ..model import load_model
        from ..train import adapt_model
        from ..view import disarm

        adaptation = adapt_model(
            load_model(model), frames, out, html=html, simulated=simulated, seed=seed, workers=workers
        )
    console = Console(highlight=False)
    console.print(*adaptation.tables(), *map(disarm, [*adaptation.notes, str(out)]), sep="\n")


def evaluate(
    frames: Labelled,
    model: Model = None,
    centres: Annotated[bool, typer.Option(help="Give the model the beam centres of the file.")] = True,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with curves and the worst frames.")] = None,
    picture: Picture = None,
) -> None:
    """Measure how good a model is on labelled frames: average precision of each tag, chance, F1 and calibration."""
    with report_errors():
        check_directory(json_file, html, picture)
        from ..model import load_model
        from ..train import score, worst_frames, write_page

        found = score(load_model(model), frames, use_centres=centres)
        if html is not None:
            write_page(found, html)
        if picture is not None:
            picture.write_bytes(worst_frames(found))
    _print_figures(found, json_file)


def robustness(
    model: Model = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many simulated frames for each level of a nuisance.")] = 400,
    seed: Seed = 0,
    json_file: JsonFile = None,
    picture: Picture = None,
) -> None:
    """Measure how much the average precision falls, compared with clean simulated frames, as each nuisance grows."""
    with report_errors():
        check_directory(json_file, picture)
        from ..model import load_model
        from ..train import measure, robustness_curves

        found = measure(load_model(model), n, seed)
        if picture is not None:
            picture.write_bytes(robustness_curves(found))
    _print_figures(found, json_file)


def simulate(
    out: Annotated[Path, typer.Argument(help="HDF5 file to write. It must not exist yet.")],
    n: Number = 100,
    seed: Seed = 0,
    held_out: Annotated[bool, typer.Option(help="Use detectors and q ranges that training never sees.")] = True,
    nuisances: Nuisances = "all",
    workers: Workers = None,
    leave_out: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Number of a frame to leave out, such as one that fails. May be given several times."),
    ] = None,
) -> None:
    """Write simulated raw frames with their true tags, for `xtag evaluate` and `xtag demo --frames`.

    After a stop, the same command continues from there.
    """
    with report_errors(), resumable():
        from ..simulate import nuisance_names, simulate

        names = nuisance_names(nuisances)
        print(simulate(out, n, seed, held_out, nuisances=names, workers=workers, leave_out=leave_out or ()))


def gallery(
    picture: Annotated[Path, typer.Argument(help="The picture to write, such as gallery.png.")],
    seed: Seed = 0,
    nuisances: Nuisances = "all",
    observed: Annotated[
        bool, typer.Option("--observed", help="Show what measured frames have beyond the nuisances, too.")
    ] = False,
) -> None:
    """Draw examples of each tag and of each nuisance."""
    with report_errors():
        from rich.console import Console

        from ..simulate import draw_gallery, nuisance_names

        with Console().status(f"Drawing {picture.name}"):
            draw_gallery(picture, seed, nuisance_names(nuisances), observed=observed)
        print(picture)


def _print_figures(found: Any, json_file: Path | None) -> None:
    from rich.console import Console

    for table in found.tables():
        Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(found.to_json(), indent=1) + "\n")
