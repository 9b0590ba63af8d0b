"""`xtag review`, `correct`, `compare` and `export-labels`: commands for people who check the tags of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import XTagValueError
from .options import ApiKey, Catalog, Last, Number, Picture, Runs, check_directory, open_catalogue, report_errors

__all__ = ["compare", "correct", "export_labels", "review"]

Run = Annotated[str, typer.Argument(help="The run: a uid or its first digits, or a scan_id.")]


def correct(
    catalog: Catalog,
    run: Run,
    frames: Annotated[
        list[str],
        typer.Argument(metavar="FRAME...", help="A row of the run's tags (3), or a point and an image in it (3:0)."),
    ],
    by: Annotated[str, typer.Option(help="Who corrects: a name or initials.")],
    add: Annotated[list[str] | None, typer.Option(help="A tag that holds. You can repeat it.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag that does not hold. You can repeat it.")] = None,
    note: Annotated[str, typer.Option(help="The reason.")] = "",
    confirm: Annotated[bool, typer.Option("--confirm", help="All other tags are right as shown.")] = False,
    api_key: ApiKey = None,
) -> None:
    """Correct the model: say which tags frames have and which they do not have. Nothing is overwritten."""
    with report_errors():
        from ..catalog import as_catalog, plain_rows, select_runs
        from ..review import correct, corrections
        from ..search import tags

        wanted = [_frame(frame) for frame in frames]
        with open_catalogue(catalog, api_key) as client:
            (found,) = select_runs(as_catalog(client), run)
            uid = correct(found, wanted, ",".join(add or ()), ",".join(remove or ()), by=by, note=note, confirm=confirm)
            told, table = corrections(found), plain_rows(tags(found), found)
    changed = told[told["correction"] == uid].merge(table, on=["key", "seq_num", "index"], suffixes=("_said", ""))
    for row in changed.to_dict("records"):
        print(f"row {row['row']} ({row['key']} {row['seq_num']}:{row['index']}): {row['tags'] or 'no tags'}")


def export_labels(
    catalog: Catalog,
    out: Annotated[Path, typer.Argument(help="HDF5 file to write. It must not exist yet.")],
    runs: Runs = None,
    api_key: ApiKey = None,
) -> None:
    """Write the frames that people corrected to a file for `xtag adapt` and `xtag evaluate`.

    In this file only what people said is certain. A tag that nobody spoke of is unknown, whatever the model said.
    """
    with report_errors():
        from rich.console import Console

        from ..review import export_labels

        with open_catalogue(catalog, api_key) as client, Console(stderr=True).status(f"Reading frames for {out.name}"):
            done = export_labels(client, out, runs)
    print(f"{out}: {done.frames} frames of {done.runs} runs, {done.labels} labels")
    for frame, reason in done.unreadable.items():
        print(f"left out: {frame}: {reason}")


def review(
    catalog: Catalog,
    n: Number = 20,
    order: Annotated[str, typer.Option(help="Which frames come first: uncertain, novel or newest.")] = "uncertain",
    model: Annotated[
        str, typer.Option(help="The model that gave the tags: a name, a name and a version, or a sha256.")
    ] = "latest",
    last: Last = 100,
    picture: Picture = None,
    api_key: ApiKey = None,
) -> None:
    """Propose the stored frames that a person should look at first."""
    with report_errors():
        from rich.console import Console

        from ..review import draw_review, review_table
        from ..review import review as propose

        check_directory(picture)
        with open_catalogue(catalog, api_key) as client, Console(stderr=True).status("Reading tags"):
            proposed = propose(client, n, order, model=model, last=last)
            if picture is not None:
                draw_review(client, proposed, picture)
    Console(highlight=False).print(review_table(proposed))


def compare(
    catalog: Catalog,
    models: Annotated[
        tuple[str, str], typer.Option(help="Two models, each as a name, a name and a version, or a sha256.")
    ],
    n: Number = 20,
    last: Last = 100,
    picture: Picture = None,
    api_key: ApiKey = None,
) -> None:
    """Show where two models that tagged the same runs disagree."""
    with report_errors():
        from rich.console import Console

        from ..review import compare as compare_models
        from ..review import draw_disputed

        check_directory(picture)
        with open_catalogue(catalog, api_key) as client, Console(stderr=True).status("Reading tags"):
            found = compare_models(client, *models, last=last)
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
    raise XTagValueError(f"{text!r} is not a frame: give a row, as in 3, or a point and an image within it, as in 3:0")
