"""A browser for the tests; without one they are skipped."""

from contextlib import contextmanager

import pytest

from bluesky_xtag.cli.bench.chromium import PROGRAM, chromium, find_chromium


@contextmanager
def browser_or_skip():
    """Start a browser; skips the test where there is none."""
    if find_chromium() is None:
        pytest.skip(f"no Chromium: install Debian's package chromium, or name a browser in {PROGRAM}")
    with chromium() as browser:
        yield browser
