"""What all commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..errors import XTagError, XTagValueError

__all__ = ["JsonFile", "Model", "Workers", "explained", "finish"]

Model = Annotated[Path | None, typer.Option("--model", help="A model directory; the packaged model if not given.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures there, too.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes that simulate; all cores if not given.")]


@contextmanager
def explained() -> Iterator[None]:
    """End with a message instead of a traceback: status 2 for a wrong argument, 1 for anything else of ours."""
    try:
        yield
    except XTagError as error:
        print(f"xtag: {error}", file=sys.stderr)
        raise typer.Exit(2 if isinstance(error, XTagValueError) else 1) from error


def finish(troubles: Iterable[str]) -> None:
    """End with status 1 if there are troubles, after telling them."""
    troubles = list(troubles)
    for trouble in troubles:
        print(f"xtag: {trouble}", file=sys.stderr)
    if troubles:
        raise typer.Exit(1)
