"""Tags for every frame of every run, from the packaged model; all that a beamline has to add."""

from bluesky_xtag import install
from bluesky_xtag.search import frames_with_tag, runs_with_tag, tags  # noqa: F401 (for the prompt)
from bluesky_xtag.view import LiveTags

xtag = install(RE, catalog=catalog)  # noqa: F821 (from the first file)
RE.subscribe(LiveTags())  # noqa: F821
print(f"Ready: {xtag!r}. Try RE(bp.scan([det], x, 0, 10, 11))")
