"""`xtag bench`: measure on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .helpful import HelpfulCommand, HelpfulGroup
from .options import JsonFile, Model, Picture, Seed, Workers, finish, report_errors, resumable

__all__ = ["bench"]

bench = typer.Typer(cls=HelpfulGroup, help="Measure on this machine.", no_args_is_help=True)


@bench.command("all", cls=HelpfulCommand, epilog="Example: xtag bench all --out figures")
def everything(
    out: Annotated[Path, typer.Option(help="Directory of the figures. After a stop, the same command continues.")],
    only: Annotated[list[str] | None, typer.Option(help="Only these figures. May be given several times.")] = None,
) -> None:
    """Make all figures of the documentation anew that are not of the packaged model. This takes hours."""
    with report_errors(), resumable():
        from .bench.all_bench import measure_all

        measure_all(out, only or ())


@bench.command("live", cls=HelpfulCommand, epilog="Example: xtag bench live --json live.json")
def live(
    json_file: JsonFile = None,
) -> None:
    """Time the tagging of a live scan: the callback, from document to scores, and the scan with and without tagging."""
    with report_errors():
        from .bench.live_bench import live

        live(json_file)


@bench.command("backends", cls=HelpfulCommand, epilog="Example: xtag bench backends --check")
def backends(
    model: Model = None,
    json_file: JsonFile = None,
    check: Annotated[bool, typer.Option("--check", help="End with exit status 1 if a bar is missed.")] = False,
    n: Annotated[int, typer.Option("-n", min=2, help="Points of a scan.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
) -> None:
    """Compare tagging in a process of its own with tagging in the session: latency, rate, scan time, start, memory."""
    with report_errors():
        from .bench import backends_bench as measurements

        troubles = measurements.bars_missed(measurements.backends(json_file, model, n, rounds))
    finish(troubles if check else ())


@bench.command("epics", cls=HelpfulCommand, epilog="Example: xtag bench epics --check --json epics.json")
def over_channel_access(
    model: Model = None,
    json_file: JsonFile = None,
    check: Annotated[bool, typer.Option("--check", help="End with exit status 1 if a bar is missed.")] = False,
    n: Annotated[int, typer.Option("-n", min=2, help="Frames of a scan.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    exposure: Annotated[float, typer.Option(min=0.05, help="Exposure of a frame in seconds.")] = 0.1,
) -> None:
    """Time scans of an areaDetector over Channel Access, with and without tagging in turn, from a simulated IOC."""
    with report_errors():
        from .bench import epics_bench as measurements

        troubles = measurements.bars_missed(measurements.epics(json_file, model, n, rounds, exposure))
    finish(troubles if check else ())


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
    journal: Annotated[
        Path | None, typer.Option(help="File of the scans that are done. After a stop, the same command continues.")
    ] = None,
) -> None:
    """Count the frames that strategies need on simulated samples. The exit status is 1 if a bar is missed."""
    with report_errors():
        from .bench import adaptive_bench as measurements

        figures = measurements.adaptive(
            json_file, picture, seeds=seeds, tasks=task or (), workers=workers, journal=journal
        )
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


@bench.command("chaos", cls=HelpfulCommand, epilog="Example: xtag bench chaos --kills 40 -n 10000 --scans 20")
def chaos(
    json_file: JsonFile = None,
    model: Model = None,
    kills: Annotated[int, typer.Option(min=0, help="How often the process that tags is killed.")] = 1000,
    n: Annotated[int, typer.Option("-n", min=0, help="Frames of the long use. 0 leaves it out.")] = 1_000_000,
    scans: Annotated[int, typer.Option(min=2, help="Scans of the long use.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Kill, stop and fill the process that tags while scans run. The exit status is 1 if a promise is broken.

    Each frame must have its row, no scan may fail, and a session must end. By default this takes hours.
    """
    with report_errors():
        from .bench import chaos_bench as measurements

        figures = measurements.chaos(json_file, model, kills, n, scans, seed)
    finish(measurements.troubles_of(figures))


@bench.command("web", cls=HelpfulCommand, epilog="Example: xtag bench web -n 100000 --check")
def page(
    n: Annotated[int, typer.Option("-n", min=1000, help="How many frames the catalogue holds.")] = 10_000,
    json_file: JsonFile = None,
    check: Annotated[bool, typer.Option("--check", help="End with exit status 1 if a bar is missed.")] = False,
) -> None:
    """Time the page in a real Chromium: thumbnails, scrolling, searches, corrections, and scans with live pages."""
    with report_errors():
        from .bench import web_bench as measurements

        troubles = measurements.bars_missed(measurements.web(json_file, n))
    finish(troubles if check else ())
