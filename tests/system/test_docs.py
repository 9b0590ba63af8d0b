"""The documentation is true: its Python blocks run, its links lead somewhere, its tables are those of the code.

The blocks of a page run in their order, in the session of the IPython profile: fences ```python, and the checks that
stand in comments `<!-- test ... -->`. What cannot run here stands in {code-block} python, under a caption.
"""

import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from support.places import ROOT

import bluesky_xtag
from bluesky_xtag import DEFAULT_TAXONOMY, documents
from bluesky_xtag.model import Preparation
from bluesky_xtag.plans import decisions

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)])
MODEL = Path(bluesky_xtag.__file__).parent / "model" / "default" / "card.json"

# Pages that leave their mark on the process: a client of Channel Access looks for its IOC in one place, for ever.
ALONE = ("how-to/areadetector.md",)
_IS_ALONE = "XTAG_TEST_PAGE_ALONE"

_RUN = re.compile(r"^```python\n(?P<block>.*?)^```$|^<!-- test\n(?P<check>.*?)^-->$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^(`{3,}).*?^\1$|^<!-- test\n.*?^-->$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_NOT_RUN = re.compile(r"^```\{code-block\} python\n(?P<caption>.*)$", re.MULTILINE)


def blocks(page):
    """The code to run, each piece on the lines that it has in the page."""
    text = page.read_text("utf-8")
    for found in _RUN.finditer(text):
        kind = found.lastgroup
        yield "\n" * text.count("\n", 0, found.start(kind)) + found[kind]


def each(pages):
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """The names that the profile's startup files make, with a catalogue of their own."""
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XTAG_CATALOG", str(tmp_path_factory.mktemp("catalog")))
        for startup in sorted((ROOT / "profiles" / "xtag" / "startup").glob("*.py")):
            names |= runpy.run_path(str(startup), init_globals=names)
    yield names
    names["xtag"].uninstall()
    names["catalog"].context.close()
    names["RE"].loop.call_soon_threadsafe(names["RE"].loop.stop)


@pytest.fixture
def session(profile, packaged_model, tmp_path, monkeypatch):
    """The session, in an empty directory, with a tagger of its own, which tags in this process to be quick."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # where no other plan runs
    names, RE = dict(profile), profile["RE"]
    first = RE.subscribe(print)
    RE.unsubscribe(first)
    names["xtag"] = bluesky_xtag.install(RE, model=packaged_model)
    yield names
    names["xtag"].uninstall()
    for token in range(first, RE.subscribe(print) + 1):  # what the page subscribed
        RE.unsubscribe(token)


@pytest.mark.skipif(not MODEL.exists(), reason="there is no packaged model in bluesky_xtag/model/default")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, as it saves a network
@each([page for page in PAGES if any(blocks(page))])
def test_blocks_run(page, request, tmp_path):
    if page in [DOCS / name for name in ALONE] and not os.environ.get(_IS_ALONE):
        _run_alone(f"{Path(__file__).relative_to(ROOT)}::test_blocks_run[{page.relative_to(ROOT)}]", tmp_path / "alone")
        return
    session = request.getfixturevalue("session")
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), session)


def _run_alone(test, place):
    """Run a test in a process of its own."""
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", f"--basetemp={place}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, test],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=ROOT,
        env=os.environ | {_IS_ALONE: "1"},
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def test_pages_build_without_warnings(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-b",
        "html",
        "-d",
        tmp_path / "doctrees",
        DOCS,
        tmp_path / "html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "index.html").exists()


@each(PAGES)
def test_links_lead_somewhere(page):
    for found in _LINK.finditer(_CODE.sub("", page.read_text("utf-8"))):
        if "://" not in found["target"]:
            path, _, anchor = found["target"].partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), found["target"]
            assert not anchor or anchor in _anchors(linked), found["target"]


@each(PAGES)
def test_blocks_that_do_not_run_say_so(page):
    for found in _NOT_RUN.finditer(page.read_text("utf-8")):
        assert found["caption"].startswith(":caption: ")


@each([page for page in PAGES if "<!-- from_code: " in page.read_text("utf-8")])
def test_what_comes_from_the_code_is_in_the_page_as_it_is_now(page):
    text, from_code = page.read_text("utf-8"), runpy.run_path(str(DOCS / "from_code.py"))
    assert text == from_code["complete"](text), "`make docs` writes it anew"
    assert text.count("<!-- from_code: ") == text.count("\n<!-- end -->\n") > 0


def test_a_page_that_differs_from_the_code_is_written_anew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- from_code: tags -->\nold\n<!-- end -->\nafter\n")
    write = runpy.run_path(str(DOCS / "from_code.py"))["write"]
    assert write(tmp_path) == [page] and write(tmp_path) == []
    first, *lines, last = page.read_text().splitlines()
    assert (first, last) == ("before", "after") and "old" not in lines
    assert [line.split("`")[1] for line in lines if "`" in line] == list(DEFAULT_TAXONOMY.names)


def test_nothing_is_included_that_only_a_build_has():
    """Who reads a page on a forge sees a directive there."""
    assert [page for page in PAGES if "{include}" in page.read_text("utf-8")] == []


def test_what_to_install_is_written_in_one_way():
    """With double quotes, which all shells take; only the page on installing says what to type in a clone."""
    code = (path for place in ("bluesky_xtag", "profiles", "tests") for path in (ROOT / place).rglob("*.py"))
    extras = "|".join(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    named = re.compile(rf"""([^\s`]*)\[((?:{extras})(?:,(?:{extras}))*)\\?\](.?)""")
    found = Counter()
    for path in (*PAGES, *code):
        for before, _, after in named.findall(path.read_text("utf-8").replace("\\[", "[")):
            if before.strip("\"'(").startswith((".", "bluesky")):
                found[before, after] += 1
    assert set(found) - {('".', '"')} == {('"bluesky_xtag', '"')}
    assert found['".', '"'] == (DOCS / "how-to" / "install.md").read_text("utf-8").count('".[') == 1


def test_documented_actions_are_those_of_the_code():
    actions = _table(DOCS / "reference" / "documents.md", "action")
    assert tuple(row["action"] for row in actions) == decisions.ACTIONS


@pytest.mark.parametrize("page", ["reference/documents.md", "explanations/what-can-go-wrong.md"])
def test_documented_statuses_are_those_of_the_code(page):
    assert tuple(row["status"] for row in _table(DOCS / page, "status")) == documents.STATUSES


def test_readme_lists_the_tags_of_the_code():
    listed = [tuple(row["tags"].split()) for row in _table(ROOT / "README.md", "group")]
    assert [tag for group in listed for tag in group] == list(DEFAULT_TAXONOMY.names)


def test_documented_inputs_are_those_of_the_preparation():
    documented = _table(DOCS / "explanations" / "preparation.md", "input")
    shapes = {row["input"]: [int(size) for size in re.findall(r"\d+", row["shape"])] for row in documented}
    channels = {row["input"]: row["channels"].count(",") + 1 for row in documented}
    expected = Preparation().shapes
    assert shapes == {name: list(shape[:-1] or shape) for name, shape in expected.items()}
    assert all(channels[name] == shape[2] for name, shape in expected.items() if len(shape) == 3)


def _anchors(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _table(page, first_column):
    """The rows of the table with this first column, as dictionaries without marks of code."""
    table = re.search(rf"^\| {first_column} \|.*\n\|[-|]+\|\n(?:\|.*\n)+", page.read_text("utf-8"), re.MULTILINE)
    assert table, f"{page} has no table with the first column {first_column!r}"
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").replace("`", "").split(" | ")] for line in table[0].splitlines()
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]
