"""What adapting a model brought: errors on frames of sources not seen, before and after, by stage, tag and frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..evaluate.report import figure_text, plain

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Adaptation", "FrameOutcome", "StageOutcome", "TagOutcome", "stage_rows", "tag_rows"]


@dataclass(frozen=True)
class StageOutcome:
    """What the model is worth after a stage, on frames of sources that it was not fitted to.

    Parameters
    ----------
    stage : str
        "before", "calibration", "head" or "network".
    errors : float
        False and missed tags a frame, of the tags known before.
    clean : float
        Share of the frames without an error.
    entropy : float
        Mean cross entropy of a label, nats.
    change, error : float
        Of the errors a frame against the model as it was, and its standard error (of sources drawn at random).
    used : bool
        Whether the adapted model has been through this stage.
    """

    stage: str
    errors: float
    clean: float
    entropy: float
    change: float
    error: float
    used: bool


@dataclass(frozen=True)
class TagOutcome:
    """What became of one tag; "after" is by models that have seen no frame of the same source.

    Parameters
    ----------
    tag : str
    outcome : str
        "calibrated" (slope, offset and threshold), "adapted" (weights, too), "kept" (as it was) or "new".
    positives, negatives : int
        Frames that are labelled as holding the tag and as not holding it.
    threshold : float
        Score from which the adapted model accepts the tag.
    false_before, false_after, missed_before, missed_after : int or None
        Frames with this error; None if the model did not know the tag.
    order_before, order_after : float
        Share of pairs of frames in the right order, see `judging.in_order`; 0.5 by chance. NaN if there is no pair.
    entropy_before, entropy_after : float
        Mean cross entropy of a label, nats: low if the scores are right and calibrated.
    """

    tag: str
    outcome: str
    positives: int
    negatives: int
    threshold: float
    false_before: int | None
    false_after: int
    missed_before: int | None
    missed_after: int
    order_before: float
    order_after: float
    entropy_before: float
    entropy_after: float


@dataclass(frozen=True)
class FrameOutcome:
    """The errors of one frame, before and by a model that has seen no frame of its source.

    Parameters
    ----------
    name, source : str
    false_before, missed_before, false_after, missed_after : tuple of str
        Tags.
    eased : float
        By how much the cross entropy of its labels fell, nats.
    """

    name: str
    source: str
    false_before: tuple[str, ...]
    missed_before: tuple[str, ...]
    false_after: tuple[str, ...]
    missed_after: tuple[str, ...]
    eased: float

    @property
    def change(self) -> int:
        """Errors after, less those before."""
        return len(self.false_after + self.missed_after) - len(self.false_before + self.missed_before)


@dataclass(frozen=True)
class Adaptation:
    """How an adapted model was measured.

    Parameters
    ----------
    model : str
        Name and version of the model that was adapted.
    file : str
        Name of the file of the labelled frames.
    tags : tuple of TagOutcome
        The tags that the file labels.
    left_out : dict
        Tags of the file that were not learned, each with the reason.
    stages : tuple of StageOutcome
        The first is "before".
    sources : dict
        Number of frames of each source.
    each : tuple of FrameOutcome
        The frames.
    simulated : dict
        Figures on held-out simulated frames, "before" and "after": mAP and errors a frame; empty if not measured.
    simulated_frames : int
        Their number.
    """

    model: str
    file: str
    tags: tuple[TagOutcome, ...]
    left_out: Mapping[str, str]
    stages: tuple[StageOutcome, ...]
    sources: Mapping[str, int]
    each: tuple[FrameOutcome, ...] = field(repr=False)
    simulated: Mapping[str, Mapping[str, float]]
    simulated_frames: int

    @property
    def frames(self) -> int:
        """Number of labelled frames."""
        return sum(self.sources.values())

    @property
    def before(self) -> StageOutcome:
        """The model as it was."""
        return self.stages[0]

    @property
    def after(self) -> StageOutcome:
        """The adapted model."""
        return [stage for stage in self.stages if stage.used][-1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, but for the single frames; NaN becomes None."""
        left_out = ("each", "model", "file")
        return plain({key: value for key, value in asdict(self).items() if key not in left_out}) | {
            "frames": self.frames
        }

    def tables(self) -> Iterable[Table]:
        """Yield the figures of the stages and of the tags as tables for a terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        from ...view import disarm

        for (title, *heads), rows in (stage_rows(self), tag_rows(self)):
            table = Table(box=SIMPLE_HEAD, pad_edge=False)
            table.add_column(title, no_wrap=True)
            for heading in heads:
                table.add_column(heading, justify="right")
            for row in rows:
                table.add_row(*map(disarm, row))
            yield table

    @property
    def notes(self) -> list[str]:
        """Sentences on what the tables show and do not show."""
        notes = [
            f"{self.frames} frames of {len(self.sources)} sources; after: by models that saw none of the same source.",
            f"Errors a frame: {self.before.errors:.2f} before, {self.after.errors:.2f} after; change "
            f"{self.after.change:+.2f} with a standard error of {self.after.error:.2f}.",
        ]
        if self.simulated:
            before, after = self.simulated["before"], self.simulated["after"]
            notes.append(
                f"On {self.simulated_frames} held-out simulated frames: mAP {before['mAP']:.3f} before, "
                f"{after['mAP']:.3f} after; errors a frame {before['errors']:.2f} and {after['errors']:.2f}."
            )
        return notes + [f"Not learned: {tag}; {reason}." for tag, reason in self.left_out.items()]


Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


def stage_rows(adaptation: Adaptation) -> Rows:
    """Return the head and the rows of a table of the stages."""
    rows = [
        (
            row.stage,
            f"{row.errors:.2f}",
            f"{row.clean:.0%}",
            figure_text(row.entropy),
            f"{row.change:+.2f} ± {row.error:.2f}" if number else "",
            "yes" if row.used else "no",
        )
        for number, row in enumerate(adaptation.stages)
    ]
    return ("stage", "errors a frame", "without", "entropy", "change of errors", "used"), rows


def tag_rows(adaptation: Adaptation) -> Rows:
    """Return the head and the rows of a table of the tags."""
    rows = [
        (
            row.tag,
            row.outcome,
            _both(row.false_before, row.false_after),
            _both(row.missed_before, row.missed_after),
            _both(figure_text(row.order_before), figure_text(row.order_after)),
            str(row.positives),
            str(row.negatives),
        )
        for row in adaptation.tags
    ]
    return ("tag", "outcome", "false", "missed", "in order", "yes", "no"), rows


def _both(before: object, after: object) -> str:
    """Return two figures before and after in words; one if they are the same."""
    return f"{'–' if before is None else before} → {after}" if before != after else str(after)
