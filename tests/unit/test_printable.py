"""What documents of others hold is shown in a terminal, and never obeyed by it."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluesky_xtag.cli.options import finish, report_errors
from bluesky_xtag.documents import read_summary
from bluesky_xtag.errors import NoTagsError, XTagError, printable

SEQUENCES = (
    "\x1b]0;another title\x07",
    "\x1b[2J",
    "\x9b31m",
    "over\rwritten",
    "\x08\x08",
    "\u202egnp.exe",
    "\x00",
)


def obeyed(text):
    """Characters that a terminal obeys, but tab and new line."""
    return [
        each for each in text if ord(each) < 32 and each not in "\t\n" or 127 <= ord(each) < 160 or each == "\u202e"
    ]


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_errors_and_logs_hold_none(sequence, caplog):
    assert obeyed(sequence)
    for kind in (XTagError, NoTagsError):
        assert not obeyed(str(kind(f"run {sequence} has no tags")))
    logging.getLogger("bluesky_xtag").warning("Run %s is passed over: %s", sequence, 3)
    assert not obeyed(caplog.messages[-1]) and caplog.messages[-1].endswith("is passed over: 3")


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_commands_print_none(sequence, capsys):
    import typer

    with pytest.raises(typer.Exit):
        finish([f"run {sequence}: failed"])
    with pytest.raises(typer.Exit), report_errors():
        raise OSError(28, "No space left on device", f"/data/{sequence}")
    assert not obeyed(capsys.readouterr().err)


@given(st.text("ab 1\t\n\r\x00\x1b\x7f\x85\x9b\u202a\u202e\u2066é λ—😀", max_size=60))
def test_all_else_stays(text):
    shown = printable(text)
    assert not obeyed(shown) and printable(shown) == shown
    if not obeyed(text) and not set(text) & set("\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069"):
        assert shown == text


def test_logs_hide_secrets(caplog):
    logging.getLogger("bluesky_xtag").warning("opening %s", "https://tiled.example.org/?api_key=abcdefgh12345")
    assert caplog.messages == ["opening https://tiled.example.org/?api_key=***"]


def test_a_strangers_summary_is_told_of_without_its_control_characters(caplog):
    assert read_summary({"uid": "evil\x1b[2J", "xtag": {"frames": "\x1b]0;x\x07"}}) is None
    assert "evil" in caplog.text and not obeyed(caplog.messages[-1])
