"""The command `xtag`.

Heavy modules are imported inside the commands, so that `xtag --help` answers at once.
"""

from __future__ import annotations

import typer

from .bench_panel import bench
from .helpful import HelpfulCommand, HelpfulGroup
from .models_panel import adapt, evaluate, gallery, robustness, simulate, train
from .people_panel import compare, correct, export_labels, label, promote, review
from .runs_panel import decisions, recover, replay, summarise, tag_files
from .serve_panel import serve
from .tag_panel import demo, doctor, info, map_phases
from .web_panel import report, web
from .wish_panel import pin, veto

__all__ = ["app"]

app = typer.Typer(
    cls=HelpfulGroup,
    help="Tags every detector frame of a Bluesky scan while it runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# By panel: each command with its name and an example.
_PANELS = {
    "Tag": (
        (demo, "demo", "xtag demo --points 5 5"),
        (map_phases, "map", "xtag map --tag ring --max-points 60"),
        (doctor, "doctor", "xtag doctor ~/.ipython/profile_collection"),
        (info, "info", "xtag info --model MY-MODEL"),
    ),
    "Runs": (
        (serve, "serve", "xtag serve xtag-demo --subscribe 127.0.0.1:5578 --publish 127.0.0.1:5577"),
        (pin, "pin", "xtag pin x=3.2 y=1 --by ab"),
        (veto, "veto", "xtag veto x=4:5.5 --by ab"),
        (summarise, "summarise", "xtag summarise xtag-demo --since 2026-03-01"),
        (recover, "recover", "xtag recover xtag-demo"),
        (replay, "replay", "xtag replay xtag-demo --runs plan_name=grid_scan --model MY-MODEL"),
        (tag_files, "tag-files", "xtag tag-files data/*.h5 --out tags.csv"),
        (report, "report", "xtag report xtag-demo report.html --run 7"),
        (decisions, "decisions", "xtag decisions xtag-demo --run -1"),
    ),
    "People": (
        (web, "web", "xtag web xtag-demo"),
        (label, "label", "xtag label 'data/*.h5' labels.h5 -n 30 --by ab"),
        (review, "review", "xtag review xtag-demo --order novel -n 10"),
        (correct, "correct", "xtag correct xtag-demo 7 3 --add ring --by ab"),
        (compare, "compare", "xtag compare xtag-demo --models 'default 0.6.0' mine"),
        (promote, "promote", "xtag promote xtag-demo --model MY-MODEL"),
        (export_labels, "export-labels", "xtag export-labels xtag-demo labels.h5"),
    ),
    "Models": (
        (train, "train", "xtag train --out MY-MODEL --samples 20000 --epochs 4"),
        (adapt, "adapt", "xtag adapt labels.h5 --out MY-MODEL"),
        (evaluate, "evaluate", "xtag evaluate labels.h5 --html figures.html"),
        (robustness, "robustness", "xtag robustness -n 100 --picture robustness.png"),
        (simulate, "simulate", "xtag simulate simulated.h5 -n 500 --seed 1"),
        (gallery, "gallery", "xtag gallery gallery.png"),
    ),
}
for panel, commands in _PANELS.items():
    for function, name, example in commands:
        app.command(name, cls=HelpfulCommand, epilog=f"Example: {example}", rich_help_panel=panel)(function)
app.add_typer(bench, name="bench", rich_help_panel="Models")
