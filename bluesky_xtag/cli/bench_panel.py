"""`xtag bench`: measure on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .helpful import HelpfulCommand, HelpfulGroup
from .options import JsonFile, Model, Picture, Seed, Workers, finish, report_errors

__all__ = ["bench"]

bench = typer.Typer(cls=HelpfulGroup, help="Measure on this machine.", no_args_is_help=True)


@bench.command("live", cls=HelpfulCommand, epilog="Example: xtag bench live --json live.json")
def live(
    json_file: JsonFile = None,
) -> None:
    """Time the tagging of a live scan: the callback, from document to scores, and the scan with and without tagging."""
    with report_errors():
        from .bench.live_bench import live

        live(json_file)


@bench.command("model", cls=HelpfulCommand, epilog="Example: xtag bench model --check")
def model_alone(
    model: Model = None,
    json_file: JsonFile = None,
    check: Annotated[bool, typer.Option("--check", help="End with exit status 1 if a bar is missed.")] = False,
) -> None:
    """Time each stage of the model, for 0.1 to 4 million pixels and for 1 and 16 frames a call, and the simulation."""
    with report_errors():
        from .bench import model_bench as measurements

        troubles = measurements.bars_missed(measurements.model(json_file, model))
    finish(troubles if check else ())


@bench.command("read", cls=HelpfulCommand, epilog="Example: xtag bench read --check")
def reading(
    model: Model = None,
    json_file: JsonFile = None,
    check: Annotated[bool, typer.Option("--check", help="End with exit status 1 if a bar is missed.")] = False,
) -> None:
    """Time frames of 1, 4 and 16 million pixels from compressed HDF5 files to their scores, in one and two threads."""
    with report_errors():
        from .bench import read_bench as measurements

        troubles = measurements.bars_missed(measurements.read(json_file, model))
    finish(troubles if check else ())


@bench.command("tradeoff", cls=HelpfulCommand, epilog="Example: xtag bench tradeoff --out study --samples 8000")
def tradeoff(
    out: Annotated[Path, typer.Option(help="Directory of the study. After a stop, the same command continues.")],
    samples: Annotated[int, typer.Option(min=1, help="Simulated frames that each variant is trained on.")] = 8_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over these frames.")] = 3,
    seed: Seed = 1,
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant. May be given several times.")] = None,
    json_file: JsonFile = None,
    picture: Picture = None,
) -> None:
    """Train variants of input size, views and width in the same way; compare mAP, robustness and time per frame."""
    with report_errors():
        from ..train import Settings, select_variants
        from .bench.tradeoff_bench import tradeoff

        settings = Settings(samples=samples, epochs=epochs, seed=seed)
        tradeoff(out, settings, select_variants(variant or ()), json_file, picture)


@bench.command("adaptive", cls=HelpfulCommand, epilog="Example: xtag bench adaptive --seeds 3 --task boundary")
def adaptive(
    json_file: JsonFile = None,
    picture: Picture = None,
    seeds: Annotated[int, typer.Option(min=1, help="Simulated samples of each kind.")] = 10,
    task: Annotated[list[str] | None, typer.Option(help="Only this task. May be given several times.")] = None,
    workers: Workers = None,
) -> None:
    """Count the frames that strategies need on simulated samples. The exit status is 1 if a bar is missed."""
    with report_errors():
        from .bench import adaptive_bench as measurements

        figures = measurements.adaptive(json_file, picture, seeds=seeds, tasks=task or (), workers=workers)
    finish(measurements.bars_missed(figures))


@bench.command("search", cls=HelpfulCommand, epilog="Example: xtag bench search -n 1000")
def searches(
    n: Annotated[int, typer.Option("-n", min=1, help="How many runs the catalogue holds.")] = 10_000,
    json_file: JsonFile = None,
) -> None:
    """Time searches by tag in a catalogue of many runs: Tiled on SQLite, in this process."""
    with report_errors():
        from .bench.search_bench import search

        search(json_file, n)


@bench.command("replay", cls=HelpfulCommand, epilog="Example: xtag bench replay -n 64")
def replay(
    model: Model = None,
    n: Annotated[int, typer.Option("-n", min=16, help="How many frames, of a million pixels each.")] = 320,
    json_file: JsonFile = None,
) -> None:
    """Time the replay of an archive: in this process, and on one and two local workers."""
    with report_errors():
        from .bench.replay_bench import replay

        replay(json_file, model, n)
