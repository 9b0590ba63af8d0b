"""The command `xtag`.

Heavy modules are imported inside the commands, so that `xtag --help` answers at once.
"""

from __future__ import annotations

import typer

from .bench import bench
from .catalog import index
from .corrections import compare, correct, export_labels, review
from .demo import demo
from .model import evaluate, info, simulate, train
from .replay import replay

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
