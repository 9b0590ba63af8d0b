"""Commands that name the right command or option where a user gives one that does not exist."""

from __future__ import annotations

from typing import Any

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

__all__ = ["HelpfulCommand", "HelpfulGroup"]

_UsageError: Any = BadParameter.__mro__[1]

# What people try, because another command has it or because it is the word for it elsewhere.
_COMMANDS = {
    "adaptive": "map",
    "again": "replay",
    "export": "export-labels",
    "files": "tag-files",
    "index": "summarise",
    "annotate": "label",
    "summarize": "summarise",
    "summary": "summarise",
    "tag": "tag-files",
    "test": "evaluate",
}
_OPTIONS = {
    ("demo", "--adaptive"): "use `xtag map`",
    ("demo", "--tag"): "use `xtag map --tag`",
    ("demo", "--max-points"): "use `xtag map --max-points`",
    ("summarise", "--recover"): "use `xtag recover CATALOG`",
    ("replay", "--files"): "use `xtag tag-files FILES... --out TABLE`",
    ("replay", "--out"): "use `xtag tag-files FILES... --out TABLE`",
    ("replay", "--decisions"): "use `xtag decisions CATALOG --run RUN`",
    ("tag-files", "--files"): "name the files without it: `xtag tag-files FILES... --out TABLE`",
    ("decisions", "--runs"): "use --run, for one run",
    ("review", "--by"): "use --order",
    ("review", "--runs"): "use --last, which counts runs",
    ("compare", "--runs"): "use --last, which counts runs",
    ("label", "--frames"): "use -n",
    ("label", "--out"): "name the file of labels last: `xtag label FILES... OUT.h5`",
    ("train", "--from"): "use --start, or `xtag adapt` to adapt a model to frames of your own",
    ("train", "--model"): "use --start",
    ("train", "--frames"): "use `xtag adapt FRAMES --out MODEL`",
    ("adapt", "--frames"): "name the file without it: `xtag adapt FRAMES --out MODEL`",
    ("adapt", "--from"): "use --model",
    ("evaluate", "--robustness"): "use `xtag robustness`",
    ("evaluate", "--frames"): "name the file without it: `xtag evaluate FRAMES`",
    ("robustness", "--frames-per-level"): "use -n",
    ("simulate", "--gallery"): "use `xtag gallery PICTURE`",
    ("simulate", "--frames"): "use -n",
}


class HelpfulGroup(TyperGroup):
    """A group that knows other names that people use for its commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command, or fail with the name of the right one."""
        if args and args[0] in _COMMANDS and args[0] not in self.commands:
            ctx.fail(f"There is no command {args[0]!r}: use {_COMMANDS[args[0]]!r}.")
        return super().resolve_command(ctx, args)


class HelpfulCommand(TyperCommand):
    """A command that knows which other command or option does what a missing option would do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, or fail with the right option or command."""
        given = [arg.partition("=")[0] for arg in args if arg.startswith("-")]
        try:
            return super().parse_args(ctx, args)
        except _UsageError:
            for option in given:
                if remedy := _OPTIONS.get((ctx.info_name, option)):
                    ctx.fail(f"`xtag {ctx.info_name}` has no option {option}: {remedy}.")
            raise
