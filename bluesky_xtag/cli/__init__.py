"""The command `xtag`.

Heavy modules are imported inside the commands, so that `xtag --help` answers at once.
"""

from __future__ import annotations

import typer

from .bench_panel import bench
from .catalog_commands import index
from .models_panel import evaluate, info, simulate, train
from .people_panel import compare, correct, export_labels, review
from .runs_panel import replay
from .tag_panel import demo

__all__ = ["app"]

app = typer.Typer(
    help="Tags every detector frame of a Bluesky scan while it runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, train, simulate, evaluate, info, index, replay, correct, export_labels, review, compare):
    app.command()(command)
app.add_typer(bench, name="bench")
