"""How people check tags: which frames to look at first, corrections, comparisons, and labels for training."""

from .comparing import compare, draw_disputed, label
from .correcting import correct, correct_all, corrections, retract
from .export import export_labels
from .label_keys import MOST_TAGS, assign_keys
from .label_terminal import can_show, check_terminal, label_in_terminal
from .label_window import check_window, label_in_window
from .labelled_files import LabelledFiles, label_files
from .labelling import Labelling
from .promoting import judge_models
from .propose import draw_review, review, review_table
from .run_state import RunState, Words

__all__ = [
    "MOST_TAGS",
    "LabelledFiles",
    "Labelling",
    "RunState",
    "Words",
    "assign_keys",
    "can_show",
    "check_terminal",
    "check_window",
    "compare",
    "correct",
    "correct_all",
    "draw_disputed",
    "draw_review",
    "review_table",
    "corrections",
    "export_labels",
    "judge_models",
    "label",
    "label_files",
    "label_in_terminal",
    "label_in_window",
    "retract",
    "review",
]
