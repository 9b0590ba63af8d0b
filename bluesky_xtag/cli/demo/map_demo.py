"""The demo of a plan that tags steer: it maps a region with few frames, and compares them with those of a raster."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ...catalog import FRAMES, as_catalog, as_run, next_scan_id
from ...errors import XTagError, XTagValueError
from ...plans import STREAM as DECISIONS
from ...plans import DecisionCheck, replay_decisions
from ..demo import start

__all__ = ["RASTER", "LiveMap", "run_adaptive"]

logger = logging.getLogger("bluesky_xtag")

RASTER = 41
"""Places along each side of the raster with which the plan is compared."""

_EXPOSURE = 0.1  # seconds a frame
_TRAVEL = 0.005  # what a move by 1 mm costs, in frames
_UNKNOWN = (0x2B, 0x30, 0x38)
_LOW, _HIGH = np.array((0x3B, 0x4C, 0xC0)), np.array((0xF2, 0xA0, 0x3D))


def run_adaptive(
    directory: Path, picture: Path, console: Console, model: Path | None = None, *, tag: str = "ring", frames: int = 140
) -> list[str]:
    """Map where a tag holds on the simulated sample, and compare with a raster.

    Parameters
    ----------
    directory : Path
        Of the embedded catalogue.
    picture : Path
        Where the picture goes.
    console : rich.console.Console
        Where the story goes.
    model : Path, optional
        A model directory; the packaged model if None.
    tag : str
        The tag.
    frames : int
        How many places at most.

    Returns
    -------
    list of str
        What went wrong; empty if the plan ended well and its decisions are equal when computed again.

    Raises
    ------
    XTagError
        An argument cannot be used, or the plan was interrupted.
    """
    from ...plans import make
    from ...simulate import SIZE, Sample

    if not picture.absolute().parent.is_dir():
        raise XTagValueError(f"there is no directory {picture.absolute().parent}: name another place for the picture")
    catalog, network = start(directory, model, console)
    try:
        axes = {name: (0.0, SIZE, _TRAVEL) for name in ("x", "y")}
        strategy = make("boundary", axes, tags=network.taxonomy.names, tag=tag)
        sample = Sample()
        uid = _scan(catalog, directory, network, sample, strategy, tag, frames, console)
        run = catalog[uid]
        decisions, again = as_run(run).table(DECISIONS), replay_decisions(run)
        _summarize(run, decisions, again, console)
        _draw(picture, decisions, strategy, sample, tag)
        console.print(f"\n[bold]The picture[/] is {picture}.")
        return list(_troubles(run, again))
    finally:
        catalog.context.close()


def _scan(
    catalog: Any, directory: Path, model: Any, sample: Any, strategy: Any, tag: str, frames: int, console: Console
) -> str:
    from bluesky import RunEngine
    from bluesky.utils import RunEngineInterrupted

    from ...plans import tag_adaptive_scan
    from ...simulate import SIZE, PhotonCounter, motor
    from ...tagger import install

    RE = RunEngine({}, scan_id_source=next_scan_id(catalog))  # noqa: N806 (its name in every session)
    RE.subscribe(as_catalog(catalog).writer())
    xtag = install(RE, model=model)
    x, y = motor("x"), motor("y")
    det = PhotonCounter(name="det", exposures=sample, x=x, y=y, directory=directory / FRAMES, exposure=_EXPOSURE)
    console.print(
        f"\n[bold]Where does {tag} begin and end?[/] The strategy boundary chooses each place by the tags so far."
    )
    live = LiveMap(tag, SIZE)
    RE.subscribe(live)
    plan = tag_adaptive_scan([det], xtag, strategy, x, 0, SIZE, y, 0, SIZE, max_points=frames, md={"purpose": "demo"})
    try:
        with Live(get_renderable=live.renderable, console=console, refresh_per_second=6):
            (uid,) = cast(tuple[str, ...], RE(plan))
    except RunEngineInterrupted:
        RE.log.logger.setLevel(logging.CRITICAL)  # it would tell of the abort with a traceback
        RE.abort("Ctrl-C")
        raise XTagError("the plan was interrupted; the frames that were taken are in the catalogue") from None
    finally:
        xtag.uninstall()
    return uid


class LiveMap:
    """A document callback that keeps what the plan has seen, and shows it next to a raster of as many frames.

    Each place of the map has the colour of the nearest frame. An error in here is logged; it never reaches the
    RunEngine.

    Parameters
    ----------
    tag : str
        The tag.
    size : float
        Width and height of the map in mm.
    """

    def __init__(self, tag: str, size: float) -> None:
        self._tag = tag
        self._size = size
        self._streams: dict[str, str] = {}
        self._at: tuple[float, float] | None = None
        self._places: list[tuple[float, float]] = []
        self._scores: list[float] = []

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document."""
        try:
            if name == "descriptor":
                self._streams[doc["uid"]] = doc["name"]
            elif name == "event" and self._streams.get(doc["descriptor"]) == DECISIONS:
                self._note_decision(doc["data"])
        except Exception:
            logger.exception("the live map could not use a %s document", name)

    def _note_decision(self, data: Mapping[str, Any]) -> None:
        if self._at is not None and data["decision_status"] == "ok":
            self._places.append(self._at)
            self._scores.append(data["decision_p"])
        if data["decision_action"] != "stop":
            self._at = (data["decision_to_x"], data["decision_to_y"])

    def renderable(self) -> RenderableType:
        """Return the two maps, and what they cost."""
        places, scores = np.array(self._places).reshape(-1, 2), np.array(self._scores)
        count = min(len(places), len(scores))
        table = Table.grid(padding=(0, 3))
        table.add_row(Text(f"chosen by {self._tag}", "bold"), Text("a raster, as many frames", "bold"))
        table.add_row(*(_blocks(colours) for colours in self._colours(places[:count], scores[:count])))
        times = f"{RASTER**2 / count:.0f} times as many" if count else "here it begins"
        return Group(table, Text(f"{count} frames; a raster of {RASTER} x {RASTER} takes {RASTER**2}: {times}"))

    def _colours(self, places: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the colours of both maps, (RASTER, RASTER, 3), the row of the highest y first."""
        chosen = np.broadcast_to(np.array(_UNKNOWN), (RASTER, RASTER, 3)).copy()
        raster = chosen.copy()
        if len(places):
            at = np.linspace(0, self._size, RASTER)
            grid = np.stack(np.meshgrid(at, at), axis=-1)
            nearest = ((grid[:, :, None] - places) ** 2).sum(-1).argmin(-1)
            chosen = _colour(scores[nearest])
            columns, rows = np.rint(places.T / self._size * (RASTER - 1)).astype(int)
            chosen[rows, columns] = np.where(scores[:, None] > 0.5, 255, 200)
            known = np.arange(RASTER**2).reshape(RASTER, RASTER) < len(places)
            raster[known] = _colour(scores[nearest])[known]
        return chosen[::-1], raster[::-1]


def _colour(scores: np.ndarray) -> np.ndarray:
    return (_LOW + scores[..., None] * (_HIGH - _LOW)).astype(int)


def _blocks(colours: np.ndarray) -> Text:
    """Return colours (rows, columns, 3) as text, two rows a line."""
    text = Text()
    for row in range(0, len(colours), 2):
        below = colours[row + 1] if row + 1 < len(colours) else np.broadcast_to(_UNKNOWN, colours[row].shape)
        for upper, lower in zip(colours[row], below, strict=True):
            text.append("▀", Style(color=_rgb(upper), bgcolor=_rgb(lower)))
        text.append("\n")
    return text


def _rgb(colour: Any) -> str:
    return "rgb({},{},{})".format(*(int(part) for part in colour))


def _summarize(run: Any, decisions: Any, again: DecisionCheck, console: Console) -> None:
    """Print what the plan took, and what a raster would have taken."""
    start, stop = run.metadata["start"], run.metadata["stop"]
    frames = stop["num_events"]["primary"]
    seconds = stop["time"] - start["time"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("frames", f"{frames}, in {seconds:.0f} s")
    raster = RASTER**2
    table.add_row(
        "a raster",
        f"{raster} frames ({RASTER} x {RASTER}), {raster / frames:.0f} times as many, "
        f"in about {raster * seconds / frames:.0f} s",
    )
    table.add_row("ended", str(decisions["decision_reason"].iloc[-1]))
    table.add_row("decisions", "all equal when computed again from the catalogue" if again.equal else again.divergence)
    console.print(table)


def _troubles(run: Any, again: DecisionCheck) -> list[str]:
    stop = run.metadata["stop"]
    events = stop["num_events"]
    found = []
    if stop["exit_status"] != "success":
        found.append(f"the plan ended with {stop['exit_status']}: {stop['reason']}")
    if events.get("primary") != events.get("tags"):
        found.append(f"{events.get('primary', 0)} frames have {events.get('tags', 0)} rows")
    return found if again.equal else [*found, str(again)]


def _draw(path: Path, decisions: Any, strategy: Any, sample: Any, tag: str) -> None:
    """Draw the region found, the frames, and the true border of the phases; next to it the frames of both ways."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ...simulate import SIZE

    at = np.linspace(0, SIZE, 151)
    grid = np.stack(np.meshgrid(at, at), axis=-1)
    region = strategy.probability(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    phases = sample.fractions(grid[..., 0], grid[..., 1]).argmax(axis=0)
    places = decisions[["decision_to_x", "decision_to_y"]].to_numpy()[:-1]
    scores = decisions["decision_p"].to_numpy()[1:]
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes, bars = figure.subplots(1, 2, width_ratios=(3, 1))
    shown = axes.pcolormesh(at, at, region, cmap="cividis", vmin=0, vmax=1, rasterized=True)
    for phase in range(int(phases.max()) + 1):
        axes.contour(at, at, phases == phase, levels=[0.5], colors="white", linewidths=0.8, alpha=0.7)
    axes.scatter(*places.T, c=scores, cmap="cividis", vmin=0, vmax=1, s=26, edgecolors="black", linewidths=0.6)
    axes.set(aspect="equal", xlabel="x / mm", ylabel="y / mm", title=f"{tag}: {len(places)} frames; white: true phases")
    figure.colorbar(shown, ax=axes, label=f"probability that {tag} holds")
    bars.bar(["chosen", "raster"], [len(places), RASTER**2], color=["#f2a03d", "#3b4cc0"])
    bars.set(title="frames")
    for place, count in enumerate((len(places), RASTER**2)):
        bars.annotate(str(count), (place, count), ha="center", va="bottom")
    figure.savefig(path, dpi=130)
