"""Plans that are steered by the tags; the Queue Server offers them by name, the tagger is its device `xtag`."""

from bluesky_xtag.plans import (  # noqa: F401
    compare_samples,
    expose_until,
    scan_until,
    skip_empty,
    tag_adaptive_scan,
    watch,
)
from bluesky_xtag.plans.remote import skip_empty_grid  # noqa: F401 (a queue cannot hold a plan as an argument)
