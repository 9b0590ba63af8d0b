"""Stored runs that another model tagged again."""

import pandas as pd

from bluesky_xtag import Tagging
from bluesky_xtag.catalog import as_catalog, as_run, store
from bluesky_xtag.documents import FrameId, compose, summarise, tagger_name
from bluesky_xtag.documents import columns as documents
from bluesky_xtag.search import own_tags


def tag_again(catalog, run, model, scores):
    """Store another tagging of a run: `scores` gives those of a row's frame; tags are accepted from 0.5 on."""
    run = as_run(run)
    table = own_tags(run)
    name = tagger_name(table.columns)
    taggings = []
    for _, row in table.iterrows():
        given = scores(row)
        place = [row[f"{name}_frame_{part}"] for part in ("event", "key", "seq_num", "index")]
        accepted = tuple(tag for tag, score in zip(model.taxonomy.names, given, strict=True) if score >= 0.5)
        taggings.append(Tagging(FrameId("", "", *place[1:], place[0]), "ok", tuple(given), accepted, 0.5))
    rows = [documents.row("xtag", model.taxonomy, tagging) for tagging in taggings]
    settings = documents.configuration("xtag", model)
    return store(
        as_catalog(catalog),
        compose(
            run.uid,
            rows,
            name="xtag",
            columns=documents.data_keys("xtag", model.taxonomy),
            configuration=settings,
            configuration_keys=documents.configuration_keys("xtag", model.taxonomy),
            summary=summarise(pd.DataFrame(rows), settings, source="replay", derived=True),
        ),
    )
