"""Plans that are steered by the tags; the Queue Server offers them by name, the tagger is its device `xtag`."""

from bluesky_xtag.plans import expose_until, scan_until, skip_empty, tag_adaptive_scan  # noqa: F401
