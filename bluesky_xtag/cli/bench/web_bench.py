"""How fast the page is (`xtag bench web`): a catalogue of many frames, an embedded Tiled, and a real Chromium.

The frames have rows, positions and thumbnails, but no pixels, so that 100,000 of them are made in a minute or two.
`live_page_bench` adds what the page is like while scans run.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from event_model import compose_run
from rich.console import Console
from rich.progress import track

from ... import documents
from ...catalog import as_catalog, open_catalog
from ...model import TagModel
from ...view import draw_thumbnail
from .bar import Bar, missed, table_of
from .chromium import Page, chromium
from .live_page_bench import bars as live_bars
from .live_page_bench import measure_live_page
from .machine import frames as exposures
from .machine import machine

if TYPE_CHECKING:
    from ...catalog import Catalog

__all__ = ["bars_missed", "make_catalog", "web"]

_RUN = 1000  # frames of a run
_FIRST_TIME = 1_780_000_000.0  # of the first run, seconds since 1970
_APART = 3600.0  # seconds between runs
_PICTURES = 64  # different ones
_ROUNDS = 7
_KEYS = 40  # corrections
_LARGE = 50_000  # from here on the bars for 100,000 frames hold

_IMAGES = "[...document.querySelectorAll('.tile:not([hidden]) img')]"
_SEEN = f"{_IMAGES}.filter(image => image.complete && image.naturalWidth > 0).length"
_ALL_SEEN = f"{_IMAGES}.length > 20 && {_SEEN} === {_IMAGES}.length"
# Scrolls to the end and back; returns for how long at most a tile in view had no picture, in milliseconds.
_SCROLL = """new Promise((resolve) => {
  const main = document.getElementById("grid");
  const since = new Map();
  const begin = performance.now();
  let longest = 0;
  const step = () => {
    const now = performance.now();
    const view = main.getBoundingClientRect();
    const empty = new Set();
    for (let across = 0.03; across < 0.98; across += 0.06) {
      for (let down = 0.03; down < 0.98; down += 0.06) {
        const [x, y] = [view.left + across * view.width, view.top + down * view.height];
        const tile = document.elementFromPoint(x, y)?.closest(".tile");
        const image = tile?.querySelector("img");
        // A tile may pass before its picture comes; a place without a tile counts as one.
        if (!image?.naturalWidth || image.classList.contains("waiting")) empty.add(tile?.id ?? `${across} ${down}`);
      }
    }
    for (const id of [...since.keys()]) if (!empty.has(id)) since.delete(id);
    for (const id of empty) {
      if (!since.has(id)) since.set(id, now);
      longest = Math.max(longest, now - since.get(id));
    }
    const part = (now - begin) / 5000; // down, a rest, up, and a rest
    const at = part < 0.4 ? part / 0.4 : part < 0.5 ? 1 : part < 0.9 ? (0.9 - part) / 0.4 : 0;
    main.scrollTop = (main.scrollHeight - main.clientHeight) * at;
    // The next look is after the page has drawn what it was moved to.
    if (part < 1) requestAnimationFrame(() => setTimeout(step));
    else resolve(longest);
  };
  step();
})"""


def web(json_path: Path | None = None, count: int = 10_000) -> dict[str, Any]:
    """Measure the page on this machine, and print it.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    count : int
        How many frames, at least 1000.

    Returns
    -------
    dict
        Figures in seconds, MB and kB; see `bars_missed` for those that have a bar.
    """
    from ...web import PageServer

    console = Console()
    with tempfile.TemporaryDirectory() as directory:
        catalog = open_catalog(directory)
        begin = perf_counter()
        make_catalog(as_catalog(catalog), Path(directory), count, console)
        made = perf_counter() - begin
        server = PageServer(catalog, directory)
        begin = perf_counter()
        server.start()
        try:
            with console.status("Reading the catalogue"):
                while server.app.news.state()["loading"]:
                    server.app.news.wait(0.1)
            figures: dict[str, Any] = {
                "machine": machine(),
                "load": round(os.getloadavg()[0], 2),
                "versions": {name: version(name) for name in ("bluesky_xtag", "tiled", "starlette", "uvicorn")},
                "frames": count,
                "making_seconds": round(made, 1),
                "reading_seconds": round(perf_counter() - begin, 1),
            }
            with console.status("Measuring in Chromium"), chromium() as browser:
                with browser.page(size=(1600, 1000)) as page:
                    figures |= _measure(page, server.link)
            with console.status("Taking scans with live pages in Chromium"), chromium(gives_way=True) as browser:
                figures |= measure_live_page(browser)
        finally:
            server.close()
            catalog.context.close()
    console.print(table_of(_bars(figures), figures))
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def bars_missed(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that the figures miss."""
    return missed(_bars(figures), figures)


