"""Put a tagger into a session: `install(RE)`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bluesky.run_engine import RunEngine

from ..catalog import StoredCatalog, as_catalog
from ..errors import XTagValueError
from ..search import LiveSummary, default_directory
from .backends import Backend
from .preprocessor import TagPreprocessor
from .tagger import Mask, Tagger, Wait
from .worker import Policy

if TYPE_CHECKING:
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
    backend: Backend | str = "inline",
    wait: Wait = "overlap",
    deadline: float = 2.0,
    queue_size: int = 64,
    queue_bytes: int = 2**30,
    policy: Policy = "drop_oldest",
    on_error: Literal["record", "raise"] = "record",
    catalog: StoredCatalog | None = None,
    backup: str | Path | None = None,
    name: str = "xtag",
) -> Tagger:
    """Tag the frames of all runs of a RunEngine from now on; most arguments are those of `Tagger`.

    A RunEngine has one tagger: the one installed before, if any, is uninstalled. The model and the device that it
    runs on are announced.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker, optional
        The catalogue, of Tiled or databroker, in which a subscriber of yours stores the runs. After each run, and
        beside the RunEngine's thread, the summary of its tags is written there, by which it is found (see
        `bluesky_xtag.search`). Without it, `xtag summarise` writes the summaries later.
    backup : str or Path, optional
        Directory in which summaries are kept that the catalogue does not take; the user's data directory if None.

    Returns
    -------
    Tagger
        ``tagger.uninstall()`` undoes this.
    """
    if not isinstance(RE, RunEngine):
        raise XTagValueError(f"install() needs a bluesky RunEngine, got {type(RE).__name__}")
    place = None if catalog is None else as_catalog(catalog)
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
    for preprocessor in list(RE.preprocessors):
        if isinstance(preprocessor, TagPreprocessor):
            logger.warning("this RunEngine had a tagger already; it is replaced: %r", preprocessor.tagger)
            preprocessor.tagger.uninstall()
    preprocessor = TagPreprocessor(tagger, RE)
    RE.preprocessors.append(preprocessor)
    tagger.closing.callback(_remove, RE, preprocessor)
    tagger.closing.callback(RE.unsubscribe, RE.subscribe(tagger))
    if place is not None:
        writer = LiveSummary(place, default_directory() if backup is None else Path(backup).expanduser())
        tagger.closing.callback(writer.close)
        tagger.closing.callback(RE.unsubscribe, RE.subscribe(writer))
    print(_announcement(tagger))
    return tagger


def _remove(RE: RunEngine, preprocessor: TagPreprocessor) -> None:
    """Take a preprocessor out, whatever list the RunEngine has by now and whatever else is in it."""
    RE.preprocessors[:] = [other for other in RE.preprocessors if other is not preprocessor]


def _announcement(tagger: Tagger) -> str:
    model = tagger.model
    device = "the CPU (TensorFlow finds no GPU)" if model.device == "CPU" else model.device
    return f"{tagger.name}: model {model.name} {model.version} on {device} tags every run with images"
