"""One HTML page that shows what adapting a model brought: errors before and after, by stage, tag and frame.

The page stands alone: its style and its pictures are in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ...frames import LabelledFile, open_labelled
from ..evaluate.charts import log_picture
from ..evaluate.page_parts import cells, image, table, whole_page
from .outcome import Adaptation, FrameOutcome, stage_rows, tag_rows

__all__ = ["most_changed", "write_adaptation"]

SHOWN = 12  # frames


def most_changed(frames: Sequence[FrameOutcome], most: int = SHOWN) -> list[FrameOutcome]:
    """Return the frames whose errors changed most, for better or worse, the largest change first.

    Of frames with the same change, those come first whose cross entropy changed more. Frames whose errors are the same
    as before are left out.
    """
    changed = [frame for frame in frames if _words(frame, "before") != _words(frame, "after")]
    return sorted(changed, key=lambda frame: (-abs(frame.change), -abs(frame.eased)))[:most]


def write_adaptation(adaptation: Adaptation, frames: str | Path, path: str | Path) -> None:
    """Write the page.

    Only the frames that are shown are read again from the file of the frames, one at a time.

    Parameters
    ----------
    adaptation : Adaptation
    frames : path
        The file of the labelled frames.
    path : path
        HTML file to write.
    """
    title = f"{adaptation.model}, adapted to {adaptation.file}"
    better, worse = (sum(sign * frame.change > 0 for frame in adaptation.each) for sign in (-1, 1))
    shown = most_changed(adaptation.each)
    with open_labelled(frames) as file:
        cards = "".join(_card(frame, file) for frame in shown)
    parts = [
        f"<h1>{escape(title)}</h1>",
        _key_figures(adaptation),
        "".join(f"<p>{escape(note)}</p>" for note in adaptation.notes),
        "<h2>Stages</h2><p>A stage is used if it helps on frames of sources that it was not fitted to. ± is the "
        "standard error, of sources drawn at random.</p>",
        _table(*stage_rows(adaptation)),
        "<h2>Tags</h2><p>False: accepted, but the label says no. In order: the share of pairs of frames, one with the "
        "tag and one without, that the scores of one model put in the right order; 0.5 by chance.</p>",
        _table(*tag_rows(adaptation)),
        f"<h2>Frames that changed most</h2><p>{better} frames have fewer errors than before, {worse} have more."
        f'{" The largest changes:" if shown else ""}</p><div class="cards">{cards}</div>',
    ]
    Path(path).write_text(whole_page(title, parts), "utf-8")


def _key_figures(adaptation: Adaptation) -> str:
    before, after = adaptation.before, adaptation.after
    figures = {
        "errors a frame": f"{before.errors:.2f} → {after.errors:.2f}",
        "frames without an error": f"{before.clean:.0%} → {after.clean:.0%}",
        "labelled frames": str(adaptation.frames),
        "sources": str(len(adaptation.sources)),
    }
    return f'<div class="key">{"".join(f"<div><b>{value}</b>{name}</div>" for name, value in figures.items())}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(head, (f"<tr>{cells(map(escape, row))}</tr>" for row in rows))


def _card(frame: FrameOutcome, file: LabelledFile) -> str:
    """Return one frame with its errors before and after."""
    read = file.read(frame.name)
    return (
        f'<div class="card"><b>{frame.change:+d} errors</b>{image(log_picture(read.pixels, read.mask), frame.name)}'
        f'<div class="said">before: {_words(frame, "before")}<br>after: {_words(frame, "after")}</div>'
        f'<div class="soft name">{escape(frame.source)}: {escape(frame.name)}</div></div>'
    )


def _words(frame: FrameOutcome, when: str) -> str:
    """Return the errors in words: false tags and missed ones."""
    false, missed = getattr(frame, f"false_{when}"), getattr(frame, f"missed_{when}")
    listed = [f'<span class="wrong">{escape(tag)}</span>' for tag in false]
    listed += [f'<span class="missed">{escape(tag)}</span>' for tag in missed]
    return " ".join(listed) or "no error"