def _bars(figures: dict[str, Any]) -> list[Bar]:
    large = figures["frames"] >= _LARGE
    return [
        Bar("", "first_thumbnail_seconds", 0.5, at_most=True),
        Bar("", "screen_seconds", 1.5 if large else 1.0, at_most=True),
        Bar("", "empty_tile_seconds", 0.2, at_most=True),
        Bar("", "filter_seconds", 0.5 if large else 0.2, at_most=True),
        Bar("", "sort_seconds", 0.5 if large else 0.2, at_most=True),
        Bar("", "key_to_stored_p50_seconds", 0.15, at_most=True),
        Bar("", "key_to_stored_p95_seconds", 0.4, at_most=True),
        Bar("", "memory_mb", 300, at_most=True),
        Bar("", "weight_kb", 300, at_most=True),
        *live_bars(),
    ]


def _measure(page: Page, link: str) -> dict[str, float]:
    page.open(link)  # the first time, it also exchanges the token
    page.wait(_ALL_SEEN, 120)
    firsts, screens = [], []
    for _ in range(_ROUNDS):
        page.ask("Network.clearBrowserCache")
        begin = monotonic()
        page.ask("Page.reload")
        page.wait(f"document.readyState !== 'loading' && {_SEEN} > 0", 60)
        firsts.append(monotonic() - begin)
        page.wait(_ALL_SEEN, 60)
        screens.append(monotonic() - begin)
    weight = page.run(
        "performance.getEntriesByType('resource').filter(each => !each.name.includes('thumbnails'))"
        ".concat(performance.getEntriesByType('navigation')).reduce((sum, each) => sum + each.encodedBodySize, 0)"
    )
    empty = page.run(_SCROLL)
    memory = {each["name"]: each["value"] for each in page.ask("Performance.getMetrics")["metrics"]}["JSHeapUsedSize"]
    filters = [_select(page, f"ring>0.{number} -spots", "newest") for number in range(20, 20 + _ROUNDS)]
    orders = [_select(page, f"halo<0.{number}", "spots") for number in range(90, 90 + _ROUNDS)]
    _select(page, "", "newest")
    keys = [_correct(page, number) for number in range(1, _KEYS + 1)]
    return {
        "first_thumbnail_seconds": statistics.median(firsts),
        "screen_seconds": statistics.median(screens),
        "empty_tile_seconds": empty / 1000,
        "filter_seconds": statistics.median(filters),
        "sort_seconds": statistics.median(orders),
        "key_to_stored_p50_seconds": statistics.median(keys),
        "key_to_stored_p95_seconds": float(np.percentile(keys, 95)),
        "memory_mb": memory / 1e6,
        "weight_kb": weight / 1e3,
    }


def _select(page: Page, text: str, order: str) -> float:
    """Search, and return the seconds until the tiles say what was found."""
    words = json.dumps([text, order])
    return page.run(
        f"(async () => {{ const [text, order] = {words}; const begin = performance.now();"
        " document.getElementById('query').value = text; document.getElementById('order').value = order;"
        " document.getElementById('order').dispatchEvent(new Event('change'));"
        " await new Promise(done => document.getElementById('grid').addEventListener('shown', done, {once: true}));"
        " await new Promise(requestAnimationFrame); return (performance.now() - begin) / 1000; })()"
    )


def _correct(page: Page, number: int) -> float:
    """Correct the current frame with a key, and return the seconds until that is stored in the catalogue."""
    page.press("r")
    begin = monotonic()
    page.press("Enter")
    page.wait(f"document.getElementById('outbox').textContent.match(/^{number} corrections? stored$/)", 120)
    return monotonic() - begin


