"""What the network gains and costs with other input sizes, views and widths (`xtag bench tradeoff`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ...model import TagModel, without_build_notes
from ...train import SPOILED, VARIANTS, Settings, Variant, model_directory, study
from .machine import BATCH, NO_MODEL, describe, frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["tradeoff"]

SHAPE = (1043, 981)  # a Pilatus 1M
TITLES = {
    "centre_unknown": "beam centre not told",
    "rotation": "rotated by any angle",
    "gaps": "a quarter in gaps",
    "hot_pixels": "1 of 1000 pixels hot",
}
INK, SOFT, COLOURS = "#1f2933", "#9aa5b1", ("#2f6f9f", "#d08a2e", "#5b8c5a", "#a8577e")


def tradeoff(
    out: Path,
    settings: Settings,
    variants: Sequence[Variant] = VARIANTS,
    json_path: Path | None = None,
    picture: Path | None = None,
    repeats: int = 60,
) -> dict[str, Any]:
    """Train what is not trained yet, time all variants side by side on this machine, and print it.

    Parameters
    ----------
    out : Path
        Directory of the study; called again after a stop, it goes on with the variant where it was.
    settings : Settings
        What all variants share.
    variants : sequence of Variant
    json_path, picture : Path, optional
        Where to write the figures as JSON, and to draw them.
    repeats : int
        Frames that each variant is timed with; a tenth as many batches.

    Returns
    -------
    dict
        `settings`; `variants`, each as in `bluesky_xtag.train.study` with `frame_ms` (prepare and infer one
        1-Mpx int32 frame, median) and `batched_frame_ms` (16 frames a call, per frame); and what it was timed with.

    Raises
    ------
    XTagValueError
        `out` holds a study with other settings.
    """
    console = Console()
    with without_build_notes():
        results = study(out, settings, variants)
        models = [TagModel.load(model_directory(out, variant)) for variant in variants]
    times = _time_models(models, repeats)
    timed = describe(models[0], "keras") | {"model": NO_MODEL}
    rows = [result | time for result, time in zip(results, times, strict=True)]
    figures = {"settings": asdict(settings), "variants": rows} | timed
    _print(console, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=1) + "\n")
    if picture is not None:
        draw(figures, picture)
    return figures


def _time_models(models: Sequence[TagModel], repeats: int) -> list[dict[str, float]]:
    """Return milliseconds a frame of each model; they take turns, since machines drift."""
    images, centre = frames(SHAPE, 4), (SHAPE[1] / 2, SHAPE[0] / 2)
    sizes = {"frame_ms": 1, "batched_frame_ms": BATCH}
    for model in models:
        model.warm()
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in models] for name in sizes}
    for turn in track(range(repeats), "Timing"):
        for name, size in sizes.items():
            if size > 1 and turn % 10:
                continue
            batch = [images[(turn + number) % len(images)] for number in range(size)]
            for model, taken in zip(models, seconds[name], strict=True):
                begin = perf_counter()
                model.predict(batch, [centre] * size)
                taken.append((perf_counter() - begin) / size)
    return [{name: 1e3 * float(np.median(seconds[name][number])) for name in sizes} for number in range(len(models))]


def _print(console: Console, figures: dict[str, Any]) -> None:
    settings = figures["settings"]
    table = Table(title=f"{settings['samples']} samples, {settings['epochs']} epochs, seed {settings['seed']}")
    drops = Table(title="drop of mAP from clean frames")
    for each in (table, drops):
        each.add_column("variant", no_wrap=True)
    for name in ("samples seen", "mAP", "weights", "training", "ms a frame", f"ms, {BATCH} a call"):
        table.add_column(name, justify="right")
    for name in SPOILED:
        drops.add_column(TITLES[name], justify="right")
    for row in figures["variants"]:
        sizes = f"{row['visits']:,}", _in_words(row["map"], row["map_error"]), f"{row['parameters'] / 1e6:.2f} M"
        times = f"{row['train_seconds']:.0f} s", f"{row['frame_ms']:.1f}", f"{row['batched_frame_ms']:.1f}"
        table.add_row(row["name"], *sizes, *times)
        drops.add_row(row["name"], *(_in_words(row["drops"][name], row["drop_errors"][name]) for name in SPOILED))
    console.print(table, drops)
    console.print(
        f"Held-out detectors and q ranges; chance mAP {figures['variants'][0]['chance']:.3f}. What saw a quarter "
        "of the samples is to be compared with what saw a quarter.\nThe time a frame includes preparing all views.\n"
        f"{figures['machine']}, load {figures['load']}; {figures['device']}; {figures['versions']}"
    )


def _in_words(value: float | None, error: float | None) -> str:
    return "–" if value is None or error is None else f"{value:.3f} ± {error:.3f}"


def draw(figures: dict[str, Any], path: Path) -> None:
    """Draw mAP against the time a frame, and the drops of each variant."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _points(left, figures["variants"])
    _bars(right, figures["variants"])
    for axes in (left, right):
        axes.tick_params(labelsize=8, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def _points(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw one point a variant: area as the parameters, hollow where it was trained on a part of the samples."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for number, row in enumerate(rows, 1):
        if row["map"] is None:
            continue
        place, size = (row["frame_ms"], row["map"]), 30 + 200 * row["parameters"] / 1e6
        fill, edge = (COLOURS[0], "white") if row["share"] == 1 else ("none", COLOURS[0])
        axes.errorbar(*place, yerr=row["map_error"], color=SOFT, lw=1, zorder=1)
        axes.scatter(*place, size, facecolor=fill, edgecolor=edge, zorder=2)
        offset = 0.35 * np.sqrt(size) + 2
        axes.annotate(str(number), place, (offset, offset), textcoords="offset points", fontsize=9, weight="bold")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.15, y=0.12)
    axes.set_xlabel("prepare and infer one 1-Mpx frame, ms", fontsize=9)
    axes.set_ylabel("mAP, held-out detectors and q ranges", fontsize=9)
    shares = sorted({row["share"] for row in rows if row["share"] < 1})
    note = f"; hollow: {', '.join(f'{share:.0%}' for share in shares)} of the training" if shares else ""
    axes.set_title(f"area: parameters{note}", fontsize=9, loc="left", color=INK)


def _bars(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the drops of each variant, with their standard errors."""
    height = 0.8 / len(SPOILED)
    for number, (name, colour) in enumerate(zip(SPOILED, COLOURS, strict=True)):
        drops = [np.nan if row["drops"][name] is None else row["drops"][name] for row in rows]
        errors = [row["drop_errors"][name] or 0 for row in rows]
        places = np.arange(len(rows)) + (number - (len(SPOILED) - 1) / 2) * height
        axes.barh(places, drops, height, xerr=errors, color=colour, label=TITLES[name], error_kw={"lw": 0.7})
    names = [f"{row['name']}, {row['parameters'] / 1e6:.2f} M  {number}" for number, row in enumerate(rows, 1)]
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_xlabel("drop of mAP from clean frames", fontsize=9)
    axes.legend(fontsize=7.5, frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.4, 1.0))
