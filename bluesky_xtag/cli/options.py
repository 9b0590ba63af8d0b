"""What all commands share: options that mean the same everywhere, catalogues, and how a command ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import XTagError, XTagValueError

__all__ = [
    "ApiKey",
    "Catalog",
    "JsonFile",
    "Last",
    "Model",
    "Number",
    "Picture",
    "Runs",
    "Seed",
    "Since",
    "Until",
    "Workers",
    "check_directory",
    "finish",
    "open_catalogue",
    "report_errors",
    "resumable",
    "show_progress",
]

Catalog = Annotated[
    str,
    typer.Argument(
        help="Directory of an embedded catalogue, address of a Tiled server (http://...), or name of a Tiled profile, "
        "which is how databroker names catalogues."
    ),
]
ApiKey = Annotated[
    str | None, typer.Option(help="API key of a Tiled server. TILED_API_KEY in the environment is safer.")
]
Runs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RUN",
        help="Only these runs: a uid or its first digits, a scan_id, -1 for the newest, or a condition such as "
        "plan_name=scan or time>=2026-03-01. May be given several times.",
    ),
]
Last = Annotated[int, typer.Option(min=1, help="How many runs to look at, from the newest on.")]
Since = Annotated[str | None, typer.Option(help="Only runs that began at this date, such as 2026-03-01, or later.")]
Until = Annotated[str | None, typer.Option(help="Only runs that began before this date.")]
Model = Annotated[Path | None, typer.Option("--model", help="A model directory. Default: the packaged model.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
Picture = Annotated[Path | None, typer.Option(help="Also draw a picture into this file.")]
Workers = Annotated[int | None, typer.Option(min=1, help="How many processes simulate. Default: one for each core.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
Number = Annotated[int, typer.Option("-n", min=1, help="How many frames.")]


@contextmanager
def report_errors() -> Iterator[None]:
    """End with a message instead of a traceback: status 2 for a wrong argument, 1 for other errors of this package."""
    try:
        yield
    except XTagError as error:
        print(f"xtag: {error}", file=sys.stderr)
        raise typer.Exit(2 if isinstance(error, XTagValueError) else 1) from error


@contextmanager
def resumable() -> Iterator[None]:
    """Say that nothing is lost when a person stops the command."""
    try:
        yield
    except KeyboardInterrupt:
        print("xtag: stopped; the same command goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None


def finish(troubles: Iterable[str]) -> None:
    """Print the troubles, and end with status 1 if there are any."""
    troubles = list(troubles)
    for trouble in troubles:
        print(f"xtag: {trouble}", file=sys.stderr)
    if troubles:
        raise typer.Exit(1)


@contextmanager
def open_catalogue(catalog: str, api_key: str | None) -> Iterator[Any]:
    """Open a catalogue, show a message meanwhile, and close the catalogue in the end."""
    from rich.console import Console

    from ..catalog import open_any

    with Console(stderr=True).status(f"Opening {catalog}"):
        client = open_any(catalog, api_key)
    try:
        yield client
    finally:
        client.context.close()


def show_progress(doing: str) -> Callable[[list[Any]], Iterable[Any]]:
    """Return a function that shows how far a list is done."""
    from rich.console import Console
    from rich.progress import track

    return lambda items: track(items, doing, console=Console(stderr=True))


def check_directory(*paths: Path | None) -> None:
    """Raise XTagValueError unless the directories of the files to write exist."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise XTagValueError(f"there is no directory {path.parent} for {path.name}: make it first")
