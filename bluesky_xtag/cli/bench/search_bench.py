"""How long a search takes in a catalogue of many runs (`xtag bench search`): Tiled on SQLite, in this process.

The benchmark generates the runs: start documents such as plans make, with summaries of the packaged taxonomy. The runs
have no rows, because a search does not read them.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...catalog import open_catalog
from ...documents import KEY
from ...model import DEFAULT_TAXONOMY
from ...search import runs_with_tag
from .machine import NO_MODEL, machine

__all__ = ["SEARCHES", "search"]

_FIRST_TIME = 1_750_000_000.0  # of the first run, seconds since 1970
_APART = 300.0  # seconds between runs
_AT_ONCE = 500
_MODELS = (("default", "0.3.0", "a" * 64), ("default", "0.3.1", "b" * 64))

# What is asked, by what it is called in the figures.
SEARCHES: dict[str, Callable[[Any], Any]] = {
    "score": lambda catalog: runs_with_tag(catalog, "ring", 0.99),
    "score_and_fraction": lambda catalog: runs_with_tag(catalog, "ring", 0.9, fraction=0.5),
    "score_and_model": lambda catalog: runs_with_tag(catalog, "ring", 0.9, model="default 0.3.1"),
    "score_and_time": lambda catalog: runs_with_tag(
        catalog, "ring", 0.9, since=_FIRST_TIME, until=_FIRST_TIME + 1000 * _APART
    ),
}


def search(json_path: Path | None = None, runs: int = 10_000, rounds: int = 7) -> dict[str, Any]:
    """Measure what searches take on this machine, and print it.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    runs : int
        Runs in the catalogue.
    rounds : int
        How often each search is done; figures are medians, and the slowest.

    Returns
    -------
    dict
        For each of `SEARCHES`: ``found``, and in seconds ``count`` (to know how many), ``first_page`` (to have the
        first 100 runs with their metadata), ``slowest`` of all of these, and ``processor``, what both together take of
        processors in the mean, server included, which the load of the machine hardly changes.
    """
    console = Console()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        open_catalog(place).context.close()  # makes the database
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"Generating {runs:,} runs", total=runs)
            begin = perf_counter()
            asyncio.run(_fill(place, runs, lambda done: progress.advance(task, done)))
            generated = perf_counter() - begin
        catalog = open_catalog(place)
        size = (place / "catalog.db").stat().st_size
        figures: dict[str, Any] = {
            "machine": machine(),
            "model": NO_MODEL,
            "load": round(os.getloadavg()[0], 2),
            "versions": {name: version(name) for name in ("bluesky_xtag", "tiled")},
            "runs": len(catalog),
            "rounds": rounds,
            "catalog_mib": round(size / 2**20, 1),
            "generating_seconds": round(generated, 1),
            "searches": {name: _measure(ask, catalog, rounds) for name, ask in SEARCHES.items()},
        }
        catalog.context.close()
    console.print(_table(figures))
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def _measure(ask: Callable[[Any], Any], catalog: Any, rounds: int) -> dict[str, float]:
    counts, pages, found = [], [], 0
    before = process_time()
    for _ in range(rounds):
        begin = perf_counter()
        found = len(ask(catalog))
        counts.append(perf_counter() - begin)
        begin = perf_counter()
        ask(catalog).values().head(100)
        pages.append(perf_counter() - begin)
    return {
        "processor": (process_time() - before) / rounds,
        "found": found,
        "count": statistics.median(counts),
        "first_page": statistics.median(pages),
        "slowest": max(counts + pages),
    }


async def _fill(place: Path, runs: int, advance: Callable[[int], None]) -> None:
    """Put runs into a catalogue's database as its server does, but many at once: one by one takes minutes."""
    from tiled.catalog import from_uri
    from tiled.catalog.orm import Node

    tree = from_uri(f"sqlite:///{place / 'catalog.db'}", writable_storage=[str(place / "data")])
    await tree.startup()
    rng = np.random.default_rng(1)
    for first in range(0, runs, _AT_ONCE):
        starts = [_start(number, rng) for number in range(first, min(first + _AT_ONCE, runs))]
        async with tree.context.session() as session:
            session.add_all(
                Node(
                    key=start["uid"],
                    parent=tree.node.id,
                    metadata_={"start": start, "stop": {"run_start": start["uid"], "exit_status": "success"}},
                    structure_family="container",
                    specs=[{"name": "BlueskyRun", "version": "3.0"}],
                )
                for start in starts
            )
            await session.commit()
        advance(len(starts))
    await tree.shutdown()


def _start(number: int, rng: np.random.Generator) -> dict[str, Any]:
    frames = int(rng.integers(1, 500))
    # Most tags are far from seen in most runs, a few are seen in most frames.
    largest, share = rng.beta(0.3, 0.6, len(DEFAULT_TAXONOMY)), rng.beta(0.3, 1.0, len(DEFAULT_TAXONOMY))
    count = np.where(largest >= 0.5, np.ceil(share * frames), 0).astype(int)
    name, model_version, sha256 = _MODELS[int(rng.integers(len(_MODELS)))]
    names = DEFAULT_TAXONOMY.names
    return {
        "uid": str(uuid.UUID(bytes=rng.bytes(16), version=4)),
        "time": _FIRST_TIME + _APART * number,
        "scan_id": number + 1,
        "plan_name": "scan",
        "plan_type": "generator",
        "plan_args": {"detectors": ["det"], "args": ["x", 0, 1], "num": frames},
        "detectors": ["det"],
        "motors": ["x"],
        "num_points": frames,
        "hints": {"dimensions": [[["x"], "primary"]]},
        KEY: {
            "max_p": dict(zip(names, map(float, largest), strict=True)),
            "count": dict(zip(names, map(int, count), strict=True)),
            "fraction": dict(zip(names, map(float, count / frames), strict=True)),
            "frames": frames,
            "failed": 0,
            "model": name,
            "model_version": model_version,
            "model_sha256": sha256,
            "name": "xtag",
            "source": "live",
            "derived": False,
        },
    }


def _table(figures: dict[str, Any]) -> Table:
    table = Table(
        "search",
        "found",
        "count, ms",
        "first 100 runs, ms",
        "slowest, ms",
        "processor for both, ms",
        title=f"{figures['runs']:,} runs, SQLite",
    )
    for name, each in figures["searches"].items():
        times = (f"{1e3 * each[key]:.0f}" for key in ("count", "first_page", "slowest", "processor"))
        table.add_row(name, f"{each['found']:,}", *times)
    return table
