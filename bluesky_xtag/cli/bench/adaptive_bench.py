"""How many frames, and how much dose, strategies save on simulated samples of known truth (`xtag bench adaptive`).

The benchmark drives strategies directly: suggest, expose with counting noise, tag with the model, ingest. It uses
neither a RunEngine nor files, so that hundreds of scans take minutes. Frames, tags and decisions are those of a scan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...errors import XTagValueError
from ...model import ModelCard, TagModel, without_build_notes
from ...plans import STRATEGIES_REVISION
from ...simulate import worker_pool
from . import ax_agent
from .bars import Row, rows
from .machine import describe
from .suggestions import POINTS, THINKING, timed
from .tasks import TASKS, raster_doses, run, seek_run
from .travels import MOTIONS, travel_run

__all__ = ["KINDS", "SUGGESTION", "adaptive", "bars_missed"]

KINDS: dict[str, tuple[str, ...]] = {
    "boundary": ("adaptive", "faulty", "very_faulty", "random", "grid"),
    "phases": ("adaptive", "faulty", "random", "grid"),
    "seek": ("adaptive", "faulty", "random", "grid"),
    "skip_empty": ("adaptive", "faulty"),
    "travel": tuple(f"{task}, {stage}" for task in TASKS for stage in MOTIONS),
}
"""What is measured of each task: the strategy, the same with faults (`FAULTS`), and the baselines; of `travel`, which
map is made with which motors.

Where it is installed, bluesky-adaptive's Ax agent, `ax`, is measured on `boundary`, too."""
SUGGESTION = "suggestion"
"""The task of thinking about the next point, of which only the time is measured."""


def adaptive(
    json_path: Path | None = None,
    picture: Path | None = None,
    *,
    seeds: int = 10,
    tasks: Sequence[str] = (),
    workers: int | None = None,
    journal: Path | None = None,
) -> dict[str, Any]:
    """Measure the strategies against their bars and baselines, and print it.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    picture : Path, optional
        Where to draw maps and progress, too.
    seeds : int
        Samples of each kind, numbered from 0.
    tasks : sequence of str
        Of `KINDS`; all if none is given.
    workers : int, optional
        Processes; as many as there are cores if not given.
    journal : Path, optional
        Where each scan is written as soon as it is over. Scans of the same model and revision that are found there are
        not made again.

    Returns
    -------
    dict
        `tasks`: by task and kind, a list with the outcome of each seed; `rows`: the bars with what was reached; what it
        was measured with.

    Raises
    ------
    XTagValueError
        A task is not known.
    """
    known = (*KINDS, SUGGESTION)
    tasks = tuple(tasks) or known
    if unknown := [task for task in tasks if task not in known]:
        raise XTagValueError(f"no task {', '.join(unknown)}; known tasks: {', '.join(known)}")
    console = Console()
    found = _measure([scan for task in tasks if task in KINDS for scan in _scans(task, seeds)], workers, journal)
    if SUGGESTION in tasks:
        found[SUGGESTION] = {name: [timed(name, points) for points in POINTS] for name in THINKING}
    reached = rows(found)
    figures = {"seeds": seeds, "tasks": found, "rows": [asdict(row) for row in reached]} | describe(
        _model(), "scikit-learn", "numpy"
    )
    _print(console, reached, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, allow_nan=False) + "\n")
    if picture is not None:
        from .adaptive_picture import draw

        draw(found, _model(), picture)
    return figures


def bars_missed(figures: Mapping[str, Any]) -> list[str]:
    """Return what to say of each bar that was not reached."""
    return [
        f"{row['task']}: {row['what']} is {row['reached']}, but must be {row['bar']}"
        for row in figures["rows"]
        if row["holds"] is False
    ]


def _scans(task: str, seeds: int) -> list[tuple[str, str, int]]:
    scans = [(task, kind, seed) for kind in KINDS[task] for seed in range(seeds)]
    if task == "boundary" and ax_agent.available():
        scans += [(task, "ax", seed) for seed in range(min(seeds, ax_agent.SAMPLES))]
    return scans


def _measure(
    jobs: Sequence[tuple[str, str, int]], workers: int | None, journal: Path | None
) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, dict[str, list[Any]]] = {}
    for task, kind, _ in jobs:
        found.setdefault(task, {}).setdefault(kind, [])
    done = _read(journal)
    ahead = [job for job in jobs if job not in done]
    if ahead:
        with Progress() as progress, worker_pool(workers, len(ahead)) as pool:
            bar = progress.add_task(f"{len(ahead)} scans", total=len(ahead))
            running = {pool.submit(_outcome, *job): job for job in ahead}
            for future in as_completed(running):
                done[running[future]] = future.result()
                _write(journal, running[future], future.result())
                progress.advance(bar)
    for task, kind, seed in jobs:
        found[task][kind].append(done[task, kind, seed])
    return found


def _read(journal: Path | None) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return the outcomes in a journal that are of this model and revision; a line that was torn off is left out."""
    done = {}
    for line in journal.read_text("utf-8").splitlines() if journal is not None and journal.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if (row["model"], row["revision"]) == _of_now():
            done[row["task"], row["kind"], row["outcome"]["seed"]] = row["outcome"]
    return done


def _write(journal: Path | None, job: tuple[str, str, int], outcome: dict[str, Any]) -> None:
    if journal is not None:
        model, revision = _of_now()
        row = {"model": model, "revision": revision, "task": job[0], "kind": job[1], "outcome": outcome}
        with journal.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(row)}")  # the end of a torn line, if there is one


def _of_now() -> tuple[str, int]:
    """Return what outcomes depend on: name and version of the packaged model, and the revision of the strategies."""
    card = ModelCard.load()
    return f"{card.name} {card.version}", STRATEGIES_REVISION


def _outcome(task: str, kind: str, seed: int) -> dict[str, Any]:
    """Return what came out of one scan, as JSON can hold it."""
    if task == "skip_empty":
        return {"seed": seed} | raster_doses(_model(), seed, faulty=kind == "faulty")
    if task == "travel":
        name, _, stage = kind.partition(", ")
        return {"seed": seed} | travel_run(_model(), name, MOTIONS[stage], seed)
    outcome, _ = seek_run(_model(), seed, kind) if task == "seek" else run(TASKS[task], _model(), seed, kind)
    found = asdict(outcome)
    found["trace"] = [(number, round(score, 4)) for number, score in outcome.trace]
    return {"seed": seed} | found


@cache
def _model() -> TagModel:
    with without_build_notes():
        model = TagModel.load()
    model.warm()
    return model


def _print(console: Console, reached: Sequence[Row], figures: Mapping[str, Any]) -> None:
    table = Table(title=f"{figures['seeds']} samples each; median (lowest to highest)")
    for name, justify in (("task", "left"), ("figure", "left"), ("reached", "right"), ("bar", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
    for row in reached:
        table.add_row(row.task, row.what, row.reached, row.bar, {True: "held", False: "MISSED", None: ""}[row.holds])
    console.print(table)
    console.print(f"{figures['machine']}; model {figures['model']} on {figures['device']}; {figures['versions']}")
