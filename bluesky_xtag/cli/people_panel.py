"""`xtag label`, `review`, `correct`, `compare`, `promote` and `export-labels`: for people who label and check tags."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import XTagValueError, printable
from .options import (
    ApiKey,
    Catalog,
    Centre,
    ImageKey,
    Last,
    Masked,
    Model,
    Number,
    Picture,
    RootMaps,
    Roots,
    Runs,
    Seed,
    check_directory,
    open_catalogue,
    parse_roots,
    report_errors,
    resumable,
)

__all__ = ["compare", "correct", "export_labels", "label", "promote", "review"]

View = Callable[[Any], None]
Run = Annotated[str, typer.Argument(help="The run: a uid or its first digits, or a scan_id.")]


def label(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", help="Image files, or patterns such as 'data/**/*.cbf' in quotes."),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT.h5", help="HDF5 file for the labels. If it exists, frames are added to it.")
    ],
    n: Number = 30,
    order: Annotated[
        str,
        typer.Option(help="Which frames come first: novel, uncertain, random, or files for the order of the files."),
    ] = "novel",
    seed: Seed = 0,
    ask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG",
            help="Ask for this tag only, or for a tag of your own: 'ice=rings of ice'. You can repeat it. By default "
            "for all tags that OUT.h5 has, or the model knows.",
        ),
    ] = None,
    model: Model = None,
    blind: Annotated[bool, typer.Option("--blind", help="Show no proposals and no scores of the model.")] = False,
    by: Annotated[str | None, typer.Option(help="Who labels: a name or initials. Default: the user.")] = None,
    source: Annotated[
        str | None,
        typer.Option(help="What the frames come from, such as a sample. Default: each file, or each series."),
    ] = None,
    key: ImageKey = None,
    beam_centre: Centre = None,
    mask: Masked = None,
    root_map: RootMaps = None,
    window: Annotated[
        bool, typer.Option("--window", help="Show the frames in a browser, not in this terminal.")
    ] = False,
) -> None:
    """Label frames of files, with a key for each tag, for `xtag adapt` and `xtag evaluate`.

    A model proposes the tags, and you change what is wrong. Each frame is on disk as soon as you keep it. After a stop,
    the same command continues from there.
    """
    with report_errors(), resumable():
        from ..review import label_files

        show = _choose_view(window)
        with _progress() as (track, after):
            done = label_files(
                files,
                out,
                show=after(show),
                n=n,
                order=order,
                seed=seed,
                tags=_parse_tags(ask),
                model=model,
                blind=blind,
                by=by,
                source=source,
                key=key,
                beam_centre=beam_centre,
                mask=mask,
                root_map=parse_roots(root_map),
                track=track,
            )
    print(f"{out}: {done.labelled} frames of {done.sources} sources, {done.added} of them new")
    counts = {"skipped": done.skipped, "left out because their pixels are labelled": done.known}
    print("".join(f"{count} frames were {what}\n" for what, count in counts.items() if count), end="")
    for frame, reason in done.unreadable.items():
        print(printable(f"xtag: {frame} cannot be read: {reason}"), file=sys.stderr)
    if done.left and done.stopped:
        print(f"{done.left} are left: the same command goes on from there")
    elif done.left:
        print(f"there are no more frames in these files, though {done.left} more were asked for")
    elif not done.added:
        print(f"the {n} frames that you asked for are labelled: a larger -n asks for more")


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
        from ..catalog import as_catalog, find_run, plain_rows
        from ..review import correct, corrections
        from ..search import tags

        wanted = [_frame(frame) for frame in frames]
        with open_catalogue(catalog, api_key) as client:
            found = find_run(as_catalog(client), run)
            uid = correct(found, wanted, ",".join(add or ()), ",".join(remove or ()), by=by, note=note, confirm=confirm)
            told, table = corrections(found), plain_rows(tags(found), found)
    changed = told[told["correction"] == uid].merge(table, on=["key", "seq_num", "index"], suffixes=("_said", ""))
    for row in changed.to_dict("records"):
        image = f"{row['key']} {row['seq_num']}:{row['index']}"
        print(printable(f"row {row['row']} ({image}): {row['tags'] or 'no tags'}"))


def export_labels(
    catalog: Catalog,
    out: Annotated[Path, typer.Argument(help="HDF5 file to write. It must not exist yet.")],
    runs: Runs = None,
    roots: Roots = None,
    api_key: ApiKey = None,
) -> None:
    """Write the frames that people corrected to a file for `xtag adapt` and `xtag evaluate`.

    In this file only what people said is certain. A tag that nobody spoke of is unknown, whatever the model said.
    """
    with report_errors():
        from rich.console import Console

        from ..review import export_labels

        with open_catalogue(catalog, api_key) as client, Console(stderr=True).status(f"Reading frames for {out.name}"):
            done = export_labels(client, out, runs, roots=roots or None)
    print(f"{out}: {done.frames} frames of {done.runs} runs, {done.labels} labels")
    for frame, reason in done.unreadable.items():
        print(printable(f"left out: {frame}: {reason}"))


def review(
    catalog: Catalog,
    n: Number = 20,
    order: Annotated[str, typer.Option(help="Which frames come first: uncertain, novel or newest.")] = "uncertain",
    model: Annotated[
        str, typer.Option(help="The model that gave the tags: a name, a name and a version, or a sha256.")
    ] = "latest",
    last: Last = 100,
    picture: Picture = None,
    roots: Roots = None,
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
                draw_review(client, proposed, picture, roots=roots or None)
    Console(highlight=False).print(review_table(proposed))


Two = Annotated[
    tuple[str, str],
    typer.Option(
        help="Two models, each as a name, a name and a version, or a sha256; or as own (the one that gave a run its "
        "tags) and shadow (the one that looked on)."
    ),
]


def compare(
    catalog: Catalog,
    models: Two,
    n: Number = 20,
    last: Last = 100,
    picture: Picture = None,
    roots: Roots = None,
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
                draw_disputed(client, found, picture, roots=roots or None)
    for table in found.tables(n):
        Console(highlight=False).print(table)


def promote(
    catalog: Catalog,
    models: Two = ("own", "shadow"),
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help="The directory of one of them, to print the line that installs it. May be given several times. The "
            "packaged model is known."
        ),
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Say which of two models people's corrections prefer, and how sure that is. Nothing is changed.

    Over the corrected frames that both models scored, it compares their errors a frame.
    """
    with report_errors():
        from rich.console import Console

        from ..review import judge_models

        places = _install_lines([None, *(model or ())])
        with open_catalogue(catalog, api_key) as client, Console(stderr=True).status("Reading tags and corrections"):
            found = judge_models(client, *models)
    print(*found.lines(), found.verdict(), sep="\n")
    if found.better is not None:
        better = found.models[found.better]
        print(places.get(better, f"install(RE, model=...)  # the directory of {better}; --model names it"))


