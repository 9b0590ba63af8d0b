"""Find runs and frames by tag, and read stored tags back, from Tiled and from databroker.

`runs_with_tag`, `frames_with_tag` and `HasTag` ask for the summaries that `bluesky_xtag.documents.summary` describes;
`tags` reads the rows of one run.
"""

from .frames import find_similar, frames_with_tag
from .kept import default_directory
from .live_summary import LiveSummary
from .queries import HasTag, runs_with_tag
from .recovery import recover
from .summarise import index
from .tagged_runs import configuration, own_tags
from .taggings import said_of, tagging, tags

__all__ = [
    "HasTag",
    "LiveSummary",
    "configuration",
    "default_directory",
    "find_similar",
    "frames_with_tag",
    "index",
    "own_tags",
    "recover",
    "runs_with_tag",
    "said_of",
    "tagging",
    "tags",
]
