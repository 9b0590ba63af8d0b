"""`xtag pin` and `xtag veto`: tell a plan that runs where the next frame is taken, and where none is."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import XTagValueError, hide_secrets, printable
from .options import report_errors

__all__ = ["pin", "veto"]

By = Annotated[str | None, typer.Option(help="Who says it: a name or initials. Default: the user.")]
Run = Annotated[str | None, typer.Option(help="A uid or its first digits. Only needed if several plans run.")]


def pin(
    place: Annotated[
        list[str], typer.Argument(metavar="MOTOR=POSITION...", help="A position for each motor of the plan.")
    ],
    by: By = None,
    run: Run = None,
) -> None:
    """Tell a plan that runs on this machine to measure a place next.

    The plan goes there at its next decision, and the decision says who wanted it.
    """
    with report_errors():
        from ..plans import pin as tell

        said = tell({name: _number(text, value) for text, name, value in map(_divide, place)}, by=by, run=run)
    print(printable(hide_secrets(said)))


def veto(
    place: Annotated[
        list[str],
        typer.Argument(
            metavar="MOTOR=POSITION|LOW:HIGH...",
            help="A position, or both ends of a box, by motor. A motor that is not named is left out in its whole "
            "range.",
        ),
    ],
    by: By = None,
    run: Run = None,
) -> None:
    """Tell a plan that runs on this machine not to measure at a place or in a box.

    This holds from its next decision on, and the decision says who wanted it. A position holds for 2 % of the motor's
    range around it.
    """
    with report_errors():
        from ..plans import veto as tell

        box = {}
        for text, name, value in map(_divide, place):
            low, between, high = value.partition(":")
            box[name] = (_number(text, low), _number(text, high)) if between else _number(text, value)
        said = tell(box, by=by, run=run)
    print(printable(hide_secrets(said)))


def _divide(text: str) -> tuple[str, str, str]:
    """Return what was given, the name of the motor, and the rest."""
    name, _, value = text.rpartition("=")
    if not name:
        raise XTagValueError(f"{text!r} names no motor: give for example x=3.2")
    return text, name, value


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise XTagValueError(f"{text!r} is not a position: give for example x=3.2") from error
