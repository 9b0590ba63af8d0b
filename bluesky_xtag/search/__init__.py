"""Find runs and frames by tag, and read stored tags back, from Tiled and from databroker.

`runs_with_tag`, `frames_with_tag` and `HasTag` ask for the summaries that `bluesky_xtag.documents.summary` describes;
`tags` reads the rows of one run.
"""

from .frames import find_similar, frames_with_tag
from .kept import default_directory, recover
from .live_summary import LiveSummary
from .models import hint_at_models, known_models
from .queries import HasTag, runs_with_tag
from .summarise import summarise_runs, write_if_complete
from .tagged_runs import configuration, own_tags, positions, summary_of
from .taggings import find_rows, find_tagging, read_corrections, tags

__all__ = [
    "HasTag",
    "LiveSummary",
    "configuration",
    "default_directory",
    "find_rows",
    "find_similar",
    "find_tagging",
    "frames_with_tag",
    "hint_at_models",
    "known_models",
    "own_tags",
    "positions",
    "read_corrections",
    "recover",
    "runs_with_tag",
    "summarise_runs",
    "summary_of",
    "tags",
    "write_if_complete",
]
