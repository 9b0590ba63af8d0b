"""Does to the process that tags what may befall it, and counts what becomes of scans (`xtag bench chaos`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ...model import DEFAULT, ModelCard
from .chaos import FAULTS, break_it, kill_it, soak
from .machine import machine

__all__ = ["chaos", "in_words", "troubles_of"]


def chaos(
    json_path: Path | None = None,
    directory: Path | None = None,
    kills: int = 1000,
    frames: int = 1_000_000,
    runs: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Kill the tagging process, break it, and use it for long; print and return what became of the scans.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too; it is written after each part, since they take hours.
    directory : Path, optional
        Model directory; the packaged model if not given.
    kills : int
        How many, over four kinds of scans: frames in events or files, with a spare process or without. 0: none.
    frames, runs : int
        Of the long use. 0 frames: none.
    seed : int
        Of the moments of the kills.

    Returns
    -------
    dict
        `parts`: by name the figures of each part, with `troubles`; and what was measured.
    """
    console = Console()
    model = DEFAULT if directory is None else directory
    card = ModelCard.load(model)
    figures: dict[str, Any] = {"machine": machine(), "model": f"{card.name} {card.version}", "seed": seed, "parts": {}}

    def keep(name: str, found: Mapping[str, Any]) -> None:
        figures["parts"][name] = found
        for trouble in found["troubles"]:
            console.print(f"{name}: {trouble}", style="red", markup=False)
        if json_path is not None:
            json_path.write_text(json.dumps(figures, indent=2) + "\n")

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        kinds = [(in_files, spare) for in_files in (False, True) for spare in (True, False)]
        for number, (in_files, spare) in enumerate(kinds):
            share = kills // 4 + (number < kills % 4)
            if not share:
                continue
            name = f"kills, frames in {'files' if in_files else 'events'}, {'a' if spare else 'no'} spare process"
            task = progress.add_task(name, total=share)
            keep(
                name,
                kill_it(
                    share,
                    model,
                    spare=spare,
                    in_files=in_files,
                    seed=seed + number,
                    watch=lambda done, task=task: progress.update(task, completed=done),
                ),
            )
        task = progress.add_task("faults", total=len(FAULTS))
        for name in FAULTS:
            keep(name, break_it(name, model))
            progress.advance(task)
        if frames:
            name = f"{frames} frames in {runs} runs"
            task = progress.add_task(name, total=runs)
            keep(name, soak(frames, runs, model, lambda done: progress.update(task, completed=done)))
    _print(console, figures)
    return figures


def troubles_of(figures: Mapping[str, Any]) -> list[str]:
    """Return what is not as promised, in sentences."""
    return [f"{name}: {trouble}" for name, part in figures["parts"].items() for trouble in part["troubles"]]


def in_words(part: Mapping[str, Any]) -> str:
    """Return in words what is known of a part beside its counts."""
    if "kills" in part:
        said = f"{part['kills']} kills; ok again after {_seconds(part, 'again')}"
        if part["with_spare"]:
            said += f"; {part['with_spare']} times a spare stood by: {_seconds(part, 'again_with_spare')}"
        return said
    if "leaves_s" in part:
        return f"{part['longer_s']:+.2f} s for the scan; the session ends within {part['leaves_s']:.1f} s"
    memory = (
        f"{of} {part[f'early_{name}']:.1f} -> {part[f'late_{name}']:.1f} MiB"
        for of, name in (("session", "session_mib"), ("process", "process_mib"))
    )
    held = (
        f"{what} {part[f'early_{name}']} -> {part[f'late_{name}']}"
        for what, name in (("threads", "threads"), ("open files", "files"), ("of the process", "process_files"))
    )
    return f"{', '.join([*memory, *held])}, in {part['seconds'] / 60:.0f} min"


def _seconds(part: Mapping[str, Any], what: str) -> str:
    return f"{part[f'{what}_p50_s']:.2f} s (99 %: {part[f'{what}_p99_s']:.2f} s)"


def _print(console: Console, figures: Mapping[str, Any]) -> None:
    table = Table("what", "scans", "failed", "frames", "rows", "by status", "and")
    for name, one in figures["parts"].items():
        statuses = ", ".join(f"{status} {count}" for status, count in one.get("statuses", {}).items())
        counts = (str(one.get(key, "")) for key in ("runs", "failed", "frames", "rows"))
        table.add_row(name, *counts, statuses, in_words(one))
    console.print(table)
    console.print(f"{figures['machine']}; model {figures['model']}; seed {figures['seed']}")
