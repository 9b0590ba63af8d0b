"""What the live page costs and how fast it is, for `xtag bench web`: real scans, and pages in a real Chromium."""

from __future__ import annotations

import json
import statistics
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

import numpy as np
from bluesky import RunEngine
from bluesky import plans as bp

from ...simulate import motor
from ...tagger import Tagger, install
from .bar import Bar
from .chromium import Browser, Page
from .scanning import PILATUS_1M, Camera, run_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bars", "measure_live_page"]

_POINTS = 40
_EXPOSURE = 0.1  # seconds
_PAGES = 10
_ROUNDS = 7

# Notes when each place has its colour on the screen: a picture after it was drawn.
_WATCH = """(async () => {
  const { state } = await import(new URL("static/live.js", location.href));
  window.coloured = {};
  document.addEventListener("drawn", () => requestAnimationFrame(() => {
    const at = (performance.timeOrigin + performance.now()) / 1000;
    const run = [...state.runs.values()].at(-1);
    for (const place of run?.places.values() ?? []) if (place[1] > 0) window.coloured[`${run.uid} ${place[6]}`] ??= at;
  }));
})()"""


def bars() -> list[Bar]:
    """Return the bars of these figures."""
    return [
        Bar("", "document_to_colour_p95_seconds", 1.0, at_most=True),
        Bar("", "scan_time_ten_pages_over_none", 1.01, at_most=True),
    ]


def measure_live_page(browser: Browser) -> dict[str, Any]:
    """Take scans with exposures of 0.1 s, in turn with ten live pages and without a page, tagged as `install` does.

    The browser should give way: where ten people look, their browsers are not on the machine of the scan.

    Returns
    -------
    dict
        Seconds from the document of a frame to its coloured place on the screen, and the time of scans with ten pages
        over that of scans with none, the median over rounds.
    """
    ratios: list[float] = []
    until: list[float] = []
    with run_engine() as RE, redirect_stdout(StringIO()):  # noqa: N806 - the announcements would fill the screen
        tagger = install(RE)
        try:
            axis = motor("axis")
            _scan(RE, axis)  # the model starts
            for _ in range(_ROUNDS):
                without = _scan(RE, axis)
                ratios.append(_with_pages(RE, tagger, axis, browser, until) / without)
        finally:
            tagger.uninstall()
    return {
        "document_to_colour_p50_seconds": statistics.median(until),
        "document_to_colour_p95_seconds": float(np.percentile(until, 95)),
        "scan_time_ten_pages_over_none": statistics.median(ratios),
        "live_frames": len(until),
    }


def _scan(RE: RunEngine, axis: Any, taken: dict[str, float] | None = None) -> float:  # noqa: N803
    """Return the seconds that a scan takes; note when the document of each frame was emitted."""
    camera = Camera(PILATUS_1M, exposure=_EXPOSURE)
    run = ""
    streams: dict[str, str] = {}

    def note(name: str, doc: Mapping[str, Any]) -> None:
        nonlocal run
        if name == "start":
            run = doc["uid"]
        elif name == "descriptor":
            streams[doc["uid"]] = doc["name"]
        elif name == "event" and taken is not None and streams[doc["descriptor"]] == "primary":
            taken[f"{run} {doc['seq_num']}"] = time()

    begin = perf_counter()
    RE(bp.scan([camera], axis, 0, 1, _POINTS), note)
    return perf_counter() - begin


def _with_pages(RE: RunEngine, tagger: Tagger, axis: Any, browser: Browser, until: list[float]) -> float:  # noqa: N803
    """Return the seconds that a scan takes with pages; add how long each frame took to its colour on the first one."""
    taken: dict[str, float] = {}
    server = tagger.web()
    try:
        with ExitStack() as stack:
            pages = [stack.enter_context(browser.page(server.live_link, window=True)) for _ in range(_PAGES)]
            for page in pages:
                page.wait("document.getElementById('connection').textContent === 'live'", 60)
            pages[0].run(_WATCH)
            seconds = _scan(RE, axis, taken)
            until += _until_coloured(pages[0], taken)
    finally:
        server.close()
    return seconds


def _until_coloured(page: Page, taken: Mapping[str, float]) -> list[float]:
    names = json.dumps(list(taken))
    page.wait(f"{names}.every((name) => name in window.coloured)", 30)
    coloured = page.run("window.coloured")
    return [coloured[name] - at for name, at in taken.items()]
