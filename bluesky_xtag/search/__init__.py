"""Find runs and frames by tag, and read stored tags back, from Tiled and from databroker.

`runs_with_tag`, `frames_with_tag` and `HasTag` ask for the summaries that `bluesky_xtag.summary` describes; `tags`
reads the rows of one run.
"""

from .frames import find_similar, frames_with_tag
from .query import HasTag, runs_with_tag
from .taggings import tags

__all__ = ["HasTag", "find_similar", "frames_with_tag", "runs_with_tag", "tags"]
