"""What all commands share: options that mean the same everywhere, catalogues, and how a command ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import XTagError, XTagValueError, hide_secrets, printable

__all__ = [
    "ApiKey",
    "Catalog",
    "BackendName",
    "Centre",
    "ImageKey",
    "JsonFile",
    "Last",
    "Insecure",
    "Masked",
    "Model",
    "Number",
    "Picture",
    "RootMaps",
    "Roots",
    "Runs",
    "Seed",
    "Since",
    "Until",
    "Workers",
    "check_directory",
    "finish",
    "open_catalogue",
    "parse_roots",
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

Centre = Annotated[
    tuple[float, float] | None,
    typer.Option(help="Column and row of the beam centre in pixels. By default xtag finds it."),
]
Masked = Annotated[str | None, typer.Option(help="Mask file: the pixels that must not be used.")]
BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="PLACE",
        help="Where frames are tagged: threads of this process (the default), process (one of its own, which is looked "
        "after), inline, dask, or the address of a Dask scheduler, such as tls://host:8786.",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Also use a Dask scheduler on another machine without encryption.")
]
RootMaps = Annotated[
    list[str] | None,
    typer.Option(
        "--root-map",
        metavar="OLD=NEW",
        help="Where a directory is now that documents, or links in files, name by an earlier place, such as "
        "/old/mount=/data/archive. May be given several times.",
    ),
]
Roots = Annotated[
    list[Path] | None,
    typer.Option("--root", help="Read only files below this directory. You can name several."),
]
ImageKey = Annotated[
    str | None, typer.Option(help="The data set of the images in HDF5 files. By default xtag finds it.")
]


@contextmanager
def report_errors() -> Iterator[None]:
    """End with a message instead of a traceback: status 2 for a wrong argument, 1 for others of this package's errors.

    So do errors of the system, such as a full disk or a directory that must not be written to.
    """
    try:
        yield
    except XTagError as error:
        print(f"xtag: {error}", file=sys.stderr)
        raise typer.Exit(2 if isinstance(error, XTagValueError) else 1) from error
    except BrokenPipeError:  # whoever reads the output has ended: Typer ends quietly
        raise
    except OSError as error:
        print(f"xtag: {printable(hide_secrets(str(error)))}", file=sys.stderr)
        raise typer.Exit(1) from error


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
        print(f"xtag: {printable(hide_secrets(trouble))}", file=sys.stderr)
    if troubles:
        raise typer.Exit(1)


@contextmanager
def open_catalogue(catalog: str, api_key: str | None) -> Iterator[Any]:
    """Open a catalogue, show a message meanwhile, and close the catalogue in the end."""
    from rich.console import Console

    from ..catalog import open_any

    with Console(stderr=True).status(f"Opening {hide_secrets(catalog)}"):
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


def parse_roots(options: list[str] | None) -> dict[str, str]:
    """Return old and new roots; XTagValueError if one is missing."""
    roots = {}
    for option in options or ():
        old, _, new = option.partition("=")
        if not (old.strip() and new.strip()):
            raise XTagValueError(f"--root-map {option}: give OLD=NEW, such as /old/mount=/data/archive")
        roots[old.strip()] = new.strip()
    return roots