def make_catalog(catalog: Catalog, directory: Path, count: int, console: Console) -> None:
    """Store runs with so many tagged frames, and thumbnails of them.

    Parameters
    ----------
    catalog : Catalog
        An empty catalogue.
    directory : Path
        Its directory.
    count : int
        How many frames, in runs of 1000.
    console : rich.console.Console
        Where to show how far it is.
    """
    from ...web import ThumbnailStore, thumbnail_file

    rng, card = np.random.default_rng(1), TagModel.load()
    pictures = [draw_thumbnail(image) for image in exposures((256, 256), _PICTURES)]
    store = ThumbnailStore(thumbnail_file(directory))
    for first in track(range(0, count, _RUN), f"Making {count:,} frames", console=console, transient=True):
        length = min(_RUN, count - first)
        uid = _store_run(catalog, card, first // _RUN, length, rng)
        store.put(((uid, "det_image", row, 0), pictures[row % _PICTURES]) for row in range(1, length + 1))
    store.close()


def _store_run(catalog: Catalog, card: TagModel, number: int, length: int, rng: np.random.Generator) -> str:
    """Store a run as a tagger leaves it: a map with two motors, and rows by the packaged model."""
    at = _FIRST_TIME + _APART * number
    side = int(np.ceil(np.sqrt(length)))
    names = card.taxonomy.names
    scores = rng.beta(0.25, 0.7, (length, len(names))).round(4)
    hints = {"dimensions": [[["x"], "primary"], [["y"], "primary"]]}
    run = compose_run(metadata={"scan_id": number + 1, "plan_name": "grid_scan", "hints": hints}, time=at)
    emitted: list[tuple[str, Any]] = [("start", run.start_doc)]
    numbers = np.arange(length)
    uids = [f"{run.start_doc['uid']}-{row}" for row in numbers]
    moved = {"x": (numbers % side).astype(float).tolist(), "y": (numbers // side).astype(float).tolist()}
    key = {"source": "bench", "dtype": "number", "shape": []}
    emitted += _stream(run, "primary", dict.fromkeys(moved, key), {}, moved, uids, at)
    accepted = [" ".join(card.taxonomy.accepted(row, card.thresholds)) for row in scores]
    rows: dict[str, list[Any]] = {f"xtag_p_{tag}": scores[:, place].tolist() for place, tag in enumerate(names)}
    rows |= {"xtag_tags": accepted, "xtag_status": ["ok"] * length, "xtag_frame_event": uids}
    rows |= {"xtag_frame_key": ["det_image"] * length, "xtag_frame_seq_num": (numbers + 1).tolist()}
    rows |= {"xtag_frame_index": [0] * length, "xtag_latency": [0.01] * length, "xtag_device": ["CPU"] * length}
    keys = documents.data_keys("xtag", card.taxonomy)
    rows |= {name: [""] * length for name in keys if name not in rows}
    configuration = documents.configuration("xtag", card)
    about = {
        "xtag": {
            "data": configuration,
            "timestamps": dict.fromkeys(configuration, at),
            "data_keys": documents.configuration_keys("xtag", card.taxonomy),
        }
    }
    emitted += _stream(run, "tags", keys, about, rows, [f"t-{uid}" for uid in uids], at)
    emitted.append(("stop", run.compose_stop(time=at + length)))
    writer = catalog.writer()
    for name, doc in emitted:
        writer(name, doc)
    return run.start_doc["uid"]


def _stream(
    run: Any,
    name: str,
    keys: dict[str, Any],
    configuration: dict[str, Any],
    columns: dict[str, list[Any]],
    uids: list[str],
    at: float,
) -> list[tuple[str, Any]]:
    stream = run.compose_descriptor(
        name=name, data_keys=keys, configuration=configuration, object_keys={key: [key] for key in keys}, time=at
    )
    length = len(uids)
    times = (at + np.arange(length)).tolist()
    page = {
        "descriptor": stream.descriptor_doc["uid"],
        "uid": uids,
        "seq_num": list(range(1, length + 1)),
        "time": times,
        "data": columns,
        "timestamps": dict.fromkeys(columns, times),
        "filled": {},
    }
    return [("descriptor", stream.descriptor_doc), ("event_page", page)]
