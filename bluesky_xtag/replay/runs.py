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
from ..errors import RootError, XTagError, hide_secrets
from ..frames import Frame, FrameAssembler, FrameSelection, GuardedImages, Mask, NamedRoots, Roots
from ..tagger import Backend, batches, finish
from .journal import Journal
from .settings import Watch, choose_backend, fingerprint, needed, work_directory

if TYPE_CHECKING:
    from ..model import ServedModel, TagModel

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
    roots: NamedRoots = None,
    name: str = "xtag",
    again: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    insecure: bool = False,
    backend: str | None = None,
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
    roots : str, Path or an iterable of these, optional
        Directories below which files may be read. Documents that others wrote can name any file that you may read. If
        a run names a file elsewhere, also by a link, nothing of the run is tagged, and its outcome says which file. If
        None, all files are read. Files that the catalogue's server reads are the server's affair.
    name : str
        First part of the column names.
    again : bool
        Also replay runs that were replayed with this model and these settings, for example when missing files are back.
    workers : int, optional
        How many processes to start on this machine with Dask.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work, such as ``tls://host:8786``.
    insecure : bool
        Also use a scheduler beyond this machine without TLS. Whoever can reach it, or the network between, can run
        code on its workers and read the frames.
    backend : str, optional
        Where frames are read and scored, instead of `workers` and `scheduler`: the address of a Dask scheduler, or the
        name of one of `bluesky_xtag.tagger.BACKENDS`. "process" is the process that live frames are tagged in by
        `install(RE, backend="process")`: what hangs or dies there costs its own frame only, and this process loads no
        TensorFlow. If None, threads of this process.
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
    model, known = needed(model, backend)
    selection = FrameSelection(key, streams, beam_centre, mask)
    settings = fingerprint(known, name, key, streams, beam_centre, selection.mask)
    place = as_catalog(catalog)
    allowed = Roots.of(roots)
    outcomes = []
    with (
        closing(choose_backend(model, scheduler, workers, insecure=insecure, backend=backend)) as tagging,
        catalog_errors(place.name, "read"),
    ):
        one = _OneRun(place, tagging, name, settings, again, Path(work or work_directory()), watch)
        for run in select_runs(place, runs):
            begin = time.perf_counter()
            outcome = one.replay(run, FrameAssembler(selection, root_map, allowed))
            known = {"run": run.uid, "scan_id": run.start.get("scan_id"), "seconds": time.perf_counter() - begin}
            outcomes.append(known | outcome)
    empty = {"run": "", "scan_id": None, "outcome": "", "frames": 0} | dict.fromkeys(STATUSES, 0)
    empty |= {"seconds": 0.0, "derived": ""}
    return pd.DataFrame([empty | outcome for outcome in outcomes], columns=pd.Index(empty))


@dataclass(frozen=True)
class _OneRun:
    """The settings that all runs of a replay share."""

    catalog: Catalog
    backend: Backend
    name: str
    settings: str
    again: bool
    work: Path
    watch: Watch | None

    @property
    def model(self) -> ServedModel:
        """The model whose tags these are."""
        return self.backend.model

    def replay(self, run: Run, assemble: FrameAssembler) -> dict[str, Any]:
        """Replay one run, and return the outcome for the table."""
        try:
            return self._replay(run, assemble)
        except RootError as error:
            return {"outcome": f"failed: {error}"}
        except XTagError:
            raise
        except Exception as error:
            if is_away(error):
                raise
            logger.exception("run %s could not be replayed", run.uid)
            return {"outcome": hide_secrets(f"failed: {type(error).__name__}: {error}")}

    def _replay(self, run: Run, assemble: FrameAssembler) -> dict[str, Any]:
        original = run.uid
        number, uid = self._next(original)
        if number:  # a journal is left if the last answer of the catalogue was lost
            self._journal(self._uid(original, number - 1)).unlink(missing_ok=True)
        if number and not self.again:
            return {"outcome": "tagged before", "derived": self._uid(original, number - 1)}
        about = {"run": original, "model": self.model.sha256, "settings": self.settings, "number": number}
        journal = Journal(self._journal(uid), about, at=time.time())
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

    def _journal(self, uid: str) -> Path:
        return self.work / f"{uid}.jsonl"

    def _tag(self, run: Run, assemble: FrameAssembler, journal: Journal) -> list[FrameId]:
        """Tag the frames that are not in the journal yet; return all of them, in their order."""
        frames: list[FrameId] = []

        def missing() -> Iterator[Frame]:
            for name, doc in run.documents():
                for frame in assemble(name, doc):
                    frames.append(frame.id)
                    if frame.id not in journal.taggings:
                        if isinstance(frame.source, GuardedImages):
                            frame.source.check()  # here: a run of others is refused as a whole
                        yield frame

        total = run.num_events.get(STREAM)
        for done in batches(self.backend.tag(missing())):
            journal.add(finish(outcome, self.backend.model.device) for outcome in done)
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
