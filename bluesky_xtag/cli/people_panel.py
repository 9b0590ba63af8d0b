"""`xtag correct`, `export-labels`, `review` and `compare`: where people, or other models, do not agree with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import XTagValueError
from .catalog_commands import ApiKey, Catalog, opened
from .options import explained

__all__ = ["compare", "correct", "export_labels", "review"]

Run = Annotated[str, typer.Argument(help="Uid of the run, the beginning of it, or its scan_id.")]
Runs = Annotated[int, typer.Option(min=1, help="How many runs to look at, the newest ones.")]
Picture = Annotated[Path | None, typer.Option(help="Draw the frames there, with what was said of them.")]


def correct(
    catalog: Catalog,
    run: Run,
    frames: Annotated[
        list[str],
        typer.Argument(metavar="FRAME...", help="Rows of the run's tags (3), or points and images within (3:0)."),
    ],
    by: Annotated[str, typer.Option(help="Who says so: initials.")],
    add: Annotated[list[str] | None, typer.Option(help="A tag that holds; may be given again.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag that does not hold; may be given again.")] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    confirm: Annotated[bool, typer.Option("--confirm", help="All other tags are right as they are shown.")] = False,
    api_key: ApiKey = None,
) -> None:
    """Overrule the model: say which tags frames have and which they have not. Nothing is overwritten."""
    with explained():
        from ..catalog import chosen, plain_rows
        from ..review import correct, corrections
        from ..search import tags

        wanted = [_frame(frame) for frame in frames]
        with opened(catalog, api_key) as client:
            (found,) = chosen(client, run)
            uid = correct(found, wanted, ",".join(add or ()), ",".join(remove or ()), by=by, note=note, confirm=confirm)
            told, table = corrections(found), plain_rows(tags(found), found)
    changed = told[told["correction"] == uid].merge(table, on=["key", "seq_num", "index"], suffixes=("_said", ""))
    for row in changed.to_dict("records"):
        print(f"row {row['row']} ({row['key']} {row['seq_num']}:{row['index']}): {row['tags'] or 'no tags'}")


def export_labels(
    catalog: Catalog,
    out: Annotated[Path, typer.Argument(help="HDF5 file to write; must not exist.")],
    runs: Annotated[
        list[str] | None, typer.Option(help="Only this run: uid, beginning of it, or scan_id; may be given again.")
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Write the frames that people corrected to a file for `xtag train --frames` and `xtag evaluate`.

    What people said of a frame is certain there; what nobody spoke of is not, whatever the model said.
    """
    with explained():
        from rich.console import Console

        from ..review import export_labels

        with opened(catalog, api_key) as client, Console(stderr=True).status(f"Reading frames for {out.name}"):
            done = export_labels(client, out, runs)
    print(f"{out}: {done.frames} frames of {done.runs} runs, {done.labels} labels")
    for frame, reason in done.unreadable.items():
        print(f"left out: {frame}: {reason}")


def review(
    catalog: Catalog,
    n: Annotated[int, typer.Option("-n", min=1, help="How many frames.")] = 20,
    by: Annotated[str, typer.Option(help="uncertain, novel or newest.")] = "uncertain",
    model: Annotated[
        str, typer.Option(help="Whose tags: name, name and version, or sha256; else the latest.")
    ] = "latest",
    runs: Runs = 100,
    picture: Picture = None,
    api_key: ApiKey = None,
) -> None:
    """Propose the frames that are most worth a look: least certain, most novel, or newest."""
    with explained():
        from rich.console import Console

        from ..review import draw_review, review_table
        from ..review import review as propose

        _check_directory(picture)
        with opened(catalog, api_key) as client, Console(stderr=True).status("Reading tags"):
            proposed = propose(client, n, by, model=model, runs=runs)
            if picture is not None:
                draw_review(client, proposed, picture)
    Console(highlight=False).print(review_table(proposed))


def compare(
    catalog: Catalog,
    models: Annotated[
        tuple[str, str], typer.Option(help="Two models: name, name and version, or beginnings of their sha256.")
    ],
    n: Annotated[int, typer.Option("-n", min=1, help="How many frames to list.")] = 20,
    runs: Runs = 100,
    picture: Picture = None,
    api_key: ApiKey = None,
) -> None:
    """Show where two models that tagged the same runs disagree."""
    with explained():
        from rich.console import Console

        from ..review import compare as compare_models
        from ..review import draw_disputed

        _check_directory(picture)
        with opened(catalog, api_key) as client, Console(stderr=True).status("Reading tags"):
            found = compare_models(client, *models, runs=runs)
            if picture is not None:
                draw_disputed(client, found, picture)
    for table in found.tables(n):
        Console(highlight=False).print(table)


def _frame(text: str) -> int | tuple[int, int]:
    try:
        numbers = [int(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    match numbers:
        case [row]:
            return row
        case [seq_num, index]:
            return seq_num, index
    raise XTagValueError(f"{text!r} names no frame: give a row, as in 3, or a point and an image within it, as in 3:0")


def _check_directory(path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise XTagValueError(f"there is no directory {path.parent} for {path.name}: make it first")
