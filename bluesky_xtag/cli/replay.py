"""`xtag replay`: what is stored, computed again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from .catalog import ApiKey, Catalog, opened
from .common import explained, finish

__all__ = ["decisions_again", "replay"]


def replay(
    catalog: Catalog,
    decisions: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="Compute the decisions of this run again from what is stored: a uid, a scan_id, or -1 for the newest.",
            show_default=False,
        ),
    ],
    api_key: ApiKey = None,
) -> None:
    """Compute what is stored again. With --decisions: what a plan decided; status 1 if a decision differs."""
    with explained():
        with opened(catalog, api_key) as client:
            troubles = list(decisions_again(client, decisions))
    finish(troubles)


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
    from ..decisions import replay_decisions
    from ..errors import XTagValueError

    try:
        stored = client[int(run) if run.lstrip("-").isdecimal() else run]
    except (LookupError, ValueError) as error:
        raise XTagValueError(f"there is no run {run!r} in this catalogue: give a uid, a scan_id, or -1") from error
    again = replay_decisions(stored)
    if again.equal:
        print(again)
    else:
        yield str(again)
