"""The results of a run of the demo, read back from the catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from ...documents import score_tags
from ...view import Labels, colour, most_specific
from .scans import Scan

if TYPE_CHECKING:
    import pandas as pd

    from ...view import Point

__all__ = ["Result", "points", "summarize"]

_SHOWN = 6  # frames beside the map
_POSITION = ("x", "y")


@dataclass(frozen=True, eq=False)
class Result:
    """A run as the catalogue gives it back.

    Parameters
    ----------
    run : BlueskyRun
        The Tiled client of the run.
    scan : Scan
        What was scanned.
    rows : pandas.DataFrame
        A row per frame under plain names, see `bluesky_xtag.documents.TagTable.plain`.
    positions : pandas.DataFrame
        Motor positions, a row per event; index: the sequence number.
    image : str
        The image's data key.
    """

    run: Any
    scan: Scan
    rows: pd.DataFrame
    positions: pd.DataFrame
    image: str

    @classmethod
    def read(cls, run: Any, scan: Scan, image: str) -> Result:
        """Read a run from the catalogue."""
        import pandas as pd

        from ...catalog import as_run, plain_rows
        from ...search import tags

        motors = [name for name in _POSITION if name in run.metadata["start"]["motors"]]
        primary = run["primary"].read(variables=motors)
        frame = pd.DataFrame({name: primary[name].values for name in motors})
        frame.index = pd.RangeIndex(1, len(frame) + 1)
        return cls(run, scan, plain_rows(tags(run), as_run(run)), frame, image)

    @property
    def frames(self) -> int:
        """How many frames the run holds."""
        return int(self.run.metadata["stop"]["num_events"].get("primary", 0))

    def troubles(self) -> Iterator[str]:
        """Yield what is wrong: nothing if the run succeeded and each frame has exactly one row."""
        name = f"run {self.run.metadata['start']['scan_id']}"
        stop = self.run.metadata["stop"]
        if stop["exit_status"] != "success":
            yield f"{name} ended with {stop['exit_status']}: {stop['reason']}"
        if not self.frames:
            yield f"{name} holds no frame"
        rows = Counter(int(number) for number in self.rows["seq_num"])
        without = [number for number in range(1, self.frames + 1) if not rows[number]]
        if without:
            yield f"{name}: {len(without)} of {self.frames} frames have no row: {_few(without)}"
        odd = [number for number, count in rows.items() if count > 1 or not 1 <= number <= self.frames]
        if odd:
            yield f"{name}: rows that belong to no frame, or twice to the same one: {_few(odd)}"

    def scored(self) -> list[dict[str, Any]]:
        """Return the rows of the frames that were scored."""
        return [row for row in self.rows.to_dict("records") if row["status"] == "ok"]

    def labels(self, number: int) -> Labels | None:
        """Return what is known of the frame with a sequence number."""
        return self.scan.labels(self.positions.loc[number].to_dict())

    def agreement(self) -> Counter[str]:
        """Count how the tags agree with what is known: right, missed, wrong; over frames that were scored."""
        counts: Counter[str] = Counter()
        for row in self.scored():
            labels = self.labels(int(row["seq_num"]))
            held = set(row["tags"].split())
            if labels is not None:
                counts["missed"] += len(labels.present - held)
                counts["wrong"] += len(labels.absent & held)
                counts["right"] += len(labels.present & held) + len(labels.absent - held)
        return counts

    def point(self, number: int, title: str = "", with_pixels: bool = False) -> Point:
        """Return a frame for the picture, its pixels read from the catalogue."""
        from ...view import Point

        row = self.rows[self.rows["seq_num"] == number].iloc[0]
        place = self.positions.loc[number]
        pixels = np.squeeze(self.run["primary"][self.image][number - 1]) if with_pixels else None
        scored = row["status"] == "ok"
        return Point(
            title=title,
            tags=tuple(row["tags"].split()),
            scores={tag: float(row[f"p_{tag}"]) for tag in score_tags(self.rows)} if scored else {},
            position=(float(place["x"]), float(place["y"])) if set(_POSITION) <= set(place.index) else None,
            pixels=pixels,
        )


def points(results: Sequence[Result]) -> list[Point]:
    """Return all frames for the picture: on a map with some examples, else each with its pixels."""
    found: list[Point] = []
    for result in results:
        numbers = range(1, result.frames + 1)
        if result.scan.sample is None:
            for number in numbers:
                labels = result.labels(number)
                found.append(result.point(number, labels.name if labels else str(number), with_pixels=True))
            continue
        letters = dict(zip(_examples(result), "ABCDEF", strict=False))
        for number in numbers:
            title = ""
            if number in letters:
                x, y = result.positions.loc[number, list(_POSITION)]
                title = f"{letters[number]}  at ({x:.1f}, {y:.1f}) mm"
            found.append(result.point(number, title, with_pixels=number in letters))
    return found


def _examples(result: Result) -> list[int]:
    """Return frames that differ: the surest of each most specific tag, then those with the most other tags."""
    surest: dict[str, tuple[float, int]] = {}
    by_tags: dict[str, int] = {}
    for row in result.scored():
        number, held = int(row["seq_num"]), row["tags"]
        by_tags.setdefault(held, number)
        if main := most_specific(held.split()):
            surest[main] = max(surest.get(main, (0.0, 0)), (float(row[f"p_{main}"]), number))
    chosen = [number for _, number in surest.values()]
    shown = {row["tags"] for row in result.scored() if row["seq_num"] in chosen}
    mixed = sorted(by_tags.keys() - shown, key=lambda held: -len(held.split()))
    return sorted([*chosen, *(by_tags[held] for held in mixed)][:_SHOWN])


def summarize(results: Sequence[Result], console: Console) -> None:
    """Print frames, rows by status, latencies, agreement, and how often each tag was given."""
    import pandas as pd

    rows = pd.concat([result.rows for result in results])
    statuses = ", ".join(f"{count} {status}" for status, count in rows["status"].value_counts().items())
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("frames", str(sum(result.frames for result in results)))
    table.add_row("rows", f"{len(rows)}: {statuses}")
    latency = rows["latency"].dropna()
    if len(latency):
        p50, p95 = 1000 * latency.quantile([0.5, 0.95])
        table.add_row("latency", f"p50 {p50:.0f} ms, p95 {p95:.0f} ms (from the frame's document to its tags)")
    agreement = sum((result.agreement() for result in results), Counter[str]())
    if agreement:
        table.add_row(
            "agreement",
            f"{agreement['right']} of {agreement.total()} known tags right, "
            f"{agreement['missed']} missed, {agreement['wrong']} wrong",
        )
    console.print(table)
    held = Counter(tag for tags in rows["tags"] for tag in tags.split())
    counts = Table(box=box.SIMPLE_HEAD)
    for heading in ("tag", "frames", "highest score"):
        counts.add_column(heading, justify="left" if heading == "tag" else "right")
    for tag, count in held.most_common():
        counts.add_row(f"[{colour(tag)}]{tag}[/]", str(count), f"{rows[f'p_{tag}'].max():.2f}")
    console.print(counts)


def _few(numbers: Sequence[int]) -> str:
    """Return the first of many numbers, for a message."""
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
