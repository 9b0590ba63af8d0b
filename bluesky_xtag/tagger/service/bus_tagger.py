"""A tagger whose rows a service takes, instead of a RunEngine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, cast

from ...documents import FrameId
from ...frames import Frame, FrameAssembler, NamedRoots, Roots
from ..scoring import Outcome
from ..second_look import SecondLook
from ..tagger import Tagger

__all__ = ["BusTagger", "Place"]

Place = tuple[str, str, int, int]
"""Which frame of a run it is: event, data key, sequence number and index, as in the columns of a row."""


class BusTagger(Tagger):
    """A tagger for runs of other processes; arguments are those of `Tagger`.

    Parameters
    ----------
    roots : str, Path or an iterable of these, optional
        Directories below which files may be read that documents name; any file if None.
    """

    def __init__(
        self,
        *arguments: Any,
        roots: NamedRoots = None,
        root_map: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        allowed = Roots.of(roots)
        super().__init__(*arguments, root_map=root_map, wait="point", **options)
        self._assemble = FrameAssembler(self._selection, root_map, allowed)
        self._told = True  # its rows are emitted
        self._unread_of: dict[str, dict[Place, Frame]] = {}
        self._second_look = cast(SecondLook, self)

    def keep(self, frame: Frame) -> None:
        """Keep a frame whose pixels could not be read in time."""
        self._unread_of.setdefault(frame.id.run, {})[place_of(frame.id)] = frame

    def unread(self, run: str) -> Mapping[Place, Frame]:
        """Return the frames of a run that could not be read in time, and may be readable now."""
        return dict(self._unread_of.get(run, {}))

    def forget(self, run: str) -> None:
        """Let them go."""
        self._unread_of.pop(run, None)

    def rows(self, run: str, all_of_them: bool = False) -> list[dict[str, Any]]:
        """Return the rows of a run whose outcomes are known and that were not returned before, in their order.

        Parameters
        ----------
        run : str
            Uid of the run.
        all_of_them : bool
            Also rows of frames without an outcome: they are late by now.
        """
        frames = self.unwritten(run) if all_of_them else self.ready(run)
        if not frames:
            return []
        self.prepare(frames)
        self.trigger()
        found = []
        for page in self.collect_pages():
            data = page["data"]
            found += [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]
        self.checkpoint()
        return found

    def tag_later(self, frames: Sequence[Frame]) -> Future[list[Outcome]]:
        """Tag frames again while no other frame waits."""
        return self._worker.tag_later(frames)


def place_of(identity: FrameId) -> Place:
    """Return which frame of its run it is."""
    return identity.event, identity.key, identity.seq_num, identity.index
