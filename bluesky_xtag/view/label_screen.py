"""The page of a person who labels frames, in a terminal: the frame to the left, its tags to the right."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np
from rich.console import Console
from rich.text import Text

from .brightness import as_colours
from .colours import colour
from .label_page import LabelPage, TagLine
from .terminal_picture import Protocol, half_blocks, picture_code

__all__ = ["LabelScreen"]

_NAME, _BAR = 17, 6
_LINE = 2 + 2 + _NAME + 1 + _BAR + 6  # key, sign, name, bar, score
_LEAST = 10  # columns of a frame
_BLOCKS = " ▏▎▍▌▋▊▉█"
_HOME = "\x1b[2J\x1b[H"


class LabelScreen:
    """Draws pages; of a page that shows the same frame as the one before, only the text.

    Parameters
    ----------
    console : rich.console.Console
        The terminal.
    protocol : {"kitty", "iterm2", "sixel", "blocks"}
        How it shows pictures.
    cell : (int, int)
        Height and width of a character in the terminal's pixels.
    """

    def __init__(self, console: Console, protocol: Protocol = "blocks", cell: tuple[int, int] = (20, 10)) -> None:
        self._console = console
        self._protocol: Protocol = protocol
        self._cell = cell
        self._shown: tuple[object, object] | None = None
        self._pane = 1

    def draw(self, page: LabelPage) -> None:
        """Draw a page on the whole terminal, whatever its size is now."""
        width, height = self._console.size
        lists = -(-len(page.lines) // max(height - 2, 1)) or 1  # lists of tags next to each other
        if height < 4 or width < lists * _LINE + _LEAST:
            self._shown = None
            self._write(f"{_HOME}{width} x {height} is too small for {len(page.lines)} tags: make the terminal larger")
            return
        shown = page.title if page.pixels is None else page.pixels, (width, height)
        parts = []
        if self._shown is None or self._shown[0] is not shown[0] or self._shown[1] != shown[1]:
            picture, wide = self._picture(page.pixels, height - 2, width - lists * _LINE - 2)
            parts += [_HOME, picture]
            self._pane = wide + 3
        parts.append(self._at(1, 1, self._header(page, width)))
        for number, line in enumerate(self._panel(page, lists, height - 2)):
            parts.append(self._at(number + 2, self._pane, line))
        footer = self._footer(page, width)[: height - 2]
        for row, line in enumerate(footer, height - len(footer) + 1):
            parts.append(self._at(row, 1, line))
        self._write("".join(parts))
        self._shown = shown if len(footer) == 1 else None  # a long message covers what must be drawn again

    def _write(self, text: str) -> None:
        file = self._console.file
        file.write(text)
        file.flush()

    def _at(self, row: int, column: int, text: Text) -> str:
        with self._console.capture() as drawn:
            self._console.print(text, end="", soft_wrap=True, highlight=False)
        return f"\x1b[{row};{column}H\x1b[0m{drawn.get()}\x1b[0m\x1b[K"

    def _picture(self, pixels: np.ndarray | None, rows: int, columns: int) -> tuple[str, int]:
        """Return what draws a frame below the first line, and how many columns it takes."""
        if pixels is None:
            return "", 0
        protocol = self._protocol
        high, wide = (2, 1) if protocol == "blocks" else self._cell
        colours = as_colours(pixels, rows * high, columns * wide)
        cells = -(-colours.shape[0] // high), -(-colours.shape[1] // wide)
        if protocol == "blocks":
            lines = enumerate(half_blocks(colours), 2)
            return "".join(self._line(number, line) for number, line in lines), cells[1]
        return f"\x1b[2;1H{picture_code(protocol, colours, *cells)}", cells[1]

    def _line(self, row: int, line: Text) -> str:
        with self._console.capture() as drawn:
            self._console.print(line, end="", soft_wrap=True, highlight=False)
        return f"\x1b[{row};1H{drawn.get()}"

    @staticmethod
    def _header(page: LabelPage, width: int) -> Text:
        count = f" {page.done}/{page.total} "
        text = Text(count, style="bold reverse").append(f" {page.title}", style="bold not reverse")
        text.append(f"  {page.about}", style="dim not bold not reverse")
        text.truncate(width, overflow="ellipsis")
        return text

    def _footer(self, page: LabelPage, width: int) -> list[Text]:
        """Return the message in as many lines as it needs, or else one line with the keys."""
        if page.message:
            return list(Text(page.message, style="bold yellow").wrap(self._console, width))
        text = _keys(page.commands)
        text.truncate(width, overflow="ellipsis")
        return [text]

    def _panel(self, page: LabelPage, lists: int, rows: int) -> list[Text]:
        """Return the lines of the tags, in lists next to each other."""
        each = -(-len(page.lines) // lists)
        texts = []
        for number in range(min(rows, max(each, 1))):
            text = Text()
            for line in page.lines[number::each] if page.lines else ():
                text.append_text(_tag(line))
            texts.append(text)
        return texts + [Text()] * (rows - len(texts))


def _tag(line: TagLine) -> Text:
    style = f"bold {colour(line.tag)}" if line.holds else "yellow" if line.holds is None else "dim"
    text = Text().append(line.key, style="bold reverse" if line.holds else "bold").append(" ")
    text.append(f"{line.sign} ", style=style)
    text.append(line.tag[:_NAME].ljust(_NAME + 1), style=f"{style} underline" if line.changed else style)
    if not isfinite(line.score):
        return text.append(" " * (_BAR + 6))
    eighths = round(8 * _BAR * line.score)
    bar = "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
    text.append(bar.ljust(_BAR), style=colour(line.tag) if line.holds else "bright_black")
    return text.append(f" {line.score:.2f} ", style="" if line.holds else "dim")


def _keys(commands: Mapping[str, str]) -> Text:
    text = Text()
    for key, what in commands.items():
        text.append(key, style="bold").append(f" {what}   ", style="dim")
    return text
