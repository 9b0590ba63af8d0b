"""Drawings of a run's report as SVG: the map, and the scores of tags over the frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from ..documents import STATUSES
from .live_colours import live_colour
from .run_frames import RunFrames

__all__ = ["Mark", "draw_map", "draw_tags", "ink_on", "mark_of"]

_WIDE, _HIGH = 760, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 14, 46
_STRIP = 50
_COLUMNS = 600  # of the scores at most; of more frames, each column has the highest score
_ROW = 26
_SIGNS = {"late": "L", "dropped": "–", "unreadable": "?", "failed": "×"}

Mark = tuple[str, str, str]
"""How a place is drawn: its colour ("" where there are no tags), its sign, and its name in words."""


def ink_on(colour: str) -> str:
    """Return black or white, whichever is easier to read on a colour "#rrggbb"."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    light = sum(factor * part for factor, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if light > 0.179 else "#ffffff"


def mark_of(run: RunFrames, position: int, main: Callable[[Sequence[str]], str | None], keys: dict[str, str]) -> Mark:
    """Return how the place of a frame is drawn."""
    status = STATUSES[run.statuses[position]] if run.statuses[position] >= 0 else "unknown"
    if status != "ok":
        return "", _SIGNS.get(status, "?"), status
    tag = main(run.accepted[position])
    return (live_colour(tag), keys.get(tag, ""), tag) if tag else ("#e9ecf0", "·", "no tag")


def draw_map(run: RunFrames, marks: Sequence[Mark], words: Sequence[str]) -> str:
    """Return the map: two motors, or one, or the order of time.

    Parameters
    ----------
    run : RunFrames
        The run.
    marks : sequence of Mark
        How each frame is drawn.
    words : sequence of str
        What is said of each frame where the mouse is on it.
    """
    moving = [motor for motor, at in run.moved.items() if np.isfinite(at).any() and np.nanmax(at) > np.nanmin(at)]
    across, up = (sorted(moving[-2:]) if len(moving) > 1 else [*moving[:1], None])[:2] if moving else (None, None)
    xs = np.arange(1.0, len(run) + 1) if across is None else run.moved[across]
    ys = np.zeros(len(run)) if up is None else run.moved[up]
    high = _HIGH if up is not None else _TOP + _STRIP + _BOTTOM
    columns, rows = (len(np.unique(np.round(at[np.isfinite(at)], 6))) or 1 for at in (xs, ys))
    room = _WIDE - _LEFT - _RIGHT, high - _TOP - _BOTTOM
    if up is not None and columns * rows > 4 * len(run):  # places without a raster
        wide = tall = min(40.0, 0.6 * (room[0] * room[1] / max(len(run), 1)) ** 0.5)
    else:
        wide, tall = room[0] / columns, room[1] / rows
        if up is not None:
            wide = tall = min(wide, tall)
    at_x = _scale(xs, _LEFT + wide / 2, _WIDE - _RIGHT - wide / 2)
    at_y = _scale(ys, high - _BOTTOM - tall / 2, _TOP + tall / 2)
    parts = []
    for position, mark in enumerate(marks):
        if np.isfinite(at_x[position]) and np.isfinite(at_y[position]):
            size = wide * 0.94, tall * 0.94
            parts.append(_place(at_x[position], at_y[position], size, mark, words[position]))
    parts += _axes(high, _bounds(xs), across or "frame, in the order of time", _bounds(ys) if up else None, up or "")
    return _svg(_WIDE, high, "Map of the run", parts)


