"""Tag stored runs again, with any model and with the code that tags live, and store derived runs."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from .. import documents
from ..catalog import (
    Catalog,
    Run,
    RunSelection,
    StoredCatalog,
    as_catalog,
    catalog_errors,
    is_away,
    select_runs,
    store,
)
from ..documents import STATUSES, STREAM, FrameId, Tagging, summarise
from ..errors import XTagError
from ..frames import Frame, FrameAssembler, FrameSelection, Mask
from ..model import load_model
from ..tagger import Backend, batches, finish
from .journal import Journal
from .settings import Watch, choose_backend, fingerprint, work_directory

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["replay"]

logger = logging.getLogger("bluesky_xtag")


def replay(
    catalog: StoredCatalog,
    runs: RunSelection = None,
    *,
    model: TagModel | str | Path | None = None,
    key: str | Sequence[str] | None = None,
    streams: Sequence[str] | None = None,
    beam_centre: tuple[float, float] | tuple[str, str] | None = None,
    mask: Mask | Mapping[str, Mask] | None = None,
    root_map: Mapping[str, str] | None = None,
    name: str = "xtag",
    again: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    work: str | Path | None = None,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """Tag the frames of stored runs, and store the tags as derived runs next to them.

    Earlier tags do not change. A run that was replayed with this model and these settings is left out. If a call ends
    early, for any reason, the same call finishes the work: it continues after the last frames in its journal.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        The catalogue that has the runs, and that gets the derived runs.
    runs : str, int, run, or an iterable of these, optional
        Which runs, see `bluesky_xtag.catalog.select_runs`. If None, all runs.
    model : TagModel, str or Path, optional
        The model, or its directory. If None, the packaged model.
    key, streams, beam_centre, mask, root_map
        As in `bluesky_xtag.install`.
    name : str
        First part of the column names.
    again : bool
        Also replay runs that were replayed with this model and these settings, for example when missing files are back.
    workers : int, optional
        How many processes to start on this machine with Dask. If None, this process does the work alone.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work, such as ``tcp://host:8786``.
    work : str or Path, optional
        Directory of the journals. If None, ``~/.local/state/bluesky_xtag``.
    watch : callable, optional
        A function that is called after each batch with the run's uid, the number of frames done, and the number of all
        frames (None if unknown).

    Returns
    -------
    pandas.DataFrame
        One row for each run: ``run`` (uid), ``scan_id``, ``outcome`` ("tagged", "tagged before", "no images", or
        "failed: " and the reason), ``frames``, a count for each status, ``seconds``, and ``derived``, the uid of the
        derived run.

    Raises
    ------
    CatalogError
        The catalogue does not answer, or does not store the tags. The same call continues from there.
    XTagValueError
        There is no such run, or an argument does not fit.
    """
    model = load_model(model)
    selection = FrameSelection(key, streams, beam_centre, mask)
    settings = fingerprint(model, name, key, streams, beam_centre, selection.mask)
    place = as_catalog(catalog)
    outcomes = []
    with closing(choose_backend(model, scheduler, workers)) as backend, catalog_errors(place.name, "read"):
        one = _OneRun(place, model, backend, name, settings, again, Path(work or work_directory()), watch)
        for run in select_runs(place, runs):
            begin = time.perf_counter()
            outcome = one.replay(run, FrameAssembler(selection, root_map))
            known = {"run": run.uid, "scan_id": run.start.get("scan_id"), "seconds": time.perf_counter() - begin}
            outcomes.append(known | outcome)
    empty = {"run": "", "scan_id": None, "outcome": "", "frames": 0} | dict.fromkeys(STATUSES, 0)
    empty |= {"seconds": 0.0, "derived": ""}
    return pd.DataFrame([empty | outcome for outcome in outcomes], columns=pd.Index(empty))


@dataclass(frozen=True)
class _OneRun:
    """The settings that all runs of a replay share."""

    catalog: Catalog
    model: TagModel
    backend: Backend
    name: str
    settings: str
    again: bool
    work: Path
    watch: Watch | None

    def replay(self, run: Run, assemble: FrameAssembler) -> dict[str, Any]:
        """Replay one run, and return the outcome for the table."""
        try:
            return self._replay(run, assemble)
        except XTagError:
            raise
        except Exception as error:
            if is_away(error):
                raise
            logger.exception("run %s could not be replayed", run.uid)
            return {"outcome": f"failed: {type(error).__name__}: {error}"}

    def _replay(self, run: Run, assemble: FrameAssembler) -> dict[str, Any]:
        original = run.uid
        number, uid = self._next(original)
        if number and not self.again:
            return {"outcome": "tagged before", "derived": self._uid(original, number - 1)}
        about = {"run": original, "model": self.model.sha256, "settings": self.settings, "number": number}
        journal = Journal(self.work / f"{uid}.jsonl", about, at=time.time())
        with closing(journal):
            places = self._tag(run, assemble, journal)
            taggings = [journal.taggings[place] for place in places]
            if taggings:
                self._store(original, uid, taggings, journal.about["at"])
            journal.remove()
        if not taggings:
            return {"outcome": "no images"}
        counts = Counter(tagging.status for tagging in taggings)
        without = [tagging for tagging in taggings if tagging.status != "ok"]
        if without:
            logger.warning(
                "run %s: %d of %d frames have no scores; the first: %s",
                *(original, len(without), len(taggings), without[0].reason),
            )
        return {"outcome": "tagged", "frames": len(taggings), "derived": uid} | counts

    def _tag(self, run: Run, assemble: FrameAssembler, journal: Journal) -> list[FrameId]:
        """Tag the frames that are not in the journal yet; return all of them, in their order."""
        frames: list[FrameId] = []

        def missing() -> Iterator[Frame]:
            for name, doc in run.documents():
                for frame in assemble(name, doc):
                    frames.append(frame.id)
                    if frame.id not in journal.taggings:
                        yield frame

        total = (run.stop.get("num_events") or {}).get(STREAM)
        for done in batches(self.backend.tag(missing())):
            journal.add(map(finish, done))
            if self.watch is not None:
                self.watch(run.uid, len(journal.taggings), total)
        return frames

    def _store(self, original: str, uid: str, taggings: Sequence[Tagging], at: float) -> None:
        configuration = documents.configuration(self.name, self.model)
        rows = [documents.row(self.name, self.model.taxonomy, tagging) for tagging in taggings]
        store(
            self.catalog,
            documents.compose(
                original,
                rows,
                name=self.name,
                columns=documents.data_keys(self.name, self.model.taxonomy),
                configuration=configuration,
                configuration_keys=documents.configuration_keys(self.name, self.model.taxonomy),
                summary=summarise(pd.DataFrame(rows), configuration, source="replay", derived=True),
                uid=uid,
                at=at,
            ),
        )

    def _next(self, original: str) -> tuple[int, str]:
        """Return number and uid of the first derived run of this model and these settings that is not complete."""
        number = 0
        while self.catalog.holds_whole(uid := self._uid(original, number)):
            number += 1
        return number, uid

    def _uid(self, original: str, number: int) -> str:
        # The same on every machine, so that two that replay one run do not store two derived runs.
        return str(uuid5(NAMESPACE_URL, f"{original}/replay/{self.settings}/{number}"))
