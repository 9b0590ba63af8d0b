"""What a person sees who labels frames: one frame, its tags with their keys and scores, and what else keys do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["LabelPage", "TagLine"]


@dataclass(frozen=True)
class TagLine:
    """One tag of a frame.

    Parameters
    ----------
    key : str
        The key that changes it.
    tag : str
        Its name.
    holds : bool or None
        What is chosen: it holds, it does not, or it is undecided.
    score : float
        The score of a model, 0 to 1; NaN if there is none.
    proposed : bool or None
        What was chosen at first, by the model; None if by nobody.
    """

    key: str
    tag: str
    holds: bool | None
    score: float = np.nan
    proposed: bool | None = None

    @property
    def sign(self) -> str:
        """One character for what is chosen."""
        return "?" if self.holds is None else "✓" if self.holds else "·"

    @property
    def changed(self) -> bool:
        """Whether a person chose something else than was proposed."""
        return self.proposed is not None and self.holds != self.proposed


@dataclass(frozen=True, eq=False)
class LabelPage:
    """A frame that waits for its labels.

    Parameters
    ----------
    title : str
        Name of the frame.
    about : str
        What else is known of it.
    pixels : numpy.ndarray or None
        (rows, columns) raw counts; pixels that must not be used may be negative, NaN or masked. None if there is no
        frame to be labelled any more.
    lines : tuple of TagLine
        The tags.
    done, total : int
        How many frames are labelled, and how many shall be.
    message : str
        What a person must know now, such as the last undo.
    commands : mapping of str to str
        Keys that are not those of tags, and what they do.
    """

    title: str
    about: str
    pixels: np.ndarray | None
    lines: tuple[TagLine, ...]
    done: int
    total: int
    message: str = ""
    commands: Mapping[str, str] = field(default_factory=dict)
