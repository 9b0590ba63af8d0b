"""`xtag summarise`, `recover`, `replay`, `tag-files` and `decisions`: commands for stored runs and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    ApiKey,
    BackendName,
    Catalog,
    Centre,
    ImageKey,
    Insecure,
    Masked,
    Model,
    RootMaps,
    Roots,
    Runs,
    Since,
    Until,
    finish,
    open_catalogue,
    parse_roots,
    report_errors,
    resumable,
    show_progress,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["decisions", "recover", "replay", "summarise", "tag_files"]

Processes = Annotated[int | None, typer.Option("--workers", min=1, help="How many processes to start on this machine.")]
Scheduler = Annotated[str | None, typer.Option(help="Dask scheduler to use, such as tls://host:8786.")]


def summarise(
    catalog: Catalog,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; only say what would be written.")] = False,
    api_key: ApiKey = None,
) -> None:
    """Write a summary of the tags into each tagged run that has none, so that searches find the run.

    You can call it again at any time: it does not change runs that have a summary.
    """
    with report_errors():
        from ..search import summarise_runs

        with open_catalogue(catalog, api_key) as client:
            track = show_progress("Summarising")
            found = summarise_runs(client, since=since, until=until, dry_run=dry_run, name=catalog, track=track)
    print(
        f"{found.runs} runs: {len(found.written)} {'lack a' if dry_run else 'got their'} summary, {found.had} had one, "
        f"{found.untagged} have no tags, {found.unfinished} are not finished"
    )
    finish(f"run {uid}: {trouble}" for uid, trouble in found.troubles.items())


def recover(
    catalog: Catalog,
    directory: Annotated[
        Path | None,
        typer.Argument(
            help="Directory in which runs or summaries were kept; the log named it. By default that of `install` "
            "without `backup`, in the user's data directory."
        ),
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Store the runs and summaries that were kept on this machine because the catalogue did not accept them.

    The command removes a file when all of it is stored, so you can call the command again.
    """
    with report_errors():
        from ..search import default_directory
        from ..search import recover as store

        directory = default_directory() if directory is None else directory
        with open_catalogue(catalog, api_key) as client:
            found = store(client, directory, name=catalog, track=show_progress("Recovering"))
    print(f"recovered {len(found.runs)} runs and {len(found.summaries)} summaries from {directory}")
    finish(f"{what}: {trouble}" for what, trouble in found.left.items())


def replay(
    catalog: Catalog,
    runs: Runs = None,
    model: Model = None,
    key: Annotated[str | None, typer.Option(help="The data key of the images. By default xtag finds it.")] = None,
    beam_centre: Centre = None,
    mask: Masked = None,
    root_map: RootMaps = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also replay runs that were replayed with this model before.")
    ] = False,
    workers: Processes = None,
    scheduler: Scheduler = None,
    insecure: Insecure = False,
    backend: BackendName = None,
    roots: Roots = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Directory that keeps the progress of the replay. Default: one in ~/.local/state."),
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Tag stored runs with a model. The tags of each run are stored as a new run; the original run does not change.

    After a stop, the same command continues from there. The exit status is 1 if a run could not be replayed.
    """
    with report_errors(), open_catalogue(catalog, api_key) as client, resumable():
        options = {"key": key, "beam_centre": beam_centre, "mask": mask, "again": again, "work": work}
        options |= {"root_map": parse_roots(root_map), "roots": roots or None}
        options |= {"scheduler": scheduler, "insecure": insecure, "backend": backend}
        troubles = _replay(client, runs, model=model, workers=workers, **options)
    finish(troubles)


def tag_files(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", help="Image files, or patterns such as 'data/**/*.cbf' in quotes."),
    ],
    out: Annotated[Path, typer.Option(help="The table to write: a .csv or .parquet file that does not exist yet.")],
    model: Model = None,
    key: ImageKey = None,
    beam_centre: Centre = None,
    mask: Masked = None,
    root_map: RootMaps = None,
    workers: Processes = None,
    scheduler: Scheduler = None,
    insecure: Insecure = False,
    backend: BackendName = None,
) -> None:
    """Tag the images of files, without a catalogue, and write a table with a row for each image.

    After a stop, the same command continues from there.
    """
    with report_errors(), resumable():
        from ..replay import tag_files as write_table

        with _watch() as watch:
            counts = write_table(
                files,
                out,
                model=model,
                key=key,
                beam_centre=beam_centre,
                mask=mask,
                root_map=parse_roots(root_map),
                workers=workers,
                scheduler=scheduler,
                insecure=insecure,
                backend=backend,
                watch=watch,
            )
    print(f"{sum(counts.values())} frames: {', '.join(f'{s} {n}' for s, n in counts.items() if n)}")
    print(out)


def decisions(
    catalog: Catalog,
    run: Annotated[str, typer.Option(help="A uid or its first digits, a scan_id, or -1 for the newest run.")] = "-1",
    api_key: ApiKey = None,
) -> None:
    """Compute the decisions of a stored run again. The exit status is 1 if a decision differs."""
    with report_errors(), open_catalogue(catalog, api_key) as client:
        troubles = list(_decide_again(client, run))
    finish(troubles)


def _scan_id(value: Any) -> str:
    """Return a scan_id as text: a column of them may hold floats, none, and whatever a stranger wrote."""
    if value is None or value != value:
        return ""
    return f"{value:.0f}" if isinstance(value, int | float) else str(value)


def _replay(client: Any, runs: list[str] | None, **options: Any) -> list[str]:
    """Replay runs with a progress bar, and print the results; return the troubles."""
    from rich.console import Console
    from rich.table import Table

    from ..replay import replay as tag_again
    from ..view import disarm

    with _watch() as watch:
        outcomes = tag_again(client, runs, watch=watch, **options)
    shown = ["run", "scan_id", "outcome", "frames", "ok", "unreadable", "failed", "seconds"]
    table = Table(*shown)
    for row in outcomes.to_dict("records"):
        counts = (str(row[name]) for name in shown[3:-1])
        cells = (row["run"][:8], _scan_id(row["scan_id"]), row["outcome"], *counts, f"{row['seconds']:.1f}")
        table.add_row(*map(disarm, cells))
    tagged = outcomes[outcomes["outcome"] == "tagged"]
    seconds = tagged["seconds"].sum()
    console = Console(highlight=False)
    console.print(table)
    rate = f", {tagged['frames'].sum() / seconds:.1f} a second" if seconds else ""
    console.print(f"{len(outcomes)} runs, {len(tagged)} tagged: {tagged['frames'].sum()} frames{rate}")
    failed = outcomes[outcomes["outcome"].str.startswith("failed")]
    return [f"run {run}: {outcome}" for run, outcome in zip(failed["run"], failed["outcome"], strict=True)]


@contextmanager
def _watch() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield a function that shows how many frames of what are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from ..view import disarm

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                for finished in tasks.values():
                    progress.update(finished, visible=False)
                tasks[what] = progress.add_task(f"frames of {disarm(what[:36])}", total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield watch


def _decide_again(client: Any, run: str) -> Iterator[str]:
    """Compute the decisions of a run again and print the result.

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
    from ..catalog import as_catalog, find_run
    from ..plans import replay_decisions

    again = replay_decisions(find_run(as_catalog(client), run))
    if again.equal:
        print(again)
    else:
        yield str(again)
