"""The demo: a simulated beamline scans a sample, and everything behind the detector works as in a real session.

Documents go through a RunEngine, frames through SWMR files, tags through the model, and all of it ends in an
embedded Tiled catalogue. The summary and the picture are read back from there.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from ...catalog import FRAMES, as_catalog, next_scan_id, open_catalog
from ...errors import XTagError, XTagValueError
from ...model import without_build_notes
from ...view import Labels, LiveTags
from .demo_devices import DETECTOR, Control, Devices, beamline
from .results import Result, points, summarize
from .scans import Scan, measured_scans, sample_scan

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["measured_scans", "run", "sample_scan", "start"]


def run(
    scans: Sequence[Scan],
    directory: Path,
    picture: Path,
    console: Console,
    model: Path | None = None,
    control: Control = "simulated",
) -> list[str]:
    """Run the demo.

    Parameters
    ----------
    scans : sequence of Scan
        What to scan, from `sample_scan` or `measured_scans`.
    directory : Path
        Of the embedded catalogue.
    picture : Path
        Where the picture goes.
    console : rich.console.Console
        Where the story goes.
    model : Path, optional
        A model directory; the packaged model if None.
    control : {"simulated", "ophyd", "ophyd-async"}
        How the devices are reached, see `beamline`.

    Returns
    -------
    list of str
        What went wrong; empty if every frame has its row.

    Raises
    ------
    XTagError
        An argument cannot be used, or the scan was interrupted.
    """
    from ...view import draw_points

    if not picture.absolute().parent.is_dir():
        raise XTagValueError(f"there is no directory {picture.absolute().parent}: name another place for the picture")

    catalog, network = start(directory, model, console)
    try:
        scans = [replace(scan, labels=_limit_to_model(network, scan.labels)) for scan in scans]
        with beamline(control, directory / FRAMES, console) as devices:
            uids = _scan(scans, devices, catalog, network, console)
        console.print("\n[bold]What the catalogue holds[/]")
        key = DETECTOR if control == "ophyd-async" else f"{DETECTOR}_image"
        results = [Result.read(catalog[uid], scan, key) for uid, scan in zip(uids, scans, strict=True)]
        summarize(results, console)
        frames = sum(result.frames for result in results)
        title = f"{frames} frame{'s' if frames > 1 else ''}, tagged while the scan ran"
        draw_points(picture, points(results), title, scans[0].sample, model=f"{network.name} {network.version}")
        _say_what_next(catalog, directory, picture, console, control)
        return [trouble for result in results for trouble in result.troubles()]
    finally:
        catalog.context.close()


def start(directory: Path, model: Path | None, console: Console) -> tuple[Any, TagModel]:
    """Open the catalogue and load the model, at the same time because both take long."""
    # Both threads import these; done here first, their imports cannot meet halfway.
    import h5py  # noqa: F401
    import pandas  # noqa: F401

    from ...model import TagModel

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with ThreadPoolExecutor(1) as pool, Progress(*columns, console=console) as progress:
        opening = progress.add_task(f"Tiled catalogue in {directory}, inside this process", total=1)
        loading = progress.add_task("TensorFlow and the model", total=1)
        catalog = pool.submit(open_catalog, directory)
        catalog.add_done_callback(lambda _: progress.update(opening, completed=1))
        with without_build_notes():
            network = TagModel.load(model)
            network.warm()
        story = f"Model {network.name} {network.version} on {network.device}"
        progress.update(loading, completed=1, description=story)
        return catalog.result(), network


def _scan(scans: Sequence[Scan], devices: Devices, catalog: Any, model: TagModel, console: Console) -> list[str]:
    """Run the scans as a real session would, and return the uids of their runs."""
    from bluesky import RunEngine
    from bluesky.utils import RunEngineInterrupted

    from ...tagger import install

    RE = RunEngine({}, scan_id_source=next_scan_id(catalog))  # noqa: N806 (its name in every session)
    RE.subscribe(as_catalog(catalog).writer())
    xtag = install(RE, model=model, catalog=catalog)
    uids: list[str] = []
    try:
        for scan in scans:
            console.print(f"\n[bold]Scanning {scan.title}[/]")
            detector, x, y = devices(scan.exposures)
            live = LiveTags(labels=scan.labels, progress=True, console=console)
            token = RE.subscribe(live)
            uids.extend(cast(tuple[str, ...], RE(scan.plan(detector, x, y))))
            RE.unsubscribe(token)
            live.flush()
    except RunEngineInterrupted:
        RE.log.logger.setLevel(logging.CRITICAL)  # it would tell of the abort with a traceback
        RE.abort("Ctrl-C")
        raise XTagError("the scan was interrupted; the frames that were taken are in the catalogue") from None
    finally:
        xtag.uninstall()
    return uids


def _limit_to_model(
    model: TagModel, labels: Callable[[Mapping[str, Any]], Labels | None]
) -> Callable[[Mapping[str, Any]], Labels | None]:
    """Return `labels` limited to the tags that the model gives."""
    names = frozenset(model.taxonomy.names)

    def known(data: Mapping[str, Any]) -> Labels | None:
        found = labels(data)
        return found and Labels(found.name, found.present & names, found.absent & names)

    return known


def _say_what_next(catalog: Any, directory: Path, picture: Path, console: Console, control: Control) -> None:
    """Print where everything is and what to try."""
    runs = f"{len(catalog)} run{'s' if len(catalog) > 1 else ''}"
    where = _where_commands_are()
    next_steps = (
        (_session(where, directory, control), "this beamline, the catalogue and the tagger in IPython:"),
        ("    RE(bp.scan([det], x, 0, 10, 11))", "scan a line; its tags appear as it goes"),
        ("    tags(catalog[-1])", "the tags of the newest run, a row per frame"),
        (f"{where}xtag web {shlex.quote(str(directory))}", "look at the frames in a browser, search and correct them"),
        (f"{where}xtag demo --frames FILE.h5", "the same with measured frames"),
        (f"{where}xtag map", "map where a tag begins and ends, with a tenth of a raster's frames"),
        (f"{where}xtag info", "the model: its tags, thresholds and scores"),
    )
    console.print(f"\n[bold]The picture[/] is {picture}; the catalogue {directory} holds {runs} now.")
    console.print("\n[bold]What to type next[/]")
    width = max(len(command) for command, _ in next_steps)
    for command, effect in next_steps:
        console.print(Text.assemble("  ", (f"{command:<{width}}  ", "cyan"), effect), soft_wrap=True)


def _session(where: str, directory: Path, control: Control) -> str:
    """Return the command that opens the profile with such devices on the catalogue."""
    profile = Path(__file__).parents[3] / "profiles" / ("xtag" if control == "simulated" else "epics")
    catalog = "" if directory == Path("xtag-demo") else f"XTAG_CATALOG={shlex.quote(str(directory))} "
    return f"{catalog}{where}ipython --profile-dir={os.path.relpath(profile)}"


def _where_commands_are() -> str:
    """Return what must be typed before `xtag` and `ipython`; nothing if the shell finds those of this environment."""
    beside = Path(sys.executable).parent
    found = shutil.which("xtag")
    return "" if found and Path(found).parent == beside else f"{os.path.relpath(beside)}/"
