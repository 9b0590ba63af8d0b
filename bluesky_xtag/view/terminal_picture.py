"""Pictures in a terminal: by the protocols of kitty, iTerm2 and sixel, or of half blocks, which any with colours shows.

References: https://sw.kovidgoyal.net/kitty/graphics-protocol, https://iterm2.com/documentation-images.html, and the
sixel chapter of DEC's VT330/VT340 programmer reference manual.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text

__all__ = ["Protocol", "find_protocol", "half_blocks", "picture_code"]

Drawn = Literal["kitty", "iterm2", "sixel"]
Protocol = Drawn | Literal["blocks"]

_SIXEL_COLOURS = 256
_CHUNK = 4096  # bytes that kitty takes at once
_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"  # whether graphics are understood
_WHO = "\x1b[c"  # every terminal answers that, so that nobody waits for an answer that never comes
_ITERM2 = {"iTerm.app", "WezTerm", "mintty", "vscode", "Tabby", "rio"}


def find_protocol(ask: Callable[[str], str], program: str) -> Protocol:
    """Return how a terminal shows pictures best.

    Parameters
    ----------
    ask : callable
        Writes a text to the terminal and returns its answer up to a "c".
    program : str
        What the terminal calls itself in `TERM_PROGRAM` or `LC_TERMINAL`, "" if it does not.
    """
    answer = ask(_QUESTION + _WHO)
    if "\x1b_Gi=31;OK" in answer:
        return "kitty"
    if program in _ITERM2 or program.startswith("iTerm"):
        return "iterm2"
    attributes = re.search(r"\x1b\[\?\d+((?:;\d+)*)c", answer)
    return "sixel" if attributes and "4" in attributes[1].split(";") else "blocks"


def picture_code(protocol: Drawn, colours: np.ndarray, rows: int, columns: int) -> str:
    """Return what makes a terminal draw a picture where its cursor is.

    Parameters
    ----------
    protocol : {"kitty", "iterm2", "sixel"}
        What the terminal understands.
    colours : numpy.ndarray
        (height, width, 3) uint8, red, green and blue.
    rows, columns : int
        The cells of the terminal that it covers; a sixel picture covers what its pixels cover.
    """
    if protocol == "sixel":
        return _sixel(colours)
    png = base64.b64encode(_png(colours)).decode("ascii")
    if protocol == "iterm2":
        size = f"width={columns};height={rows};preserveAspectRatio=1"
        return f"\x1b]1337;File=inline=1;{size}:{png}\x07"
    return "".join(_kitty(png, rows, columns))


def half_blocks(colours: np.ndarray) -> list[Text]:
    """Return a picture as lines of text: each character shows two pixels, one above the other.

    Parameters
    ----------
    colours : numpy.ndarray
        (height, width, 3) uint8.
    """
    if len(colours) % 2:
        colours = np.concatenate([colours, np.zeros_like(colours[:1])])
    lines = []
    for upper, lower in zip(colours[::2], colours[1::2], strict=True):
        line = Text(end="")
        for above, below in zip(upper, lower, strict=True):
            style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
            line.append("▀", style)
        lines.append(line)
    return lines


def _png(colours: np.ndarray) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", colours[..., ::-1])
    assert done
    return data.tobytes()


def _kitty(png: str, rows: int, columns: int) -> Iterator[str]:
    yield "\x1b_Ga=d,d=A,q=2\x1b\\"  # without the picture of before
    parts = [png[start : start + _CHUNK] for start in range(0, len(png), _CHUNK)]
    for number, part in enumerate(parts):
        control = f"a=T,f=100,q=2,C=1,r={rows},c={columns}," if number == 0 else ""
        yield f"\x1b_G{control}m={int(number < len(parts) - 1)};{part}\x1b\\"


def _sixel(colours: np.ndarray) -> str:
    """Return a picture in bands of six rows; in each band, the pixels of one colour after those of another."""
    height, width, _ = colours.shape
    for step in (8, 12, 16, 24, 48):
        palette, which = np.unique((colours // step * step).reshape(-1, 3), axis=0, return_inverse=True)
        if len(palette) <= _SIXEL_COLOURS:
            break
    which = np.pad(which.reshape(height, width), ((0, -height % 6), (0, 0)), constant_values=-1)
    percent = (palette.astype(int) * 100 + 127) // 255
    code = [f'\x1bP0;1q"1;1;{width};{height}']
    code += [f"#{number};2;{red};{green};{blue}" for number, (red, green, blue) in enumerate(percent)]
    bits = 1 << np.arange(6)
    for top in range(0, len(which), 6):
        band = which[top : top + 6]
        for number in np.unique(band[band >= 0]):
            code.append(f"#{number}{_run_lengths(((band == number) * bits[:, None]).sum(axis=0))}$")
        code.append("-")
    return "".join(code) + "\x1b\\"


def _run_lengths(sixels: np.ndarray) -> str:
    ends = np.append(np.flatnonzero(np.diff(sixels)) + 1, len(sixels))
    counts = np.diff(ends, prepend=0)
    pairs = zip(sixels[ends - 1], counts, strict=True)
    return "".join(f"!{count}{chr(63 + sixel)}" if count > 3 else chr(63 + sixel) * count for sixel, count in pairs)
