"""`xtag index`: stored runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import explained, finish

__all__ = ["ApiKey", "Catalog", "Since", "Until", "index", "opened", "tracked"]

Catalog = Annotated[
    str,
    typer.Argument(
        help="Directory of an embedded catalogue, address of a Tiled server (http://...), or name of a Tiled profile, "
        "as databroker uses them."
    ),
]
ApiKey = Annotated[
    str | None, typer.Option(help="For a Tiled server; better in the environment variable TILED_API_KEY.")
]
Since = Annotated[str | None, typer.Option(help="Only runs that began then or later, such as 2026-03-01.")]
Until = Annotated[str | None, typer.Option(help="Only runs that began before then.")]


@contextmanager
def opened(catalog: str, api_key: str | None) -> Iterator[Any]:
    """Open a catalogue, saying so, and close it in the end."""
    from rich.console import Console

    from ..catalog import open_any

    with Console(stderr=True).status(f"Opening {catalog}"):
        client = open_any(catalog, api_key)
    try:
        yield client
    finally:
        client.context.close()


def tracked(doing: str) -> Callable[[list[Any]], Iterable[Any]]:
    """Return a function that shows how far a list is done."""
    from rich.console import Console
    from rich.progress import track

    return lambda items: track(items, doing, console=Console(stderr=True))


def index(
    catalog: Catalog,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, tell what would be written.")] = False,
    recover: Annotated[
        Path | None,
        typer.Option(help="First store what was kept in this directory when the catalogue failed: runs, summaries."),
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Give each tagged run that lacks one the summary by which its tags are found.

    Called again, it goes on from where it was: runs that have a summary are left alone.
    """
    with explained():
        from ..errors import XTagValueError
        from ..search import index
        from ..search import recover as store

        if dry_run and recover is not None:
            raise XTagValueError("--recover writes, --dry-run does not: give one of them")
        troubles: dict[str, str] = {}
        with opened(catalog, api_key) as client:
            if recover is not None:
                recovery = store(client, recover, name=catalog, track=tracked("Recovering"))
                print(f"recovered {len(recovery.runs)} runs and {len(recovery.summaries)} summaries from {recover}")
                troubles |= recovery.left
            found = index(client, since=since, until=until, dry_run=dry_run, name=catalog, track=tracked("Indexing"))
    print(
        f"{found.runs} runs: {len(found.written)} {'lack a' if dry_run else 'got their'} summary, {found.had} had one, "
        f"{found.untagged} have no tags, {found.unfinished} are not finished"
    )
    troubles |= {f"run {uid}": trouble for uid, trouble in found.troubles.items()}
    finish(f"{what}: {trouble}" for what, trouble in troubles.items())
