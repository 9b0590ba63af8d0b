"""What strangers named is shown as it is: rich's tables take square brackets for markup."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bluesky_xtag.errors import printable
from bluesky_xtag.review import review_table
from bluesky_xtag.review.comparing import Comparison
from bluesky_xtag.train.evaluate.report import figures

NAMES = ["[/]", "[bold red]ring", "[link=http://elsewhere.example]ring[/link]", "[@click=app.quit]x", "a[0]"]


def shown(*tables):
    console = Console(file=io.StringIO(), width=400)
    console.print(*tables)
    return console.file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_names_in_tables(name):
    row = {"run": f"{name}", "scan_id": name, "row": 1, "key": name, "seq_num": 1, "index": 0, "tags": name}
    proposed = pd.DataFrame([row | {"doubt": 0.5, "doubtful": name, "novelty": 1.0}])
    assert shown(review_table(proposed)).count(name) >= 3
    tags = pd.DataFrame(
        {"both": [1], "only_first": [0], "only_second": [0], "neither": [1], "kappa": [1.0]}, index=pd.Index([name])
    )
    frames = pd.DataFrame([row | {"only_first": name, "only_second": "", "tag": name, "first": 0.1, "second": 0.9}])
    assert shown(*Comparison((name, name), tags, frames, 1, 0).tables()).count(name) >= 5
    report = figures([name], np.array([[0], [1]]), np.array([[0.1], [0.9]]), np.array([0.5]))
    assert name in shown(report.table(name))


@pytest.mark.parametrize("control", ["\x1b]0;another title\x07", "\x1b[2J", "\x9b31m", "\r", "\u202e", "\x00"])
def test_tables_hold_nothing_that_a_terminal_obeys(control):
    name = f"a{control}b"
    row = {"run": "uid", "scan_id": 1, "row": 1, "key": name, "seq_num": 1, "index": 0, "tags": name}
    proposed = pd.DataFrame([row | {"doubt": 0.5, "doubtful": name}])
    report = figures([name], np.array([[0], [1]]), np.array([[0.1], [0.9]]), np.array([0.5]))
    text = shown(review_table(proposed), report.table(name))
    assert control not in text
    assert text.count(printable(name)) == 5
