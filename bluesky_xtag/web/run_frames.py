"""The tagged frames of one run, as a page shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..catalog import Catalog, Run
from ..documents import (
    MODEL,
    STATUSES,
    Correction,
    FrameId,
    TagTable,
    began,
    identity,
    overlay,
    tagger_name,
    verdicts,
)
from ..search import configuration, find_tagging, positions, read_corrections

__all__ = ["RunFrames"]


@dataclass(frozen=True, eq=False)
class RunFrames:
    """The tagged frames of one run, in the order of their rows.

    Parameters
    ----------
    uid : str
        The run that has the frames.
    number : int
        Place of the run in the index; it does not change while the index lives.
    about : mapping
        What a page shows of the run: `scan_id`, `time`, `plan`, `sample`, `model`, `complete`, `motors`.
    tags : tuple of str
        The tags that have scores.
    thresholds : mapping of str to float
        Score from which on each tag is accepted.
    preparation : str
        Settings of the model's preparation, as JSON; "" if the stream does not tell.
    keys : tuple of str
        Data key of each image.
    places : numpy.ndarray
        (frames, 3) int64: row in `tags(run)`, sequence number of the event, index within it.
    times : numpy.ndarray
        (frames,) float64, seconds since 1970.
    statuses : numpy.ndarray
        (frames,) int8, positions in `STATUSES`.
    scores : numpy.ndarray
        (frames, tags) float32, NaN unless the status is "ok".
    given : tuple of tuple of str
        The tags that the model gave each frame.
    accepted : tuple of tuple of str
        The tags of each frame, after corrections.
    deciders : tuple of str
        "model", or who corrected the frame last.
    moved : mapping of str to numpy.ndarray
        (frames,) float64 positions of each motor, NaN where they are not known.
    said : tuple of Correction
        Everything that people said about the run, in the order in which it counts.
    """

    uid: str
    number: int
    about: Mapping[str, Any]
    tags: tuple[str, ...]
    thresholds: Mapping[str, float]
    preparation: str
    keys: tuple[str, ...]
    places: np.ndarray
    times: np.ndarray
    statuses: np.ndarray
    scores: np.ndarray
    given: tuple[tuple[str, ...], ...]
    accepted: tuple[tuple[str, ...], ...]
    deciders: tuple[str, ...]
    moved: Mapping[str, np.ndarray]
    said: tuple[Correction, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def place(self, position: int) -> tuple[str, str, int, int]:
        """Return the run, data key, sequence number and index of a frame."""
        _, seq_num, index = self.places[position]
        return self.uid, self.keys[position], int(seq_num), int(index)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The tags that have scores, and others that people gave."""
        return tuple(dict.fromkeys([*self.tags, *(tag for held in self.accepted for tag in held)]))

    @cached_property
    def held(self) -> np.ndarray:
        """(frames, names) bool: the tags of each frame, after corrections."""
        at = {tag: place for place, tag in enumerate(self.names)}
        found = np.zeros((len(self), len(at)), bool)
        rows = [row for row, held in enumerate(self.accepted) for _ in held]
        found[rows, [at[tag] for held in self.accepted for tag in held]] = True
        return found

    @cached_property
    def decided(self) -> np.ndarray:
        """(frames,) of str: "model", or who corrected the frame last."""
        return np.array(self.deciders, object)

    def row(self, position: int) -> int:
        """Return the row of a frame in `tags(run)`."""
        return int(self.places[position][0])

    @classmethod
    def read(cls, run: Run, number: int, catalog: Catalog) -> RunFrames:
        """Read the newest tagging of a stored run, and what people said about it.

        Raises
        ------
        NoTagsError
            The run has no tags.
        """
        held, rows = find_tagging(run, catalog=catalog)
        settings = configuration(held)
        table = TagTable(overlay(rows, []))
        name = tagger_name(table.rows.columns)
        keys = tuple(map(str, table["frame_key"]))
        numbers = table["frame_seq_num"].to_numpy(np.int64)
        places = positions(run, set(keys)).reindex(numbers)
        moved = {str(motor): places[motor].to_numpy(float) for motor in places if places[motor].dtype.kind in "fiu"}
        codes = {status: code for code, status in enumerate(STATUSES)}
        start = run.start
        model = identity(settings)
        given = tuple(tuple(each) for each in table.accepted())
        found = cls(
            uid=run.uid,
            number=number,
            about={
                "scan_id": run.scan_id,
                "time": began(start),
                "plan": str(start.get("plan_name", "")),
                "sample": _sample_name(start),
                "model": f"{model['model']} {model['model_version']}",
                "sha256": model["model_sha256"],
                "complete": bool(run.stop),
                "motors": list(moved),
            },
            tags=tuple(table.tags),
            thresholds=dict(zip(map(str, settings[f"{name}_taxonomy"]), settings[f"{name}_thresholds"], strict=True)),
            preparation=str(settings.get(f"{name}_preparation", "")),
            keys=keys,
            places=np.stack([table.rows.index.to_numpy(np.int64), numbers, table["frame_index"].to_numpy()], axis=1),
            times=table.rows["time"].to_numpy(float),
            statuses=np.array([codes.get(str(each), -1) for each in table["status"]], np.int8),
            scores=table.scores().to_numpy(np.float32),
            given=given,
            accepted=given,
            deciders=tuple(map(str, table.rows[table.decided_by()])),
            moved=moved,
        )
        return found.corrected(read_corrections(run, catalog))

    def corrected(self, said: Iterable[Correction]) -> RunFrames:
        """Return the same frames with everything that people said by now."""
        said = tuple(said)
        accepted, deciders = list(self.given), [MODEL] * len(self)
        frames = [FrameId(place[0], "", *place[1:]) for place in map(self.place, range(len(self)))]
        order = {tag: place for place, tag in enumerate(self.tags)}
        for position, verdict in verdicts(frames, said).items():
            held = verdict.apply(self.given[position])
            accepted[position] = tuple(sorted(held, key=lambda tag: order.get(tag, len(order))))
            deciders[position] = verdict.by
        return replace(self, accepted=tuple(accepted), deciders=tuple(deciders), said=said)


def _sample_name(start: Mapping[str, Any]) -> str:
    """Return the sample that a start document names, "" if it names none."""
    for key in ("sample", "_sample_name"):
        sample = start.get(key)
        if isinstance(sample, Mapping):
            sample = sample.get("name")
        if sample:
            return str(sample)
    return ""
