"""Put a tagger into a session: `install(RE)`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import finalize, ref

from bluesky.run_engine import RunEngine

from ..errors import XTagValueError
from .backends import Backend, suitable_backend
from .preprocessor import TagPreprocessor
from .tagger import Mask, Tagger, Wait
from .worker import Policy

if TYPE_CHECKING:
    from ..catalog import Catalog, StoredCatalog
    from ..model import TagModel

__all__ = ["install"]

logger = logging.getLogger("bluesky_xtag")


def install(
    RE: RunEngine,
    *,
    model: TagModel | str | Path | None = None,
    key: str | Sequence[str] | None = None,
    streams: Sequence[str] | None = None,
    beam_centre: tuple[float, float] | tuple[str, str] | None = None,
    mask: Mask | Mapping[str, Mask] | None = None,
    root_map: Mapping[str, str] | None = None,
    backend: Backend | str | None = None,
    wait: Wait = "overlap",
    deadline: float = 2.0,
    queue_size: int = 64,
    queue_bytes: int = 2**30,
    policy: Policy = "drop_oldest",
    on_error: Literal["record", "raise"] = "record",
    catalog: StoredCatalog | None = None,
    shadow: TagModel | str | Path | None = None,
    backup: str | Path | None = None,
    name: str = "xtag",
) -> Tagger:
    """Tag the frames of all runs of a RunEngine from now on; most arguments are those of `Tagger`.

    A RunEngine has one tagger: the one installed before, if any, is uninstalled. The model and the device that it
    runs on are announced.

    Parameters
    ----------
    backend : str or Backend, optional
        Where inference runs. If None, a process of its own, which loads the model itself, see
        `bluesky_xtag.tagger.ProcessBackend`; but this process where `model` is a model and no directory, or where the
        system is not Linux.
    catalog : CatalogOfBlueskyRuns, Container or Broker, optional
        The catalogue, of Tiled or databroker, in which a subscriber of yours stores the runs. After each run, and
        beside the RunEngine's thread, the summary of its tags is written there, by which it is found (see
        `bluesky_xtag.search`); and frames whose file could not be read in time are tagged as soon as it can be, and
        stored as a derived run. Without it, `xtag summarise` writes the summaries later, and `xtag replay` tags those
        frames.
    shadow : TagModel, str or Path, optional
        A second model, or its directory, that looks on: it scores the same frames in the time that is left, in a
        process of its own, and its rows are the stream "tags_shadow" of the same run. Frames for which there is no time
        are skipped. The rows of `model` never wait for it, and whatever happens to it costs its own rows only.
    backup : str or Path, optional
        Directory in which summaries are kept that the catalogue does not take; the user's data directory if None.

    Returns
    -------
    Tagger
        ``tagger.uninstall()`` undoes this.
    """
    if not isinstance(RE, RunEngine):
        raise XTagValueError(f"install() needs a bluesky RunEngine, got {type(RE).__name__}")
    place = None if catalog is None else _catalogue(catalog)
    backend, why_here = (backend, "") if backend is not None else suitable_backend(model)
    tagger = Tagger(
        model,
        key=key,
        streams=streams,
        beam_centre=beam_centre,
        mask=mask,
        root_map=root_map,
        backend=backend,
        wait=wait,
        deadline=deadline,
        queue_size=queue_size,
        queue_bytes=queue_bytes,
        policy=policy,
        on_error=on_error,
        name=name,
    )
    if shadow is not None:
        tagger.look_on(shadow)
    for preprocessor in list(RE.preprocessors):
        if isinstance(preprocessor, TagPreprocessor):
            logger.warning("this RunEngine had a tagger already; it is replaced: %r", preprocessor.tagger)
            preprocessor.tagger.uninstall()
    tagger.installed = True
    tagger.engine = ref(RE)
    tagger.closing.callback(setattr, tagger, "installed", False)
    companions: list[Callable[[str, Any], Any]] = []
    tagger.catalog = place
    if place is not None:
        from ..search import LiveSummary, default_directory

        again = tagger.look_again(place)
        tagger.closing.callback(again.close)
        # Closed first, since a second look writes its summary after the live one.
        writer = LiveSummary(place, default_directory() if backup is None else Path(backup).expanduser())
        tagger.closing.callback(writer.close)
        finalize(tagger, writer.end)  # where nobody holds the tagger any more
        companions += [again, writer]
    preprocessor = TagPreprocessor(tagger, RE, companions)
    RE.preprocessors.append(preprocessor)
    tagger.closing.callback(_remove, RE, preprocessor)
    preprocessor.subscribe()
    tagger.closing.callback(preprocessor.unsubscribe)
    print(_announcement(tagger, why_here))
    return tagger


def _catalogue(catalog: StoredCatalog) -> Catalog:
    from ..catalog import as_catalog  # with pandas, which a session without a catalogue does without

    return as_catalog(catalog)


def _remove(RE: RunEngine, preprocessor: TagPreprocessor) -> None:
    """Take a preprocessor out, whatever list the RunEngine has by now and whatever else is in it."""
    RE.preprocessors[:] = [other for other in RE.preprocessors if other is not preprocessor]


def _announcement(tagger: Tagger, why_here: str) -> str:
    model = tagger.model
    if tagger.is_elsewhere:  # and may still be starting
        where = "in a process of its own"
    else:
        where = "on the CPU (no GPU found)" if model.device == "CPU" else f"on {model.device}"
    shadow = "" if tagger.shadow is None else f"; {tagger.shadow.model.name} {tagger.shadow.model.version} looks on"
    said = f"{tagger.name}: model {model.name} {model.version} {where} tags every run with images{shadow}"
    return f"{said}; {why_here}" if why_here else said
