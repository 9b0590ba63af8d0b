"""What the help promises, and what is said where a command or an option is not known."""

import shlex

import pytest
import typer.main
from typer.testing import CliRunner

from bluesky_xtag.cli import app
from bluesky_xtag.cli.helpful import _COMMANDS, _OPTIONS

XTAG = typer.main.get_command(app)
PANELS = {
    "Tag": ["demo", "map", "doctor", "info"],
    "Runs": ["serve", "pin", "veto", "summarise", "recover", "replay", "tag-files", "report", "decisions"],
    "People": ["web", "label", "review", "correct", "compare", "promote", "export-labels"],
    "Models": ["train", "adapt", "evaluate", "robustness", "simulate", "gallery", "bench"],
}


def commands(group=XTAG, name="xtag"):
    for each in group.commands.values():
        if hasattr(each, "commands"):
            yield from commands(each, f"{name} {each.name}")
        else:
            yield f"{name} {each.name}", each


COMMANDS = dict(commands())
each_command = pytest.mark.parametrize("name", COMMANDS)


def xtag(*arguments):
    return CliRunner().invoke(app, arguments)


def words(result):
    return " ".join(result.output.replace("│", " ").split())


def test_commands_stand_in_four_panels():
    found = {}
    for name, command in XTAG.commands.items():
        found.setdefault(command.rich_help_panel, []).append(name)
    assert found == PANELS


@each_command
def test_each_command_has_an_example_that_its_parser_takes(name):
    example = COMMANDS[name].epilog.removeprefix("Example: ")
    start = shlex.split(name)
    given = shlex.split(example)
    assert given[: len(start)] == start
    COMMANDS[name].make_context(name, given[len(start) :])
    assert example in words(xtag(*start[1:], "--help"))


@each_command
def test_each_command_and_option_is_described(name):
    command = COMMANDS[name]
    assert command.help.strip().split("\n\n")[0].endswith(".")
    assert [each.name for each in command.params if not getattr(each, "help", None)] == []


def test_options_mean_one_thing():
    kinds = {}
    for name, command in COMMANDS.items():
        for each in command.params:
            for option in each.opts:
                if option.startswith("-"):
                    kinds.setdefault(option, {}).setdefault((each.bare_type(), each.multiple), []).append(name)
    numbers = [option for option in ("-n", "--last", "--seed", "--epochs", "--samples", "--workers") if option in kinds]
    assert {option: list(kinds[option]) for option in numbers} == {option: [("int", False)] for option in numbers}
    assert list(kinds["--frames"]) == [("Path", False)]
    assert list(kinds["--runs"]) == [("list[str]", True)]
    differing = {option: found for option, found in kinds.items() if len(found) > 1}
    # A model of stored tags is named in words, since its directory need not be here.
    assert differing.keys() <= {"--model"}


@pytest.mark.parametrize(("word", "meant"), _COMMANDS.items())
def test_a_word_for_a_command_names_the_command(word, meant):
    result = xtag(word)
    assert result.exit_code == 2 and f"There is no command {word!r}: use {meant!r}." in words(result)
    assert meant in XTAG.commands and word not in XTAG.commands


def test_a_misspelt_command_names_the_near_one():
    result = xtag("sumarise", "here")
    assert result.exit_code == 2 and "Did you mean 'summarise'?" in words(result)


@pytest.mark.parametrize(("command", "option"), _OPTIONS)
def test_an_option_of_another_command_names_the_right_one(command, option):
    result = xtag(command, option, "1")
    assert result.exit_code == 2
    assert f"`xtag {command}` has no option {option}: {_OPTIONS[command, option]}." in words(result)


def test_a_misspelt_option_names_the_near_one():
    result = xtag("review", "here", "--ordr", "novel")
    assert result.exit_code == 2 and "--order" in words(result)


def test_files_need_no_quotes():
    context = COMMANDS["xtag tag-files"].make_context("tag-files", ["a.h5", "b.h5", "c.cbf", "--out", "t.csv"])
    assert list(context.params["files"]) == ["a.h5", "b.h5", "c.cbf"]
