"""The shapes of what the package emits and stores: taggings, columns, summaries, corrections, derived runs.

Nothing here reads or writes anything.
"""

from .columns import (
    CONFIGURATION,
    CORRECTION,
    ROW,
    SCORE,
    STREAM,
    Column,
    column,
    configuration,
    configuration_keys,
    correction_keys,
    data_key,
    data_keys,
    row,
    score_column,
    score_values,
    tagger_name,
)
from .corrections import MODEL, Correction, overlay, verdicts
from .derived import PURPOSE, Document, compose
from .rows import TagRows
from .summary import KEY, describes, identity, model_keys, summarise
from .table import PLACE, TagRow, TagTable, score_tags
from .tagging import STATUSES, FrameId, Status, Tagging

__all__ = [
    "CONFIGURATION",
    "CORRECTION",
    "PLACE",
    "ROW",
    "SCORE",
    "Column",
    "TagRow",
    "TagRows",
    "TagTable",
    "column",
    "data_key",
    "describes",
    "model_keys",
    "score_tags",
    "score_values",
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
