"""`xtag replay`: what is stored, tagged or decided again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .catalog_commands import ApiKey, opened
from .options import Model, explained, finish

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["decisions_again", "replay"]


def replay(
    catalog: Annotated[
        str | None,
        typer.Argument(
            help="Directory of an embedded catalogue, address of a Tiled server (http://...), or name of a Tiled "
            "profile; none with --files.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="A uid or its beginning, a scan_id, -1 for the newest, or a condition such as plan_name=scan or "
            "time>=2026-03-01; may be given again. All runs if not given.",
        ),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILES", help="Instead of runs: image files, such as 'data/*.h5' in quotes; may be given again."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --files: the table to write, .csv or .parquet.")] = None,
    decisions: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Instead of tags: compute the decisions of this run again from what is stored: a uid, a scan_id, or "
            "-1 for the newest; status 1 if a decision differs.",
        ),
    ] = None,
    model: Model = None,
    key: Annotated[
        str | None, typer.Option(help="The data key of the images; with --files, the data set. Found if not given.")
    ] = None,
    beam_centre: Annotated[
        tuple[float, float] | None, typer.Option(help="Column and row of the beam in pixels, if you know better.")
    ] = None,
    mask: Annotated[str | None, typer.Option(help="File of pixels not to use.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also runs that were replayed with this model before.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes to start on this machine.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler to use, such as tcp://host:8786.")] = None,
    work: Annotated[
        Path | None, typer.Option(help="Directory that remembers how far runs are; ~/.local/state if not given.")
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Tag stored runs, or files, with a model; the tags of runs are stored as runs of their own beside them.

    Called again after a stop, it goes on from there. Ends with status 1 if a run could not be replayed.
    """
    with explained():
        engine = {"workers": workers, "scheduler": scheduler}
        _check_choice(catalog, runs, files, out, decisions)
        if decisions is not None:
            of_tags = {"model": model, "key": key, "beam-centre": beam_centre, "mask": mask, "again": again or None}
            _check_unused(of_tags | engine | {"work": work})
        if files:
            assert out is not None  # checked above
            with _resumable():
                tag_files(files, out, model=model, key=key, beam_centre=beam_centre, mask=mask, **engine)
            return
        with opened(catalog or "", api_key) as client:
            if decisions is not None:
                troubles = list(decisions_again(client, decisions))
            else:
                options = {"key": key, "beam_centre": beam_centre, "mask": mask, "again": again, "work": work}
                with _resumable():
                    troubles = tag_runs(client, runs, model=model, **options, **engine)
    finish(troubles)


def _check_choice(
    catalog: str | None, runs: list[str] | None, files: list[str] | None, out: Path | None, decisions: str | None
) -> None:
    """Raise unless one of the three things that may be replayed is asked for, with what it needs."""
    from ..errors import XTagValueError

    if files:
        if catalog is not None or runs or decisions is not None:
            raise XTagValueError("--files needs no catalogue and no runs: give one or the other")
        if out is None:
            raise XTagValueError("--files needs --out, the table to write, such as --out tags.csv")
    elif catalog is None:
        raise XTagValueError("name a catalogue whose runs to replay, or give --files")
    elif out is not None:
        raise XTagValueError("--out is for --files: the tags of runs go into the catalogue")
    elif runs and decisions is not None:
        raise XTagValueError("--decisions replays the decisions of one run: leave --runs out")


def _check_unused(options: dict[str, Any]) -> None:
    """Raise if an option is given that decisions have no use for."""
    from ..errors import XTagValueError

    if given := [f"--{name}" for name, value in options.items() if value is not None]:
        raise XTagValueError(f"--decisions looks at stored rows only: leave {', '.join(given)} out")


@contextmanager
def _resumable() -> Iterator[None]:
    """Say that nothing is lost when a person stops the command."""
    try:
        yield
    except KeyboardInterrupt:
        print("xtag: stopped; the same command goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None


def tag_runs(client: Any, runs: list[str] | None, **options: Any) -> list[str]:
    """Replay runs with a progress bar, and print what came of them; return the troubles."""
    from rich.console import Console
    from rich.table import Table

    from ..replay import replay

    with _watch() as watch:
        outcomes = replay(client, runs, watch=watch, **options)
    shown = ["run", "scan_id", "outcome", "frames", "ok", "unreadable", "failed", "seconds"]
    table = Table(*shown)
    for row in outcomes.to_dict("records"):
        scan_id = "" if row["scan_id"] is None or row["scan_id"] != row["scan_id"] else f"{row['scan_id']:.0f}"
        counts = (str(row[name]) for name in shown[3:-1])
        table.add_row(row["run"][:8], scan_id, row["outcome"], *counts, f"{row['seconds']:.1f}")
    tagged = outcomes[outcomes["outcome"] == "tagged"]
    seconds = tagged["seconds"].sum()
    console = Console(highlight=False)
    console.print(table)
    rate = f", {tagged['frames'].sum() / seconds:.1f} a second" if seconds else ""
    console.print(f"{len(outcomes)} runs, {len(tagged)} tagged: {tagged['frames'].sum()} frames{rate}")
    failed = outcomes[outcomes["outcome"].str.startswith("failed")]
    return [f"run {run}: {outcome}" for run, outcome in zip(failed["run"], failed["outcome"], strict=True)]


def tag_files(files: list[str], out: Path, **options: Any) -> None:
    """Tag files with a progress bar, and print what came of them."""
    from ..replay import replay_files

    with _watch() as watch:
        counts = replay_files(files, out, watch=watch, **options)
    print(f"{sum(counts.values())} frames: {', '.join(f'{s} {n}' for s, n in counts.items() if n)}")
    print(out)


@contextmanager
def _watch() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield a function that shows how many frames of what are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                for finished in tasks.values():
                    progress.update(finished, visible=False)
                tasks[what] = progress.add_task(f"frames of {what[:36]}", total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield watch


def decisions_again(client: Any, run: str) -> Iterator[str]:
    """Compute the decisions of a run again and print what came of it.

    Parameters
    ----------
    client : catalogue
        An open catalogue.
    run : str
        Uid or its beginning, scan_id, or -1 for the newest.

    Yields
    ------
    str
        The first decision that differs, if there is one.
    """
    from ..errors import XTagValueError
    from ..plans import replay_decisions

    try:
        stored = client[int(run) if run.lstrip("-").isdecimal() else run]
    except (LookupError, ValueError) as error:
        raise XTagValueError(f"there is no run {run!r} in this catalogue: give a uid, a scan_id, or -1") from error
    again = replay_decisions(stored)
    if again.equal:
        print(again)
    else:
        yield str(again)
