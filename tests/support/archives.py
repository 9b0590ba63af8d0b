"""Stored runs whose tags a test can foresee, in any catalogue."""

from dataclasses import dataclass
from typing import Any

import bluesky.plans as bp
import numpy as np
import pandas as pd
from bluesky import RunEngine
from event_model import compose_run
from ophyd.sim import det1 as counter
from ophyd.sim import motor

from bluesky_xtag import Tagging, install
from bluesky_xtag.catalog import as_catalog
from bluesky_xtag.documents import FrameId, summarise
from bluesky_xtag.documents import columns as documents
from support.detectors import ArrayDetector
from support.models import GradedModel


class Retrained(GradedModel):
    """The same model, trained again."""

    version = "2.0"
    sha256 = "cd" * 32


@dataclass(frozen=True)
class Store:
    """A catalogue as its user has it, and what stores documents in it."""

    catalog: Any
    insert: Any

    @property
    def runs(self):
        return as_catalog(self.catalog).native


def opened(request, kind):
    """The catalogue of a kind of backend, of this test session or new."""
    from bluesky_tiled_plugins import TiledWriter

    from bluesky_xtag.catalog import open_any

    if kind.startswith("serve "):
        server = request.getfixturevalue("tiled_server")
        path = kind.removeprefix("serve ")
        if path == "postgresql":
            request.getfixturevalue("tiled_postgresql_catalog")  # skips where there is no server
        catalog = open_any(server.uri(path), server.key)
        request.addfinalizer(catalog.context.close)
    elif kind.startswith("tiled "):
        catalog = request.getfixturevalue(kind.replace(" ", "_") + "_catalog")
    else:
        import databroker

        broker = databroker.temp()
        request.addfinalizer(broker.v2.context.close)
        return Store(broker, broker.v1.insert)
    return Store(catalog, TiledWriter(catalog))


def detector(counts):
    """A detector that gives frames with these counts in the first pixel."""
    left = iter([0, *counts])  # ophyd asks once when it is made

    def image():
        frame = np.ones((32, 32), np.int32)
        frame[0, 0] = next(left)
        return frame

    return ArrayDetector(image)


def record(insert, *runs, **metadata):
    """Take runs with a tagger; each is a list of the first pixels' counts. Return their uids."""
    engine = RunEngine(metadata, context_managers=[])
    tagger = install(engine, model=GradedModel(), deadline=60.0)  # no row is late, however busy the machine is
    engine.subscribe(insert)
    uids = []
    for counts in runs:
        plan = bp.scan([detector(counts)], motor, 1, len(counts), len(counts)) if counts else bp.count([counter])
        uids += engine(plan)
    tagger.uninstall()
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join(timeout=10)
    engine.loop.close()
    return uids


def replayed(insert, original, counts, *, model=None, source="replay", exit_status="success"):
    """Store a derived run that tags a run again; return its uid."""
    model = model or Retrained()
    scores = [model.score(frame) for frame in np.array(counts, np.int32).reshape(-1, 1, 1)]
    frames = [FrameId(original, "", "det", number, 0, "event") for number, _ in enumerate(scores, 1)]
    taggings = [
        Tagging(frame, "ok", tuple(each), model.taxonomy.accepted(each, model.thresholds))
        for frame, each in zip(frames, scores, strict=True)
    ]
    rows = [documents.row("xtag", model.taxonomy, tagging) for tagging in taggings]
    configuration = documents.configuration("xtag", model)
    found = summarise(pd.DataFrame(rows), configuration, source=source, derived=True)
    run = compose_run(metadata={"original_run_uid": original, "purpose": "tags", "xtag": found})
    insert("start", run.start_doc)
    stream = run.compose_descriptor(
        name="tags",
        data_keys=documents.data_keys("xtag", model.taxonomy),
        configuration={
            "xtag": {
                "data": configuration,
                "timestamps": dict.fromkeys(configuration, 0.0),
                "data_keys": documents.configuration_keys("xtag", model.taxonomy),
            }
        },
        object_keys={"xtag": list(documents.data_keys("xtag", model.taxonomy))},
    )
    insert("descriptor", stream.descriptor_doc)
    for row in rows:
        insert("event", stream.compose_event(data=row, timestamps=dict.fromkeys(row, 0.0)))
    insert("stop", run.compose_stop(exit_status=exit_status))
    return run.start_doc["uid"]
