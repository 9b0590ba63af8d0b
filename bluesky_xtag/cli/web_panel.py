"""`xtag web` and `xtag report`: the page of a catalogue, and the report of a run."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from .options import ApiKey, Catalog, Roots, check_directory, open_catalogue, report_errors

__all__ = ["report", "web"]

_TUNNEL = "From another machine: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE, then open the same address there"


def web(
    catalog: Catalog,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port. Default: a free one.")] = None,
    host: Annotated[
        str, typer.Option(help="Address of this machine to listen at. By default only this machine is served.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name under which browsers reach the page. You can repeat it.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Take no corrections.")] = False,
    roots: Roots = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    api_key: ApiKey = None,
) -> None:
    """Open a page on which you look at the frames of a catalogue, search them and correct their tags."""
    with report_errors():
        from ..web import PageServer

        with open_catalogue(catalog, api_key) as client:
            place = Path(catalog).expanduser().resolve() if Path(catalog).expanduser().exists() else catalog
            server = PageServer(
                client,
                place,
                host=host,
                port=port,
                allow_hosts=tuple(allow_host or ()),
                read_only=read_only,
                roots=roots or None,
            )
            print(f"The page is at {server.link}")
            if host == "127.0.0.1":
                print(_TUNNEL.format(port=server.port))
            print("Ctrl-C ends it.", flush=True)
            if not no_browser and _has_display():
                import webbrowser

                webbrowser.open(server.link)
            with suppress(KeyboardInterrupt):  # which the server hands on when it has ended
                server.run()


def report(
    catalog: Catalog,
    out: Annotated[Path, typer.Argument(help="The HTML file to write.")],
    run: Annotated[str, typer.Option(help="A uid or its first digits, a scan_id, or -1 for the newest run.")] = "-1",
    roots: Roots = None,
    api_key: ApiKey = None,
) -> None:
    """Write a report of a run, one HTML file that opens without a server: map, tags, examples, outcomes, decisions."""
    with report_errors():
        from ..catalog import as_catalog, find_run
        from ..web import write_report

        check_directory(out)
        with open_catalogue(catalog, api_key) as client:
            print(write_report(find_run(as_catalog(client), run), out, roots=roots or None))


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
