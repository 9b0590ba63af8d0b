"""Scans on which a second model looks on, and what a test needs to wait for it."""

import json
import time

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from ophyd.sim import SynAxis

from bluesky_xtag import TagModel

SECONDS = 400  # on a machine that others use, too


def cautious(directory, name="cautious", threshold=0.9):
    """The packaged model with other thresholds, which is another model with the same scores; its directory."""
    TagModel.load().save(directory)
    card = directory / "card.json"
    stored = json.loads(card.read_text())
    card.write_text(json.dumps(stored | {"name": name, "thresholds": [threshold] * len(stored["thresholds"])}))
    return directory


def until(happened, what):
    """Wait until something has happened."""
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def ready(tagger):
    """The tagger, once its shadow has started."""
    until(lambda: tagger.is_ready and tagger.shadow.is_ready, "the shadow has not started")
    return tagger


def decided(tagger):
    """How many frames of the open run the shadow has scored or skipped."""
    (account,) = tagger.shadow._runs.values()
    return len(account.found) + account.skipped


def patient(det, tagger, points):
    """A scan that gives the shadow time: it has lasted long, and waits after each point until its frame is scored."""
    slow = SynAxis(name="slow", delay=0.05)

    @bpp.run_decorator()
    def plan():
        (account,) = tagger.shadow._runs.values()
        account.began -= 1e6
        for point in range(1, points + 1):
            yield from bps.trigger_and_read([det])
            end = time.monotonic() + SECONDS
            while decided(tagger) < point:
                assert time.monotonic() < end, "the shadow does not decide"
                yield from bps.mov(slow, point)
            yield from bps.mov(slow, -point)

    return plan()


def shadow_rows(seen):
    """The rows of the shadow, without the device's name in their keys."""
    return [
        {key.removeprefix("xtag_shadow_"): value for key, value in event["data"].items()}
        for event in seen.events("tags_shadow")
    ]