def _install_lines(directories: list[Path | None]) -> dict[str, str]:
    """Return, by the label of a model, the line that installs it; None is the directory of the packaged one."""
    from ..model import ModelCard
    from ..review import label

    lines = {}
    for directory in directories:
        card = ModelCard.load(directory)
        named = {"model": card.name, "model_version": card.version, "model_sha256": card.sha256}
        lines[label(named)] = (
            "install(RE)" if directory is None else f"install(RE, model={str(directory.absolute())!r})"
        )
    return lines


def _choose_view(window: bool) -> View:
    """Return what shows the frames: the browser if it is wanted, or if the terminal can show no picture."""
    from ..review import can_show, check_terminal, check_window, label_in_terminal, label_in_window

    if not window:
        check_terminal()
        if can_show():
            return label_in_terminal
    check_window()
    return label_in_window


def _parse_tags(options: list[str] | None) -> dict[str, str]:
    """Return tags and what they mean."""
    pairs = (option.partition("=") for option in options or ())
    return {tag.strip(): definition.strip() for tag, _, definition in pairs}


@contextmanager
def _progress() -> Iterator[tuple[Any, Callable[[View], View]]]:
    """Yield what shows how many frames are scored, and what makes a view end that before it shows frames."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Loading the model", total=None)

        def track(candidates: Iterable[Any], count: int) -> Iterator[Any]:
            for number, candidate in enumerate(candidates, 1):
                progress.update(task, description="Looking at frames", completed=number, total=count)
                yield candidate

        def after(show: View) -> View:
            def stop_and_show(session: Any) -> None:
                progress.stop()
                show(session)

            return stop_and_show

        yield track, after


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
