"""Makes all figures anew that the documentation keeps (`xtag bench all`); what is made already is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import XTagValueError
from ...model import ModelCard
from .machine import NO_MODEL

__all__ = ["PARTS", "Part", "measure_all", "model_named"]


@dataclass(frozen=True)
class Part:
    """Figures that one measurement makes.

    Parameters
    ----------
    name : str
        As of `xtag bench`, or of the command that makes them.
    figures : str
        Their file.
    make : callable
        (file of the figures, file of the picture or None, directory for what goes on after a stop), makes them.
    picture : str, optional
        The file of their picture.
    """

    name: str
    figures: str
    make: Callable[[Path, Path | None, Path], Any]
    picture: str | None = None


def _live(figures: Path, picture: Path | None, directory: Path) -> None:
    from .live_bench import live

    live(figures)


def _model(figures: Path, picture: Path | None, directory: Path) -> None:
    from .model_bench import model

    model(figures, None)


def _search(figures: Path, picture: Path | None, directory: Path) -> None:
    from .search_bench import search

    search(figures, 10_000)


def _replay(figures: Path, picture: Path | None, directory: Path) -> None:
    from .replay_bench import replay

    replay(figures, None, 320)


def _backends(figures: Path, picture: Path | None, directory: Path) -> None:
    from .backends_bench import backends

    backends(figures)


def _chaos(figures: Path, picture: Path | None, directory: Path) -> None:
    from .chaos_bench import chaos

    chaos(figures)


def _epics(figures: Path, picture: Path | None, directory: Path) -> None:
    from .epics_bench import epics

    epics(figures)


def _adaptive(figures: Path, picture: Path | None, directory: Path) -> None:
    from .adaptive_bench import KINDS, SUGGESTION, adaptive

    tasks = [task for task in (*KINDS, SUGGESTION) if task != "travel"]
    adaptive(figures, picture, tasks=tasks, journal=directory / "adaptive.jsonl")


def _travel(figures: Path, picture: Path | None, directory: Path) -> None:
    from .adaptive_bench import adaptive

    adaptive(figures, tasks=["travel"], journal=directory / "travel.jsonl")


def _tradeoff(figures: Path, picture: Path | None, directory: Path) -> None:
    from ...train import Settings, select_variants
    from .tradeoff_bench import tradeoff

    tradeoff(directory / "tradeoff", Settings(samples=6_000, epochs=2, seed=1), select_variants(()), figures, picture)


def _robustness(figures: Path, picture: Path | None, directory: Path) -> None:
    from ...model import load_model
    from ...train import measure, robustness_curves

    found = measure(load_model(None), 400, 0)
    if picture is not None:
        picture.write_bytes(robustness_curves(found))
    figures.write_text(json.dumps(found.to_json(), indent=1) + "\n", "utf-8")


PARTS = (
    Part("live", "bench-live.json", _live),
    Part("model", "bench-model.json", _model),
    Part("search", "bench-search.json", _search),
    Part("replay", "bench-replay.json", _replay),
    Part("backends", "bench-backends.json", _backends),
    Part("chaos", "bench-chaos.json", _chaos),
    Part("epics", "bench-epics.json", _epics),
    Part("adaptive", "adaptive.json", _adaptive, "adaptive.png"),
    Part("travel", "travel.json", _travel),
    Part("robustness", "robustness.json", _robustness, "robustness.png"),
    Part("tradeoff", "tradeoff.json", _tradeoff, "tradeoff.png"),
)
"""In the order in which they are made. The figures of measured frames need the frames, and are not among them."""


def model_named(figures: Path) -> str:
    """Return the name and version of the model that a file of figures is of; "" if it names none or is not there."""
    try:
        model = json.loads(figures.read_text("utf-8")).get("model")
    except (OSError, ValueError, AttributeError):
        return ""
    return model.partition(",")[0] if isinstance(model, str) else ""


def measure_all(out: Path, only: Sequence[str] = (), say: Callable[[str], Any] = print) -> list[str]:
    """Make the figures that are not there, or that are of another model than the packaged one.

    Parameters
    ----------
    out : Path
        Directory of the figures and pictures; it is made. What goes on after a stop is kept in its `unfinished`.
    only : sequence of str
        Names of `PARTS`; all if none is given.
    say : callable
        Gets a line for each part.

    Returns
    -------
    list of str
        The parts that were made.

    Raises
    ------
    XTagValueError
        A name is not known.
    """
    known = [part.name for part in PARTS]
    if unknown := [name for name in only if name not in known]:
        raise XTagValueError(f"no figures {', '.join(unknown)}; known figures: {', '.join(known)}")
    card = ModelCard.load()
    packaged = f"{card.name} {card.version}"
    unfinished = out / "unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    made = []
    for part in PARTS:
        if only and part.name not in only:
            continue
        if model_named(out / part.figures) in (packaged, NO_MODEL):
            say(f"{part.name}: kept, {out / part.figures} is of {model_named(out / part.figures)}")
            continue
        say(f"{part.name}: measured ...")
        # The figures are moved into place last: a stop leaves no picture of other figures, and none that are half.
        picture = unfinished / part.picture if part.picture else None
        part.make(unfinished / part.figures, picture, unfinished)
        if picture is not None:
            os.replace(picture, out / picture.name)
        os.replace(unfinished / part.figures, out / part.figures)
        made.append(part.name)
    return made
