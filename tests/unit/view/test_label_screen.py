"""The page of a person who labels, in terminals: it fits, it says which key does what, and the picture is the frame."""

import base64
import io
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from rich.console import Console
from support.screens import Screen

from bluesky_xtag import DEFAULT_TAXONOMY
from bluesky_xtag.view import LabelPage, LabelScreen, TagLine, find_protocol
from bluesky_xtag.view.brightness import GAP, as_colours
from bluesky_xtag.view.terminal_picture import half_blocks, picture_code

KEYS = "abcdefghijklmnopqrstuvwxyz0123456789"


def spotty(rows=195, columns=487):
    pixels = np.random.default_rng(1).poisson(3.0, (rows, columns)).astype(np.int32)
    pixels[rows // 3, columns // 3] = 50_000
    pixels[rows // 2 : rows // 2 + rows // 5] = -1
    return pixels


def page(**changes):
    lines = tuple(
        TagLine(key, tag, score > 0.5, score, score > 0.5)
        for key, tag, score in zip(KEYS, DEFAULT_TAXONOMY.names, np.linspace(0, 1, 22), strict=False)
    )
    shown = LabelPage(
        "scan_7.h5 [3]", "195 x 487, source: gold", spotty(), lines, 4, 30, commands={"Enter": "keep, next"}
    )
    return replace(shown, **changes)


def terminal(columns, rows, protocol="blocks"):
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        width=columns,
        height=rows,
        legacy_windows=False,
    )
    return console, LabelScreen(console, protocol)


def shown(console):
    return Screen(*console.size).feed(console.file.getvalue())


@pytest.mark.parametrize("size", [(80, 24), (80, 14), (60, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("protocol", ["blocks", "kitty"])
def test_a_page_fits_and_shows_all_tags_with_their_keys(size, protocol):
    console, screen = terminal(*size, protocol)
    screen.draw(page())
    seen = shown(console)
    assert seen.widest <= size[0] and max(row for row, _ in seen.cells) <= size[1]
    assert seen.lines[0].startswith(" 4/30  scan_7.h5 [3]") and seen.lines[-1].startswith("Enter keep, next")
    for key, tag in zip(KEYS, DEFAULT_TAXONOMY.names, strict=False):
        assert any(re.search(rf"(^|[ ▀]){key} [✓·] {tag[:17]}", line) for line in seen.lines), tag
    assert "✓" in next(line for line in seen.lines if "bragg_rods" in line)
    assert "·" in next(line for line in seen.lines if "empty" in line)


def test_what_changed_is_drawn_and_the_picture_is_not_drawn_again():
    console, screen = terminal(80, 24)
    first = page()
    screen.draw(first)
    before = console.file.tell()
    lines = (replace(first.lines[0], holds=True), replace(first.lines[1], holds=None), *first.lines[2:])
    screen.draw(replace(first, lines=lines, message="undone"))
    again = console.file.getvalue()[before:]
    assert "▀" not in again
    seen = shown(console)
    assert "a ✓ empty" in seen.line_of("a ✓") and "b ? saturated" in seen.line_of("b ?") and "undone" in seen.lines[-1]
    before = console.file.tell()
    console.width = 100
    screen.draw(first)
    assert "▀" in console.file.getvalue()[before:]


@pytest.mark.parametrize("columns", [60, 80, 150])
def test_a_long_message_is_read_to_its_end_and_then_gone(columns):
    console, screen = terminal(columns, 26)
    words = "ring holds when: a sharp ring, sigma_q/q0 at most 0.10, visible over 30 degrees or more, continuous"
    quiet = page()
    screen.draw(replace(quiet, message=words))
    seen = shown(console)
    assert words in " ".join(line.strip() for line in seen.lines[-1 - len(words) // columns :])
    assert seen.widest <= columns and seen.line_of("✓ form_factor")
    before = console.file.tell()
    screen.draw(quiet)
    assert not any(word in "\n".join(shown(console).lines) for word in ("sigma_q", "continuous"))
    assert ("▀" in console.file.getvalue()[before:]) == (len(words) > columns)  # what it covered is drawn again


def test_a_terminal_that_is_too_small_says_so():
    console, screen = terminal(60, 20)
    screen.draw(page())
    assert shown(console).lines[0].startswith("60 x 20 is too small for 22 tags: make the terminal large")
    screen.draw(page(lines=page().lines[:18]))
    assert "diffuse_high_q" in shown(console).line_of("diffuse_high_q")


def test_half_blocks_have_the_colours_of_the_frame():
    colours = as_colours(spotty(), 30, 40)
    assert colours.shape == (16, 40, 3)
    lines = half_blocks(colours)
    assert len(lines) == 8 and all(len(line) == 40 for line in lines)
    for row, line in enumerate(lines):
        for column, span in enumerate(line.spans):
            style = span.style
            assert tuple(style.color.triplet) == tuple(colours[2 * row, column])
            assert tuple(style.bgcolor.triplet) == tuple(colours[2 * row + 1, column])


def test_spots_and_gaps_survive_in_a_small_picture():
    colours = as_colours(spotty(), 40, 40).astype(int)
    brightness = colours.sum(axis=2)
    row, column = np.unravel_index(brightness[:7].argmax(), brightness[:7].shape)  # above the gap
    assert abs(row - 16 / 3) <= 1 and abs(column - 40 / 3) <= 1
    assert (colours[9] == GAP).all()


@pytest.mark.parametrize("shape", [(3, 900), (1, 1), (2000, 4)])
def test_frames_of_any_shape_are_drawn(shape):
    colours = as_colours(np.ones(shape, np.uint16), 40, 44)
    assert 1 <= colours.shape[0] <= 40 and 1 <= colours.shape[1] <= 44
    assert as_colours(np.full(shape, np.nan), 40, 44).shape == colours.shape


def test_pixels_of_the_mask_are_grey():
    pixels = np.ma.MaskedArray(np.ones((20, 20), np.uint16), np.zeros((20, 20), bool))
    pixels[:, :10] = np.ma.masked
    assert [tuple(colour) for colour in as_colours(pixels, 20, 20)[0][[0, 19]]] == [GAP, (0, 0, 4)]


def test_kitty_and_iterm2_get_the_picture_as_png():
    colours = as_colours(spotty(), 300, 400)
    code = picture_code("kitty", colours, 8, 40)
    parts = re.findall(r"\x1b_G([^;\x1b]*);([^\x1b]*)\x1b\\", code)
    assert parts[0][0] == "a=T,f=100,q=2,C=1,r=8,c=40,m=1" and parts[-1][0] == "m=0"
    assert all(len(part) <= 4096 for _, part in parts) and {control for control, _ in parts[1:-1]} == {"m=1"}
    np.testing.assert_array_equal(decode("".join(part for _, part in parts)), colours)
    ((size, png),) = re.findall(
        r"\x1b\]1337;File=inline=1;([^:]*):([^\x07]*)\x07", picture_code("iterm2", colours, 8, 40)
    )
    assert size == "width=40;height=8;preserveAspectRatio=1"
    np.testing.assert_array_equal(decode(png), colours)


def test_sixel_draws_the_picture_but_for_the_last_bits():
    colours = as_colours(spotty(), 100, 133)
    code = picture_code("sixel", colours, 5, 14)
    drawn = draw_sixels(code)
    assert drawn.shape == colours.shape
    assert np.abs(drawn - colours.astype(int)).max() <= 48 + 2
    assert len(re.findall(r"#\d+;2;", code)) <= 256


@pytest.mark.parametrize(
    ("answer", "program", "protocol"),
    [
        ("\x1b_Gi=31;OK\x1b\\\x1b[?62;c", "", "kitty"),
        ("\x1b_Gi=31;OK\x1b\\\x1b[?62;4c", "WezTerm", "kitty"),
        ("\x1b[?62;4c", "iTerm.app", "iterm2"),
        ("\x1b[?62;4;22c", "", "sixel"),
        ("\x1b[?4;22c", "", "blocks"),  # a VT132, which draws nothing
        ("\x1b[?62;22c", "", "blocks"),
        ("", "", "blocks"),
    ],
)
def test_terminals_are_asked_what_they_can(answer, program, protocol):
    questions = []
    assert find_protocol(lambda question: questions.append(question) or answer, program) == protocol
    assert questions[0].startswith("\x1b_G") and questions[0].endswith("\x1b[c")


def decode(png):
    return cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def draw_sixels(code):
    """The picture of a sixel code, by the rules of the VT340's manual."""
    found = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', code, re.DOTALL)
    width, height = int(found[1]), int(found[2])
    image = np.full((height + 6, width, 3), -1)
    palette, colour, x, top = {}, None, 0, 0
    for number, definition, repeat, sixel, control in re.findall(
        r"#(\d+)((?:;\d+)*)|!(\d+)(?=([?-~]))[?-~]|([?-~$-])", found[3]
    ):
        if number:
            colour = int(number)
            if definition:
                palette[colour] = [round(int(part) * 2.55) for part in definition.split(";")[2:]]
        elif control == "$":
            x = 0
        elif control == "-":
            x, top = 0, top + 6
        else:
            count, bits = int(repeat or 1), ord(sixel or control) - 63
            for row in range(6):
                if bits >> row & 1:
                    image[top + row, x : x + count] = palette[colour]
            x += count
    assert (image[height:] == -1).all() and (image[:height] >= 0).all()
    return image[:height]
