"""Tags that another process makes: rows of `xtag serve` come back over the bus to the session that takes the run."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from event_model import unpack_event_page

from ... import documents
from ...documents import STREAM, Status, Tagging
from ...errors import XTagValueError
from ...frames import Frame
from ...model import ModelCard, ServedModel
from ..scoring import Outcome
from .bus import Bus
from .bus_tagger import Place, place_of

__all__ = ["ServedBackend"]

logger = logging.getLogger("bluesky_xtag")

_JOIN = 30.0  # seconds for the bus to answer
_WAIT = 0.05  # seconds for documents, then it is looked whether the backend is closed
_KEPT = 20_000  # rows that nobody has asked for yet
_SAME = ("model_sha256", "thresholds")


class ServedBackend:
    """Takes the rows that `xtag serve` gives out, where ``install(RE, backend=ServedBackend(bus))`` tags a run.

    The session loads no model and reads no pixels. It has to publish its documents to the bus that the service
    listens to; the backend waits for the rows of the derived runs there. They become rows of the run itself, so that
    plans decide by them and the stream "decisions" can be computed again from the run alone.

    Parameters
    ----------
    bus : Bus
        A place on the bus of its own, which has not joined yet.
    model : str, Path or ServedModel, optional
        The model that the service has, or its directory; the packaged one if None. Only its card is read. Frames have
        no tags ("failed") if the service has another model or other thresholds.
    patience : float
        Seconds to wait for the row of a frame, if its deadline does not end the wait before.

    Raises
    ------
    ModelError
        The directory holds no model.
    XTagError
        The bus does not answer.
    XTagValueError
        An argument does not fit.
    """

    is_elsewhere = True

    def __init__(self, bus: Bus, model: str | Path | ServedModel | None = None, *, patience: float = 2.0) -> None:
        if not patience > 0:
            raise XTagValueError(f"patience={patience}: give a number of seconds above 0")
        known = ModelCard.load(model) if model is None or isinstance(model, str | Path) else model
        self.model: ServedModel = _Served(known)
        self._bus, self._patience = bus, patience
        self._rows: OrderedDict[Place, Tagging] = OrderedDict()
        self._arrived = threading.Condition()
        self._derived: set[str] = set()
        self._names: dict[str, tuple[str, str]] = {}  # the tagger's name and what does not fit, by descriptor
        self._closed = threading.Event()
        bus.join(_JOIN)
        # A daemon, so that a bus that hangs cannot keep the session from ending.
        threading.Thread(target=self._listen, name="xtag-served", daemon=True).start()

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what the service says of each frame, in their order, as soon as it does."""
        for frame in frames:
            place = place_of(frame.id)
            with self._arrived:
                self._arrived.wait_for(lambda place=place: place in self._rows or self._closed.is_set(), self._patience)
                found = self._rows.pop(place, None)
            if found is None:
                reason = (
                    f"no row came over the bus within {self._patience:g} s: is `xtag serve` running, and does this "
                    "session publish its documents to the same bus?"
                )
                found = Tagging(frame.id, "late", reason=reason)
            yield replace(found, frame=frame.id)

    def peak_memory(self) -> list[int]:
        """Return nothing: the memory is that of the service."""
        return []

    def close(self) -> None:
        """Leave the bus."""
        self._closed.set()
        with self._arrived:
            self._arrived.notify_all()

    def _listen(self) -> None:
        try:
            while not self._closed.is_set():
                for name, doc in self._bus.receive(_WAIT):
                    try:
                        self._take(name, doc)
                    except Exception:
                        logger.exception("a %s document of the bus could not be used", name)
        except Exception:
            logger.exception("the bus is lost: frames have no tags from now on")
        finally:
            self._bus.close()

    def _take(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start" and "original_run_uid" in doc:
            self._derived.add(doc["uid"])
        elif name == "descriptor" and doc["run_start"] in self._derived and doc.get("name") == STREAM:
            if documents.is_tagger(doc["data_keys"]):
                self._declare(doc)
        elif name == "event_page" and doc["descriptor"] in self._names:
            for event in unpack_event_page(doc):  # pyright: ignore[reportArgumentType]
                self._keep(*self._names[doc["descriptor"]], event["data"])
        elif name == "event" and doc["descriptor"] in self._names:
            self._keep(*self._names[doc["descriptor"]], doc["data"])
        elif name == "stop" and doc["run_start"] in self._derived:
            self._derived.discard(doc["run_start"])

    def _declare(self, doc: Mapping[str, Any]) -> None:
        """Note whose rows these are, and whether the model is the one that is expected here."""
        tagger = documents.tagger_name(doc["data_keys"])
        theirs = doc["configuration"][tagger]["data"]
        ours = documents.configuration(tagger, self.model)
        keys = [documents.column(tagger, each) for each in _SAME]
        wrong = ""
        if any(_plain(theirs[key]) != _plain(ours[key]) for key in keys):
            about = documents.identity(theirs)
            wrong = (
                f"xtag serve has the model {about['model']} {about['model_version']} ({about['model_sha256'][:12]}), "
                f"expected is {self.model.name} {self.model.version} ({self.model.sha256[:12]}) with its thresholds: "
                "give both the same, ServedBackend(bus, model=DIRECTORY) and xtag serve --model DIRECTORY"
            )
            logger.warning("%s; frames have no tags", wrong)
        self._names[doc["uid"]] = tagger, wrong

    def _keep(self, tagger: str, wrong: str, data: Mapping[str, Any]) -> None:
        def value(suffix: str) -> Any:
            return data[documents.column(tagger, suffix)]

        place = tuple(value(each.suffix) for each in documents.FRAME)
        event, key, number, index = place
        status: Status = value("status")
        if wrong:
            found = Tagging(documents.FrameId("", "", key, number, index, event), "failed", reason=wrong)
        else:
            row = documents.TagRow.read(0, data, tagger, self.model.taxonomy.names)
            ok = status == "ok"
            scores, strengths = (tuple(of.values()) if ok else () for of in (row.scores, row.strengths))
            device = str(value("device"))
            reason = "" if ok else f"xtag serve says {status}"
            identity = documents.FrameId("", "", str(key), int(number), int(index), str(event))
            found = Tagging(identity, status, scores, row.tags if ok else (), row.latency, reason, device, strengths)
            self.model.device = device or self.model.device  # pyright: ignore[reportAttributeAccessIssue]
        with self._arrived:
            self._rows[event, key, number, index] = found
            while len(self._rows) > _KEPT:
                self._rows.popitem(last=False)
            self._arrived.notify_all()


class _Served:
    """What is known of the model that the service has."""

    def __init__(self, card: Any) -> None:
        self.name, self.version, self.sha256 = card.name, card.version, card.sha256
        self.taxonomy, self.thresholds, self.preparation = card.taxonomy, card.thresholds, card.preparation
        self.device = "unknown"


def _plain(value: Any) -> Any:
    return [float(each) for each in value] if hasattr(value, "__len__") and not isinstance(value, str) else value
