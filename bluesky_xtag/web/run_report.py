"""The report of a run: one HTML file that opens without a server, with everything in it."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..catalog import Run, StoredRun, as_run, catalog_errors
from ..documents import STATUSES
from ..frames import Frame, NamedRoots, Roots
from ..model import write_atomically
from ..plans import STREAM as DECISIONS
from ..review import MOST_TAGS, assign_keys
from ..view import draw_thumbnail, most_specific
from .live_colours import live_colour
from .report_drawings import Mark, draw_map, draw_tags, ink_on, mark_of
from .run_frames import RunFrames

__all__ = ["write_report"]

logger = logging.getLogger("bluesky_xtag")

_EXAMPLES = 16
_SIDE = 220  # pixels of a picture
_DECISIONS = 500  # that are listed
_STYLE = """
body{font:15px/1.45 system-ui,"DejaVu Sans",sans-serif;color:#1b1f2a;background:#fff}
body{margin:2rem auto;max-width:1000px;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2rem 0 .6rem}p,.soft{color:#566070}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.2rem .8rem .2rem 0;text-align:left;border-bottom:1px solid #e3e6eb}
th,td{vertical-align:top;overflow-wrap:anywhere}
td.number{text-align:right}svg{max-width:100%;height:auto;font-family:inherit}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1rem;padding:0;list-style:none;font-size:.9rem}
.legend b{display:inline-block;width:1.4em;text-align:center;margin-right:.4em;border:1px solid #9aa5b1}
.cards{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;width:220px;font-size:.85rem}
figure img{display:block;max-width:220px;max-height:220px;background:#0c0d11}figcaption{overflow-wrap:anywhere}
"""
# Nothing runs and nothing is loaded, should a name ever get into the page as something else than text.
_ALONE = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)


def write_report(run: StoredRun | Run, path: str | Path, *, roots: NamedRoots = None) -> Path:
    """Write what the tags say of a stored run into one HTML file that opens without a server.

    It has the map of the run, its tags over the frames, how many frames have which tag and which outcome, examples of
    frames, and the decisions of the plan. Tags are those after corrections.

    Parameters
    ----------
    run : stored run
        Of Tiled or databroker.
    path : str or Path
        The file; one that exists is replaced.
    roots : str, Path or an iterable of these, optional
        Directories below which files may be read, as in `bluesky_xtag.replay.replay`: other frames are
        not among the examples.
        If None, all files are read.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    NoTagsError
        The run has no tags.
    XTagValueError
        A root is not a directory.
    CatalogError
        The catalogue does not answer.
    """
    path, allowed = Path(path), Roots.of(roots)
    found = as_run(run)
    with catalog_errors(found.catalog.name, "read"):
        frames = RunFrames.read(found, 0, found.catalog)
        stop = found.stop
        decisions = found.table(DECISIONS) if DECISIONS in found.streams else None
    keys = assign_keys(frames.names[:MOST_TAGS])
    marks = [mark_of(frames, position, most_specific, keys) for position in range(len(frames))]
    words = [_words(frames, position) for position in range(len(frames))]
    title = f"Scan {frames.about['scan_id'] or '–'}: {frames.about['plan'] or 'run'}"
    often = Counter(tag for held in frames.accepted for tag in held)
    parts = [
        f"<h1>{escape(title)}</h1>",
        _about(frames, stop),
        "<h2>Map</h2>",
        draw_map(frames, marks, words),
        _legend(marks),
        "<h2>Tags</h2>",
        _tag_table(frames, often),
        draw_tags(frames, [tag for tag, _ in often.most_common(12)]),
        "<h2>Outcomes</h2>",
        _outcomes(frames),
        *_examples(found, frames, often, words, allowed),
        *(_decision_table(decisions) if decisions is not None else ()),
    ]
    head = f'<meta charset="utf-8">{_ALONE}<title>{escape(title)}</title><style>{_STYLE}</style>'
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'
    with write_atomically(path) as unfinished:
        unfinished.write_text(page, "utf-8")
    return path


def _about(frames: RunFrames, stop: Mapping[str, Any]) -> str:
    about = frames.about
    began = datetime.fromtimestamp(about["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    ended = str(stop.get("exit_status", "")) or "not ended"
    facts = [
        ("sample", about["sample"]),
        ("began", began),
        ("ended", f"{ended}{': ' if stop.get('reason') else ''}{stop.get('reason') or ''}"),
        ("frames", len(frames)),
        ("corrected by people", int(np.sum(frames.decided != "model")) or ""),
        ("model", about["model"]),
        ("run", frames.uid),
    ]
    rows = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in facts if value != "")
    return f"<table>{rows}</table>"


def _legend(marks: Sequence[Mark]) -> str:
    items = []
    for (colour, sign, name), count in Counter(marks).most_common():
        style = f"background:{colour or '#f2f3f5'};color:{ink_on(colour) if colour else '#1b1f2a'}"
        items.append(f'<li><b style="{style}">{escape(sign)}</b>{escape(name)} <span class="soft">{count}</span></li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def _tag_table(frames: RunFrames, often: Counter[str]) -> str:
    if not often:
        return "<p>No frame has a tag.</p>"
    rows = []
    for tag, count in often.most_common():
        scores = frames.scores[:, frames.tags.index(tag)] if tag in frames.tags else np.array([np.nan])
        best = f"{np.nanmax(scores):.2f}" if np.isfinite(scores).any() else ""
        share = f"{100 * count / len(frames):.0f} %"
        cells = "".join(f'<td class="number">{cell}</td>' for cell in (count, share, best))
        rows.append(f"<tr><td>{escape(tag)}</td>{cells}</tr>")
    return f"<table><tr><th>tag</th><th>frames</th><th>share</th><th>highest score</th></tr>{''.join(rows)}</table>"


def _outcomes(frames: RunFrames) -> str:
    counts = Counter(STATUSES[code] if code >= 0 else "unknown" for code in frames.statuses.tolist())
    rows = "".join(f'<tr><td>{escape(name)}</td><td class="number">{count}</td></tr>' for name, count in counts.items())
    return f"<table><tr><th>outcome</th><th>frames</th></tr>{rows}</table>"


def _examples(
    run: Run, frames: RunFrames, often: Counter[str], words: Sequence[str], allowed: Roots | None
) -> Iterable[str]:
    """Yield pictures: of each tag, rare ones first, the frame with the highest score that is not shown yet."""
    chosen: dict[int, str] = {}
    for tag, _ in sorted(often.items(), key=lambda each: each[1])[:_EXAMPLES]:
        held = np.flatnonzero(frames.held[:, frames.names.index(tag)])
        scores = frames.scores[held, frames.tags.index(tag)] if tag in frames.tags else np.zeros(len(held))
        for position in held[np.argsort(-np.nan_to_num(scores))].tolist():
            if position not in chosen:
                chosen[position] = tag
                break
    if not chosen:
        return
    yield "<h2>Examples</h2><p>For each tag a frame with a high score, on a logarithmic scale.</p><div class='cards'>"
    pictures = _pictures(run, frames, list(chosen), allowed)
    for position, tag in chosen.items():
        image = '<p class="soft">The pixels cannot be read.</p>'
        if position in pictures:
            data = b64encode(pictures[position]).decode()
            image = f'<img alt="{escape(words[position])}" src="data:image/webp;base64,{data}">'
        mark = f'<b style="color:{live_colour(tag)}">■</b> <b>{escape(tag)}</b>'
        yield f"<figure>{image}<figcaption>{mark}<br>{escape(words[position])}</figcaption></figure>"
    yield "</div>"


def _pictures(run: Run, frames: RunFrames, positions: Sequence[int], allowed: Roots | None) -> dict[int, bytes]:
    """Return pictures of frames by their positions, of those that can be read."""
    wanted = {frames.place(position)[1:]: position for position in positions}
    found: dict[int, bytes] = {}
    try:
        for frame in run.frames(allowed):
            position = wanted.get((frame.id.key, frame.id.seq_num, frame.id.index))
            if position is not None and (picture := _picture(frame)) is not None:
                found[position] = picture
    except Exception as error:  # clients of catalogues raise anything, and a report without pictures is one, too
        logger.warning("the frames of run %s cannot be shown: %s", run.uid, error)
    return found


def _picture(frame: Frame) -> bytes | None:
    try:
        return draw_thumbnail(frame.pixels(), frame.mask, _SIDE)
    except Exception as error:  # readers of formats are foreign code
        logger.warning("frame %s cannot be shown: %s", frame.id, error)
        return None


def _words(frames: RunFrames, position: int) -> str:
    _, _, number, index = frames.place(position)
    status = STATUSES[frames.statuses[position]] if frames.statuses[position] >= 0 else "unknown"
    where = ", ".join(f"{motor} {at[position]:.4g}" for motor, at in frames.moved.items() if np.isfinite(at[position]))
    image = f", image {index + 1}" if index else ""
    said = ", ".join(frames.accepted[position]) or ("no tags" if status == "ok" else status)
    by = "" if frames.deciders[position] == "model" else f" (corrected by {frames.deciders[position]})"
    return f"Point {number}{image}{' at ' if where else ''}{where}: {said}{by}"


def _decision_table(decisions: pd.DataFrame) -> Iterable[str]:
    rows = []
    for number, row in decisions.head(_DECISIONS).iterrows():
        said = {str(name).removeprefix("decision_"): value for name, value in row.items()}
        to = {name.removeprefix("to_"): value for name, value in said.items() if name.startswith("to_")}
        known = {name: value for name, value in to.items() if isinstance(value, float) and value == value}
        where = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
        cells = "".join(f"<td>{escape(str(said.get(name, '')))}</td>" for name in ("action", "reason"))
        rows.append(f"<tr><td>{number}</td>{cells}<td>{escape(where)}</td></tr>")
    if rows:
        head = "<tr><th></th><th>action</th><th>reason</th><th>to</th></tr>"
        yield f"<h2>Decisions</h2><table>{head}{''.join(rows)}</table>"
    if len(decisions) > _DECISIONS:
        yield f"<p>{len(decisions) - _DECISIONS} more are stored in the stream.</p>"