def draw_tags(run: RunFrames, tags: Sequence[str]) -> str:
    """Return the scores of tags, a row for each, over the frames in their order; accepted ones in colour."""
    count = len(run)
    if not tags or not count:
        return ""
    columns = min(count, _COLUMNS)
    of_column = np.arange(count) * columns // count
    left, wide = 150, (_WIDE - 150 - _RIGHT) / columns
    high = _TOP + _ROW * len(tags) + _BOTTOM
    parts = []
    for line, tag in enumerate(tags):
        floor = _TOP + (line + 1) * _ROW
        scores = run.scores[:, run.tags.index(tag)] if tag in run.tags else np.full(count, np.nan)
        held = run.held[:, run.names.index(tag)]
        parts.append(_text(left - 8, floor - 7, tag, "end"))
        best, holds = np.full(columns, -1.0), np.zeros(columns, bool)
        np.maximum.at(best, of_column, np.nan_to_num(scores, nan=-1.0))
        np.logical_or.at(holds, of_column, held)
        for column in range(columns):
            if best[column] < 0:
                continue
            tall = max((_ROW - 6) * best[column], 0.5)
            colour = live_colour(tag) if holds[column] else "#b6bdc8"
            box = f'x="{left + column * wide:.1f}" y="{floor - tall:.1f}" width="{max(wide * 0.92, 0.8):.2f}"'
            parts.append(f'<rect {box} height="{tall:.1f}" fill="{colour}"/>')
        parts.append(f'<path d="M{left} {floor}H{_WIDE - _RIGHT}" stroke="#d8dce3"/>')
    parts.append(_text(left, high - 26, "1", "start"))
    parts.append(_text(_WIDE - _RIGHT, high - 26, str(count), "end"))
    parts.append(_text((left + _WIDE) / 2, high - 26, "frame, in the order of time", "middle"))
    return _svg(_WIDE, high, "Scores of tags over the frames", parts)


def _place(x: float, y: float, size: tuple[float, float], mark: Mark, words: str) -> str:
    colour, sign, _ = mark
    wide, tall = size
    box = f'x="{x - wide / 2:.1f}" y="{y - tall / 2:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    fill = colour or "url(#none)"
    edge = "" if colour else ' stroke="#9a4b00"'
    letter = ""
    height = min(wide, tall) * 0.62
    if sign and height >= 6:
        ink = ink_on(colour) if colour else "#1b1f2a"
        letter = _text(x, y + height * 0.36, sign, "middle", f"{min(height, 18):.0f}", ink, bold=True)
    return f'<g><title>{escape(words)}</title><rect {box} fill="{fill}"{edge}/>{letter}</g>'


def _axes(high: float, x: tuple[float, float], across: str, y: tuple[float, float] | None, up: str) -> list[str]:
    floor = high - _BOTTOM + 18
    parts = [
        _text(_LEFT, floor, _number(x[0]), "start"),
        _text(_WIDE - _RIGHT, floor, _number(x[1]), "end"),
        _text((_LEFT + _WIDE) / 2, floor, across, "middle"),
    ]
    if y is not None:
        middle = (_TOP + high - _BOTTOM) / 2
        parts += [
            _text(_LEFT - 8, _TOP + 12, _number(y[1]), "end"),
            _text(_LEFT - 8, high - _BOTTOM, _number(y[0]), "end"),
            f'<g transform="translate(18 {middle:.0f}) rotate(-90)">{_text(0, 0, up, "middle")}</g>',
        ]
    return parts


def _svg(wide: float, high: float, words: str, parts: Sequence[str]) -> str:
    pattern = (
        '<defs><pattern id="none" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" fill="#f2f3f5"/><path d="M0 0V6" stroke="#8a93a2"/></pattern></defs>'
    )
    about = f'role="img" aria-label="{escape(words)}"'
    return f'<svg viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}" {about}>{pattern}{"".join(parts)}</svg>'


def _text(
    x: float, y: float, words: object, anchor: str, size: str = "12", ink: str = "#566070", bold: bool = False
) -> str:
    weight = ' font-weight="700"' if bold else ""
    about = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{ink}"{weight}'
    return f"<text {about}>{escape(str(words))}</text>"


def _bounds(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)


def _scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    least, most = _bounds(values)
    part = (values - least) / (most - least) if most > least else np.full(len(values), 0.5)
    return low + part * (high - low)


def _number(value: float) -> str:
    return f"{value:.4g}"
