"""The parts of the pages that come from the code, the packaged model and the measurements.

They stand in the pages, so that people can read them wherever the pages are shown. `make docs` writes them anew, as
`python docs/from_code.py` does, and a test fails if a page differs from what it describes.
"""

import ast
import importlib.util
import json
import re
import tomllib
from pathlib import Path

import bluesky_xtag
from bluesky_xtag import DEFAULT_TAXONOMY

__all__ = [
    "adaptive",
    "adaptive_before",
    "backends",
    "chaos",
    "columns",
    "command_line",
    "complete",
    "configuration",
    "corrections",
    "decision_columns",
    "epics",
    "faults",
    "layers",
    "measured",
    "measures",
    "model",
    "model_measures",
    "replay",
    "robustness",
    "search",
    "shadow_columns",
    "tags",
    "tradeoff",
    "travel",
    "write",
]

ROOT = Path(__file__).parents[1]
CARD = Path(bluesky_xtag.__file__).parent / "model" / "default" / "card.json"
BENCH = Path(__file__).parent / "reference" / "bench-live.json"
BENCH_MODEL = BENCH.with_name("bench-model.json")
TRADEOFF = BENCH.with_name("tradeoff.json")
SEARCH = BENCH.with_name("bench-search.json")
REPLAY = BENCH.with_name("bench-replay.json")
BACKENDS = BENCH.with_name("bench-backends.json")
CHAOS = BENCH.with_name("bench-chaos.json")
EPICS = BENCH.with_name("bench-epics.json")
ROBUSTNESS = BENCH.with_name("robustness.json")
MEASURED = BENCH.with_name("measured-frames.json")
ADAPTIVE = BENCH.with_name("adaptive.json")
TRAVEL = BENCH.with_name("travel.json")
ADAPTIVE_BEFORE = BENCH.with_name("adaptive-before.json")
ADAPTIVE_PICTURE = Path(__file__).parent / "images" / "adaptive.png"
TRADEOFF_PICTURE = Path(__file__).parent / "images" / "tradeoff.png"
_PART = re.compile(r"^(<!-- from_code: (\w+) -->)$.*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)
MEASURES = {
    "callback_p50_ms": "time taken from the RunEngine per document, p50",
    "callback_p99_ms": "time taken from the RunEngine per document, p99",
    "overlap_document_to_scores_p50_ms": "from document to scores, `overlap`, p50",
    "overlap_document_to_scores_p95_ms": "from document to scores, `overlap`, p95",
    "overlap_document_to_scores_p99_ms": "from document to scores, `overlap`, p99",
    "point_document_to_scores_p50_ms": "from document to scores, `point`, p50",
    "point_document_to_scores_p95_ms": "from document to scores, `point`, p95",
    "point_document_to_scores_p99_ms": "from document to scores, `point`, p99",
    "overlap_scan_time_over_without": "scan time with `overlap`, over scan time without tagging",
    "point_scan_time_over_without": "scan time with `point`, over scan time without tagging",
    "scan_seconds_without": "scan time without tagging",
}


def complete(text):
    """Return the text of a page with its parts from the code as they are now.

    Such a part stands between `<!-- from_code: NAME -->` and `<!-- end -->`, where NAME is a function of this module.
    """
    return _PART.sub(lambda found: f"{found[1]}\n\n{globals()[found[2]]()}\n{found[3]}", text)


def write(directory=Path(__file__).parent):
    """Complete the pages of a directory where they differ from the code, and return which those were."""
    changed = []
    for page in sorted(directory.rglob("*.md")):
        text = page.read_text("utf-8")
        if (completed := complete(text)) != text:
            page.write_text(completed, "utf-8")
            changed.append(page)
    return changed


def tags():
    """Return a table of the default taxonomy."""
    return _table(
        ("group", "tag", "holds when"), ((tag.group, f"`{tag.name}`", tag.definition) for tag in DEFAULT_TAXONOMY.tags)
    )


def layers():
    """Return the layers of the package, from the import contract, and what each package is for."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    contract = next(each for each in settings["contracts"] if each["type"] == "layers")
    floors = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return _table(
        ("floor", "package", "what is there"),
        (
            (str(len(floors) - number) if first else "", f"`{name}`", _first_line(name))
            for number, floor in enumerate(floors)
            for first, name in ((name == floor[0], name) for name in floor)
        ),
    )


def _first_line(package):
    """Return the first sentence of a package's docstring."""
    path = Path(bluesky_xtag.__file__).parent / package
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text("utf-8")
    return " ".join(ast.get_docstring(ast.parse(source)).split("\n\n")[0].split())


def columns():
    """Return a table of the columns of the stream "tags"."""
    from bluesky_xtag.documents import ROW, SCORE, STRENGTH

    return _columns("column", "xtag", (SCORE, STRENGTH, *ROW))


def shadow_columns():
    """Return a table of the columns that the stream "tags_shadow" has besides."""
    from bluesky_xtag.documents import SKIPPED

    return _columns("column of the shadow", "xtag_shadow", (SKIPPED,))


def corrections():
    """Return a table of the columns that corrections have besides."""
    from bluesky_xtag.documents import CORRECTION

    return _columns("column of corrections", "xtag", CORRECTION)


def configuration():
    """Return a table of what the descriptor of the stream "tags" records."""
    from bluesky_xtag.documents import CONFIGURATION

    return _columns("configuration key", "xtag", CONFIGURATION)


def decision_columns():
    """Return a table of the columns of the stream "decisions"."""
    from bluesky_xtag.plans.decisions import ASKED, CHOSEN, COLUMNS, DRIFT, FLOWN, WISHED

    return _columns("decision column", "decision", (*COLUMNS, CHOSEN, *ASKED, *WISHED, *DRIFT, *FLOWN))


def _columns(head, name, described):
    rows = ((f"`{name}_{each.suffix}`", each.dtype, each.meaning) for each in described)
    return _table((head, "dtype", "meaning"), rows)


def faults():
    """Return the table of what happens where a catalogue or a disk fails, from the tests that prove it."""
    path = ROOT / "tests" / "support" / "faults.py"
    spec = importlib.util.spec_from_file_location("faults", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    rows = ((each.step, each.fault, each.there, each.then) for each in found.FAULTS)
    return _table(("step", "fault", "what is there", "what the next call does"), rows)


def model():
    """Return what the card of the packaged model says: identity, and the figures of each tag."""
    card = json.loads(CARD.read_text("utf-8"))
    figures = card["figures"]["held_out"]
    tags = {figure["tag"]: figure for figure in figures["tags"]}
    found, chance = figures["mean_average_precision"], figures["chance"]
    identity = (
        f"Model `{card['name']}`, version {card['version']}, {card['parameters']:,} parameters, "
        f"SHA-256 `{card['sha256'][:12]}`. Mean average precision on held-out geometries: "
        f"**{found:.3f}**; chance: {chance:.3f}.\n\n"
    )
    rows = (
        (
            f"`{tag['name']}`",
            f"{threshold:.2f}",
            *(_figure(tags[tag["name"]].get(key)) for key in ("average_precision", "prevalence", "f1")),
            str(tags[tag["name"]]["frames"]),
        )
        for tag, threshold in zip(card["taxonomy"], card["thresholds"], strict=True)
    )
    head = ("tag", "accepted from", "average precision", "chance (prevalence)", "F1 at the threshold", "frames")
    return identity + _table(head, rows)


def measures():
    """Return the figures of `xtag bench live` that are kept with these pages."""
    if not BENCH.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(BENCH.read_text("utf-8"))
    rows = ((meaning, f"{figures[name]:.3g}{_unit(name)}") for name, meaning in MEASURES.items())
    rounds = f"{_measured_on(figures)}: {figures['rounds']} rounds of {figures['points']} points.\n\n"
    return rounds + _table(("figure", "measured"), rows)


def model_measures():
    """Return the figures of `xtag bench model` that are kept with these pages."""
    from bluesky_xtag.cli.bench.model_bench import BARS, MEANINGS

    if not BENCH_MODEL.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(BENCH_MODEL.read_text("utf-8"))
    frames = figures["frames"].values()
    stages = (
        (meaning, *(" / ".join(f"{one[f'{stage}_p{percent}_ms']:.1f}" for percent in (50, 95, 99)) for one in frames))
        for stage, meaning in MEANINGS.items()
    )
    rates = ("16 frames a call, frames a second", *(f"{one['frames_per_second']:.0f}" for one in frames))
    head = (
        "p50 / p95 / p99, ms",
        *(f"{name}, {one['rows']} x {one['columns']}" for name, one in figures["frames"].items()),
    )
    bars = ((f"{bar.frame} `{bar.figure}`".strip(), f"{bar.value(figures):.3g}", str(bar)) for bar in BARS)
    cold = ", ".join(f"{step} {seconds:.2g} s" for step, seconds in figures["cold_start_seconds"].items())
    return (
        f"{_measured_on(figures)}, load {figures['load']}.\n\n{_table(head, [*stages, rates])}\n"
        f"{_table(('figure', 'measured', 'must be'), bars)}\nFrom cold: {cold}.\n"
    )


def robustness():
    """Return the figures of `xtag robustness` that are kept with these pages."""
    if not ROBUSTNESS.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(ROBUSTNESS.read_text("utf-8"))
    rows = (
        (
            curve["title"],
            *(f"{_figure(level['paired_drop'])} at {level['level']:g}" for level in _middle_and_end(curve["levels"])),
            curve["unit"],
            f"{curve['bars']['middle']:g} / {curve['bars']['end']:g}",
            {True: "met", False: "**missed**", None: ""}[curve["met"]],
        )
        for curve in figures["curves"].values()
    )
    head = ("nuisance", "drop at the middle", "drop at the end", "unit", "at most", "")
    model, clean = figures["model"].partition(",")[0], figures["clean"]["mAP"]
    of = f"Model {model}, {figures['frames']} frames a level; mAP of the clean frames {clean:.3f}.\n\n"
    return of + _table(head, rows)


def _middle_and_end(levels):
    return levels[len(levels) // 2], levels[-1]


def measured():
    """Return the figures of `xtag evaluate` on measured frames that are kept with these pages."""
    if not MEASURED.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(MEASURED.read_text("utf-8"))
    rows = (
        (f"`{name}`", *(_figure(tag[key]) for key in ("ap", "prevalence", "f1")), str(tag["positives"]))
        for name, tag in figures["tags"].items()
    )
    head = ("tag", "average precision", "chance (prevalence)", "F1 at the threshold", "frames that hold it")
    mean = f"mean average precision {figures['mAP']:.3f}, chance {figures['chance']:.3f}"
    return f"{figures['frames']} frames; {mean}.\n\n{_table(head, rows)}"


def tradeoff():
    """Return the figures of `xtag bench tradeoff` that are kept with these pages, and their picture."""
    from bluesky_xtag.cli.bench.tradeoff_bench import TITLES

    if not TRADEOFF.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(TRADEOFF.read_text("utf-8"))
    settings, variants = figures["settings"], figures["variants"]
    machine = (
        f"{settings['samples']:,} samples, {settings['epochs']} epochs, seed {settings['seed']}; chance mAP "
        f"{variants[0]['chance']:.3f}. Timed on {figures['machine']}, load {figures['load']}.\n\n"
    )
    speed = ("variant", "samples seen", "mAP", "parameters", "training, s", "ms a frame", "ms a frame, 16 a call")
    rows = (
        (
            row["name"],
            f"{row['visits']:,}",
            f"{row['map']:.3f} ± {row['map_error']:.3f}",
            f"{row['parameters']:,}",
            f"{row['train_seconds']:.0f}",
            f"{row['frame_ms']:.1f}",
            f"{row['batched_frame_ms']:.1f}",
        )
        for row in variants
    )
    drops = ((row["name"], *(_figure(row["drops"][name]) for name in TITLES)) for row in variants)
    picture = f"\n![mAP, time a frame and drops of each variant](../images/{TRADEOFF_PICTURE.name})\n"
    return (
        f"{machine}{_table(speed, rows)}\nDrop of mAP from clean frames:\n\n"
        f"{_table(('variant', *TITLES.values()), drops)}{picture if TRADEOFF_PICTURE.exists() else ''}"
    )


def search():
    """Return the figures of `xtag bench search` that are kept with these pages."""
    if not SEARCH.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(SEARCH.read_text("utf-8"))
    asked = {
        "score": "a score of at least 0.99",
        "score_and_fraction": "0.9, and half of the frames",
        "score_and_model": "0.9, by one model and version",
        "score_and_time": "0.9, within 1000 runs' time",
    }
    rows = (
        (
            asked[name],
            f"{each['found']:,}",
            *(f"{1e3 * each[key]:.0f} ms" for key in ("count", "first_page", "slowest", "processor")),
        )
        for name, each in figures["searches"].items()
    )
    versions = ", ".join(f"{package} {version}" for package, version in figures["versions"].items())
    measured = (
        f"Measured on {figures['machine']}, load {figures['load']}, {versions}: {figures['runs']:,} runs, "
        f"{figures['catalog_mib']} MiB, medians of {figures['rounds']} and the slowest of all.\n\n"
    )
    head = ("asked of `ring`", "runs found", "count", "first 100 runs", "slowest", "processor time of both")
    return measured + _table(head, rows)


def replay():
    """Return the figures of `xtag bench replay` that are kept with these pages."""
    if not REPLAY.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(REPLAY.read_text("utf-8"))
    measured = (
        f"{_measured_on(figures)}, load {figures['load']}: {figures['frames']} frames of {figures['rows']} x "
        f"{figures['columns']} pixels.\n\n"
    )
    rows = (
        (name, f"{one['frames_per_second']:.1f}", f"{one['start_seconds']:.0f} s", f"{one['peak_mib']:.0f} MiB")
        for name, one in figures["engines"].items()
    )
    return measured + _table(("where", "frames a second", "time to start", "peak memory of a process"), rows)


def backends():
    """Return the figures of `xtag bench backends` that are kept with these pages."""
    from bluesky_xtag.cli.bench.backends_bench import BARS

    return _against(BARS, BACKENDS, "{rounds} rounds of {points} points")


def chaos():
    """Return the figures of `xtag bench chaos` that are kept with these pages."""
    from bluesky_xtag.cli.bench.chaos_bench import in_words

    if not CHAOS.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(CHAOS.read_text("utf-8"))
    rows = (
        (name, *(str(one[key]) for key in ("runs", "failed", "frames", "rows")), in_words(one))
        for name, one in figures["parts"].items()
    )
    measured = f"Measured on {figures['machine']}, model {figures['model']}, seed {figures['seed']}.\n\n"
    return measured + _table(("what", "scans", "failed", "frames", "rows", "and"), rows)


def epics():
    """Return the figures of `xtag bench epics` that are kept with these pages."""
    from bluesky_xtag.cli.bench.epics_bench import BARS

    return _against(BARS, EPICS, "{rounds} rounds of {points} points")


def _against(bars, path, what):
    """Return figures next to the bars that they must reach."""
    if not path.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(path.read_text("utf-8"))
    rows = (
        (f"`{bar.figure}`", f"{bar.value(figures):.4g}", str(bar), "held" if bar.holds(figures) else "**missed**")
        for bar in bars
    )
    measured = f"{_measured_on(figures)}, load {figures['load']}: {what.format(**figures)}.\n\n"
    return measured + _table(("figure", "measured", "must be", ""), rows)


def adaptive():
    """Return the figures of `xtag bench adaptive` that are kept with these pages, and their picture."""
    picture = f"\n![Maps and progress of the strategies](../images/{ADAPTIVE_PICTURE.name})\n"
    return _of_strategies(ADAPTIVE) + (picture if ADAPTIVE.exists() and ADAPTIVE_PICTURE.exists() else "")


def travel():
    """Return the figures of maps with motors that need time, of `xtag bench adaptive --task travel`."""
    return _of_strategies(TRAVEL)


def _of_strategies(path):
    if not path.exists():
        return "There are no figures for this version yet.\n"
    figures = json.loads(path.read_text("utf-8"))
    verdicts = {True: "held", False: "**missed**", None: ""}
    rows = (
        (f"`{row['task']}`", row["what"], row["reached"], row["bar"], verdicts[row["holds"]]) for row in figures["rows"]
    )
    return (
        f"{_measured_on(figures)}; {figures['seeds']} samples each: median (lowest to highest).\n\n"
        f"{_table(('task', 'figure', 'reached', 'must be', ''), rows)}"
    )


def adaptive_before():
    """Return the figures of the strategies next to those of the strategies before decision 35."""
    figures = json.loads(ADAPTIVE_BEFORE.read_text("utf-8"))
    rows = ((f"`{row['task']}`", row["what"], row["before"], row["now"]) for row in figures["rows"])
    return f"Model {figures['model']}.\n\n{_table(('task', 'figure', 'before', 'now'), rows)}"


def command_line():
    """Return the help of the command `xtag` and of its subcommands."""
    import typer.main
    from click import Context
    from typer.cli import get_docs_for_click

    from bluesky_xtag.cli import app

    command = typer.main.get_command(app)
    for each in command.commands.values():  # else the list of commands is cut at 45 letters
        each.short_help = each.help.split("\n\n")[0]
    return get_docs_for_click(obj=command, ctx=Context(command, info_name="xtag"), name="xtag", indent=1)


def _measured_on(figures):
    versions = ", ".join(f"{package} {version}" for package, version in figures["versions"].items())
    return f"Measured on {figures['machine']}, device {figures['device']}, model {figures['model']}, {versions}"


def _unit(name):
    return " ms" if name.endswith("_ms") else " s" if "seconds" in name else ""


def _figure(value):
    return "" if value is None else f"{value:.3f}"


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    for each in write():
        print(f"{each.relative_to(ROOT)} is written anew")
