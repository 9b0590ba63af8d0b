"""The shapes of what is emitted and stored: taggings, columns, summaries, corrections, derived runs.

Nothing here reads or writes anything.
"""

from .columns import (
    STREAM,
    configuration,
    configuration_keys,
    correction_keys,
    data_keys,
    row,
    score_column,
    tagger_name,
)
from .corrections import MODEL, Correction, overlay, verdicts
from .derived import PURPOSE, Document, compose
from .summary import KEY, identity, summarise
from .tagging import STATUSES, FrameId, Status, Tagging

__all__ = [
    "KEY",
    "MODEL",
    "PURPOSE",
    "Document",
    "FrameId",
    "STATUSES",
    "STREAM",
    "Correction",
    "Status",
    "Tagging",
    "compose",
    "configuration",
    "configuration_keys",
    "correction_keys",
    "data_keys",
    "identity",
    "overlay",
    "row",
    "score_column",
    "summarise",
    "tagger_name",
    "verdicts",
]
