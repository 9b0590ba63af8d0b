"""`xtag bench`: measure on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import JsonFile, Model, Workers, explained, finish

__all__ = ["bench"]

bench = typer.Typer(help="Measure on this machine.", no_args_is_help=True)


@bench.command()
def live(
    json_file: JsonFile = None,
) -> None:
    """Time the tagging of a live scan: our callback, document to scores, and the scan with and without."""
    with explained():
        from .bench.live_bench import live

        live(json_file)


@bench.command("model")
def model_alone(
    model: Model = None,
    json_file: JsonFile = None,
    check: Annotated[bool, typer.Option("--check", help="End with status 1 if a bar is missed.")] = False,
) -> None:
    """Time prepare and infer by stage, from 0.1 to 4 million pixels, one frame and 16 a call, and the simulation."""
    with explained():
        from .bench import model_bench as measurements

        troubles = measurements.missed(measurements.model(json_file, model))
    finish(troubles if check else ())


@bench.command()
def tradeoff(
    out: Annotated[Path, typer.Option(help="Directory of the study; called again after a stop, it goes on.")],
    samples: Annotated[int, typer.Option(min=1, help="Simulated frames that each variant is trained on.")] = 8_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over them.")] = 3,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 1,
    variant: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    json_file: JsonFile = None,
    picture: Annotated[Path | None, typer.Option(help="Draw mAP, time a frame and robustness there.")] = None,
) -> None:
    """Train variants of the model alike, and compare input size, views and width: mAP, robustness, time a frame."""
    with explained():
        from ..train import Settings, chosen
        from .bench.tradeoff_bench import tradeoff

        settings = Settings(samples=samples, epochs=epochs, seed=seed)
        tradeoff(out, settings, chosen(variant or ()), json_file, picture)


@bench.command()
def adaptive(
    json_file: JsonFile = None,
    picture: Annotated[Path | None, typer.Option(help="Draw maps and progress there.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Simulated samples of each kind.")] = 10,
    task: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    workers: Workers = None,
) -> None:
    """Count the frames that strategies need on simulated samples, against bars and baselines; 1 if a bar is missed."""
    with explained():
        from .bench import adaptive_bench as measurements

        figures = measurements.adaptive(json_file, picture, seeds=seeds, tasks=task or (), workers=workers)
    finish(measurements.missed(figures))


@bench.command("search")
def searches(
    runs: Annotated[int, typer.Option(min=1, help="Runs in the catalogue, generated.")] = 10_000,
    json_file: JsonFile = None,
) -> None:
    """Time searches by tag in a catalogue of many runs: Tiled on SQLite, in this process."""
    with explained():
        from .bench.search_bench import search

        search(json_file, runs)


@bench.command()
def replay(
    model: Model = None,
    frames: Annotated[int, typer.Option(min=16, help="How many, of a million pixels each.")] = 320,
    json_file: JsonFile = None,
) -> None:
    """Time the replay of an archive: in this process, and on one and two local workers."""
    with explained():
        from .bench.replay_bench import replay

        replay(json_file, model, frames)
