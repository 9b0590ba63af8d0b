"""How people check tags: which frames to look at first, corrections, comparisons, and labels for training."""

from .comparing import compare, draw_disputed
from .correcting import correct, corrections
from .export import export_labels
from .propose import draw_review, review, review_table

__all__ = [
    "compare",
    "correct",
    "draw_disputed",
    "draw_review",
    "review_table",
    "corrections",
    "export_labels",
    "review",
]
