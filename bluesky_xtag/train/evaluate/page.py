"""One HTML page that shows how good a model is: figures, curves, and the frames that it is most wrong about.

The page stands alone: its style and its pictures are in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from ...frames import LabelledFile, open_labelled
from .charts import calibration_curves, log_picture, precision_recall_curves
from .evaluation import OF_ORIGIN, Evaluation
from .page_parts import cells, image, table, whole_page
from .report import Report, figure_text

__all__ = ["Mistake", "mistakes", "write_page"]

EACH = 3  # frames shown of either kind of mistake
HEAD = ("tag", "AP", "chance", "F1", "precision", "recall", "threshold", "ECE", "positives", "frames")


@dataclass(frozen=True)
class Mistake:
    """A frame for which the model decides wrongly on a tag: numbers of the frame and of the tag, and the score."""

    frame: int
    tag: int
    score: float


def mistakes(scored: Evaluation, tag: int, held: bool, most: int = EACH) -> list[Mistake]:
    """Return the mistakes that the model is most sure of on one tag.

    Parameters
    ----------
    scored : Evaluation
    tag : int
        Number of the tag.
    held : bool
        Whether frames that hold the tag and were missed, or frames that do not hold it and were accepted.
    most : int
        At most so many.

    Returns
    -------
    list of Mistake
        The worst first.
    """
    truth, scores = scored.truth[:, tag], scored.scores[:, tag]
    accepted = scores >= scored.thresholds[tag]
    wrong = np.flatnonzero((truth == 1) & ~accepted if held else (truth == 0) & accepted)
    worst = wrong[np.argsort(scores[wrong] if held else -scores[wrong], kind="stable")][:most]
    return [Mistake(int(frame), tag, float(scores[frame])) for frame in worst]


def write_page(scored: Evaluation, path: str | Path) -> None:
    """Write the page.

    Only the frames that are shown are read again from the file of the frames, one at a time.

    Parameters
    ----------
    scored : Evaluation
    path : str or Path
        HTML file to write.
    """
    report = scored.report
    title = f"{scored.path.name} as {scored.model.split(',')[0]} tags it"
    notes = "".join(f"<p>{escape(note)}.</p>" for note in scored.notes)
    parts = [
        f"<h1>{escape(title)}</h1><p>Model {escape(scored.model)}. Frames whose label for a tag is uncertain "
        "do not count for it.</p>",
        _key_figures(report),
        "<h2>Figures</h2>",
        _tag_table(report),
        notes,
        _origin_table(scored.reports),
        "<h2>Precision and recall</h2><p>For every threshold; the dot is the model's own, the dashed line is what "
        "guessing gives.</p>",
        image(precision_recall_curves(scored)),
        "<h2>Calibration</h2><p>Of the frames with a score in a tenth of the range, the share that holds the tag; the "
        "larger a dot, the more frames. On the diagonal a score is a probability.</p>",
        image(calibration_curves(scored)),
        "<h2>The frames it is most wrong about</h2><p>Of every tag, up to "
        f"{EACH} frames that do not hold it and got the highest scores, and up to {EACH} that hold it and got the "
        'lowest. Below each frame all tags with a part in it: accepted rightly, <span class="wrong">accepted wrongly'
        '</span>, <span class="missed">missed</span>, <span class="open">accepted, label uncertain</span>.</p>',
        *_mistake_sections(scored),
    ]
    Path(path).write_text(whole_page(title, parts), "utf-8")


def _key_figures(report: Report) -> str:
    figures = {
        "mAP": figure_text(report.mean_average_precision),
        "chance mAP": figure_text(report.chance),
        "macro F1": figure_text(report.macro_f1),
        "mean calibration error": figure_text(report.mean_calibration_error),
        "frames": f"{report.frames:,}",
        "ms a frame, one by one": f"{report.seconds_per_frame * 1e3:.1f}",
    }
    return f'<div class="key">{"".join(f"<div><b>{value}</b>{name}</div>" for name, value in figures.items())}</div>'


def _tag_table(report: Report) -> str:
    rows = []
    for row in report.tags:
        share = 0 if np.isnan(row.average_precision) else round(100 * row.average_precision)
        numbers = (row.prevalence, row.f1, row.precision, row.recall, row.threshold, row.calibration_error)
        rows.append(
            f'<tr><td>{escape(row.tag)}</td><td class="bar" style="--ap:{share}%">'
            f"{figure_text(row.average_precision)}</td>"
            f"{cells((*map(figure_text, numbers), row.positives, row.frames))}</tr>"
        )
    means = (report.mean_average_precision, report.chance, report.macro_f1)
    last = (*map(figure_text, means), "", "", "", figure_text(report.mean_calibration_error), "", report.frames)
    rows.append(f'<tr class="mean"><td>mean</td>{cells(last)}</tr>')
    return table(HEAD, rows)


def _origin_table(reports: dict[str, Report]) -> str:
    if not reports:
        return ""
    rows = [
        f"<tr>{cells((escape(name or '(unknown)'), report.frames, *map(figure_text, figures)))}</tr>"
        for name, report in reports.items()
        for figures in [(report.mean_average_precision, report.chance, report.macro_f1, report.right)]
    ]
    return (
        "<h2>By source or detector</h2><p>mAP, chance and F1 are over the tags of which the frames from there hold "
        f"both classes.</p>{table(('from', *OF_ORIGIN.values()), rows)}"
    )


def _mistake_sections(scored: Evaluation) -> Iterable[str]:
    """Yield a section for each tag that the model is wrong about."""
    with open_labelled(scored.path) as file:
        for number, tag in enumerate(scored.tags):
            worst = [*mistakes(scored, number, held=False), *mistakes(scored, number, held=True)]
            if worst:
                cards = "".join(_card(scored, mistake, file) for mistake in worst)
                yield f'<h3>{escape(tag)}</h3><div class="cards">{cards}</div>'


def _card(scored: Evaluation, mistake: Mistake, file: LabelledFile) -> str:
    """Return one frame with what the model says and what the label says."""
    frame = file.read(scored.frames[mistake.frame])
    detector = frame.detector or f"{frame.pixels.shape[1]} × {frame.pixels.shape[0]}"
    picture = image(log_picture(frame.pixels, frame.mask), frame.name)
    held = scored.truth[mistake.frame, mistake.tag] == 1
    verdict = f"{mistake.score:.2f}, but it {'holds' if held else 'does not hold'}"
    return (
        f'<div class="card"><b>{verdict}</b>{picture}'
        f'<div class="said">{_tags_in_words(scored, mistake.frame)}</div>'
        f'<div class="soft name">{escape(detector)}: {escape(frame.name)}</div></div>'
    )


def _tags_in_words(scored: Evaluation, frame: int) -> str:
    """Return the tags that were accepted or missed, each with its score and whether that is right."""
    accepted = scored.scores[frame] >= scored.thresholds
    truth = scored.truth[frame]
    kinds = np.select(
        [accepted & (truth == 1), accepted & (truth == 0), accepted, truth == 1],
        ["right", "wrong", "open", "missed"],
        "",
    )
    return " ".join(
        f'<span class="{kind}">{escape(tag)} {score:.2f}</span>'
        for tag, kind, score in zip(scored.tags, kinds, scored.scores[frame], strict=True)
        if kind
    )
