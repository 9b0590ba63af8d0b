"""The files that a browser gets: light, readable, complete, and without markup made of text."""

import re
from pathlib import Path

import pytest

import bluesky_xtag

STATIC = Path(bluesky_xtag.__file__).parent / "web" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
PAGES = {path.stem: path.read_text("utf-8") for path in STATIC.glob("*.html")}
SHARED = ("client", "elements", "run_map")  # scripts of both pages
STYLE = (STATIC / "page.css").read_text("utf-8")

# Text and what it is written on.
PAIRS = [("ink", "paper"), ("ink", "ground"), ("ink", "chosen"), ("ink", "tile"), ("soft", "paper"), ("soft", "ground")]
PAIRS += [("on-accent", "accent"), ("warn", "ground"), ("warn", "paper"), ("bad", "paper"), ("soft", "tile")]


def colours(selector):
    block = re.search(rf"^{re.escape(selector)} \{{(.*?)^\}}", STYLE, re.MULTILINE | re.DOTALL)[1]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def brightness(colour):
    """Relative luminance, as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(factor * part for factor, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("selector", [":root", ':root[data-theme="dark"]'])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_is_readable_light_and_dark(selector, text, ground):
    known = colours(selector)
    low, high = sorted(brightness(known[name]) for name in (text, ground))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_files_are_light():
    assert sum(path.stat().st_size for path in STATIC.iterdir()) <= 120_000


def each_page(test):
    return pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)(test)


@pytest.mark.parametrize("name", PAGES)
def test_every_element_that_a_script_asks_for_is_there_once(name):
    ids = re.findall(r'\bid="([^"]+)"', PAGES[name])
    assert len(ids) == len(set(ids))
    mine = [path for path in SCRIPTS if path.stem not in SHARED and path.stem.startswith("live") == (name == "live")]
    asked = {found for path in mine for found in re.findall(r'byId\("([^"]+)"\)', path.read_text("utf-8"))}
    assert asked and asked <= set(ids)


@each_page
def test_every_button_and_field_has_a_name(page):
    for button in re.findall(r"<button[^>]*>.*?</button>", page):
        is_shown_with_text = " hidden>" in button  # which a script writes
        assert is_shown_with_text or re.search(r">[^<]*\w[^<]*<", button) or "aria-label=" in button, button
    labelled = set(re.findall(r'<label for="([^"]+)"', page))
    for field in re.findall(r"<(?:input|select|meter)[^>]*>", page):
        inside = re.search(rf"<label[^>]*>(?:(?!</label>).)*{re.escape(field)}", page)
        name = re.search(r'\bid="([^"]+)"', field)
        assert inside or "aria-label=" in field or (name and name[1] in labelled), field


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_of_text_or_asks_elsewhere(path):
    text = path.read_text("utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "://"):
        assert word not in text, word


@each_page
def test_the_page_has_no_inline_script_or_style(page):
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert not re.search(r"\s(on\w+|style)=", page) and "<style" not in page and "://" not in page
