"""What strangers wrote into a shared catalogue breaks nobody else's call, and is not believed silently."""

import copy
import math
import uuid
from types import SimpleNamespace

import numpy as np
import pytest
from event_model import DocumentNames, compose_run, schema_validators
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.archives import opened, record
from support.models import GradedModel
from support.strangers import SUMMARY, WORD, arbitrary, mutated_summaries
from tiled.structures.core import Spec

from bluesky_xtag import NoTagsError, Tagging, XTagValueError
from bluesky_xtag.catalog import as_catalog, find_run, last_scan_id, select_runs
from bluesky_xtag.documents import FrameId, compose, configuration, configuration_keys, data_keys, row, summarise
from bluesky_xtag.review import compare, correct, corrections, export_labels, review
from bluesky_xtag.search import find_similar, frames_with_tag, runs_with_tag, summarise_runs, tags

pytestmark = pytest.mark.filterwarnings("ignore:.*actually has dtype:UserWarning")  # databroker, of NaN
STORES = ["tiled sqlite", "databroker.temp"]


@pytest.fixture(scope="module", params=STORES)
def shared(request, tmp_path_factory):
    """A catalogue of its own with one good run, which has a summary and a correction."""
    from bluesky_xtag.catalog import open_catalog

    if request.param == "databroker.temp":
        store = opened(request, request.param)
        catalog, insert = store.catalog, store.insert
    else:
        catalog = open_catalog(tmp_path_factory.mktemp("shared"))
        request.addfinalizer(catalog.context.close)
        insert = as_catalog(catalog).writer()
    (uid,) = record(insert, [95, 96, 10])
    summarise_runs(catalog)
    run = as_catalog(catalog).find(uid)
    correct(run, 3, add="ring", by="ab")
    return SimpleNamespace(catalog=catalog, place=as_catalog(catalog), uid=uid, directory=tmp_path_factory)


def run_of(shared):
    return shared.place.find(shared.uid)


CALLS = {
    "runs_with_tag": lambda shared: shared.uid in {*runs_with_tag(shared.catalog, "ring")},
    "runs_with_tag, by model": lambda shared: shared.uid in {*runs_with_tag(shared.catalog, "ring", model="graded")},
    "frames_with_tag": lambda shared: frames_with_tag(shared.catalog, "ring").query(f"run == '{shared.uid}'").shape[0],
    "find_similar": lambda shared: 2 in set(find_similar(shared.catalog, run_of(shared), 1)["row"]),
    "tags": lambda shared: list(tags(run_of(shared))["xtag_p_ring"]),
    "tags, by model": lambda shared: list(tags(run_of(shared), "graded 1.0")["xtag_p_ring"]),
    "corrections": lambda shared: "ab" in set(corrections(run_of(shared))["by"]),
    "summarise_runs": lambda shared: summarise_runs(shared.catalog, dry_run=True).written,
    "review": lambda shared: len(review(shared.catalog, 50).query(f"run == '{shared.uid}'")) > 0,
}
REFUSALS = {
    "a tag nobody has": lambda shared: runs_with_tag(shared.catalog, "nobodys"),
    "a model nobody has": lambda shared: runs_with_tag(shared.catalog, "ring", model="nobodys"),
    "two models": lambda shared: compare(shared.catalog, "graded", "nobodys"),
}


def ask(shared):
    for refusal in REFUSALS.values():
        with pytest.raises((XTagValueError, NoTagsError)):
            refusal(shared)
    return {name: call(shared) for name, call in CALLS.items()}


def visit(shared, start, stop=None):
    """Store a run without frames, whose start document says what a stranger likes.

    What the schema of documents forbids, no writer of documents takes; but a Tiled client may write any metadata.
    """
    start = copy.deepcopy(start)
    run = compose_run(uid=start.pop("uid", None), metadata=start, validate=False)
    uid, right = run.start_doc["uid"], run.compose_stop()
    if stop is None and schema_validators[DocumentNames.start].is_valid(run.start_doc):
        insert = shared.place.writer()
        insert("start", run.start_doc)
        insert("stop", right)
    elif shared.place.can_replace:  # Tiled's own layout
        metadata = {"start": run.start_doc, "stop": right if stop is None else stop}
        shared.place.native.create_container(uid, metadata=metadata, specs=[Spec("BlueskyRun", "3.0")])
    return uid


def derived(shared):
    return {"original_run_uid": shared.uid, "purpose": "tags"}


REPLAY = SUMMARY | {"source": "replay", "derived": True}
HUMAN = SUMMARY | {"source": "human", "derived": True}
STRANGERS = {
    "text": {"xtag": "mine"},
    "a list": {"xtag": ["ring"]},
    "a score as text": {"xtag": SUMMARY | {"max_p": {"ring": "high"}}},
    "a score that is true": {"xtag": SUMMARY | {"max_p": {"ring": True}}},
    "a score of 7": {"xtag": SUMMARY | {"max_p": {"ring": 7.0}}},
    "only a fingerprint": {"xtag": {"model_sha256": "ab" * 32, "derived": False, "max_p": {"ring": 0.99}}},
    "frames without counts": {"xtag": {"model_sha256": "ab" * 32, "frames": 3, "derived": False}},
    "a right summary without rows": {"xtag": SUMMARY},
    "a tag of another taxonomy": {"xtag": SUMMARY | {"max_p": {"nobody": 1.0}, "count": {"nobodys": "few"}}},
    "hints that are none": {"xtag": SUMMARY, "hints": {"dimensions": [["x"]]}},
    "a scan_id that is none": {"xtag": SUMMARY, "scan_id": None},
    "hints that are a list": {"xtag": SUMMARY, "hints": ["x"]},
}
DERIVED = {
    "no source": {"xtag": {"model_sha256": "ab" * 32, "derived": True}},
    "no rows": {"xtag": REPLAY},
    "a source that is a number": {"xtag": REPLAY | {"source": 3}},
    "a correction that is text": {"xtag": HUMAN | {"said": "it is a ring"}},
    "a correction without fields": {"xtag": HUMAN | {"said": [{}]}},
    "a correction of no frame": {"xtag": HUMAN | {"said": [WORD | {"seq_num": "first"}]}},
    "a correction without tags": {"xtag": HUMAN | {"said": [WORD | {"added": [3, None]}]}},
    "a correction of a frame that is not there": {"xtag": HUMAN | {"said": [WORD | {"seq_num": 99}]}},
}


def test_known_kinds_of_strangers(shared, caplog, tmp_path):
    before = ask(shared)
    for start in STRANGERS.values():
        visit(shared, start)
    assert ask(shared) == before
    warned = {name: visit(shared, {**derived(shared), **start}) for name, start in DERIVED.items()}
    assert ask(shared) == before
    for original in (7, "12", -1, "a", "", ["x"], {"uid": 3}, None):
        visit(shared, {"original_run_uid": original, "purpose": "tags", "xtag": REPLAY})
        visit(shared, {"original_run_uid": original, "purpose": "tags", "xtag": HUMAN | {"said": [WORD]}})
    assert ask(shared) == before
    warned.pop("a correction of a frame that is not there")  # which has the right form
    assert not [name for name, uid in warned.items() if uid not in caplog.text]
    exported = export_labels(shared.catalog, tmp_path / "labels.h5")
    assert exported.frames == 1


CHANGES = (
    {"start": {"scan_id": [1, 2]}},
    {"start": {"scan_id": {"first": 1}}},
    {"start": {"scan_id": "first", "time": "noon", "hints": {"dimensions": [[["x"], "nowhere"]]}}},
    {"start": {"hints": {"dimensions": [[["x"], "primary"]]}}, "stop": {"num_events": {"nowhere": 1, "there": 1}}},
    {"stop": {"num_events": 5, "exit_status": ["success"], "run_start": None}},
    {"stop": "finished"},
    {"stop": ["success"]},
)


def test_metadata_that_a_stranger_changes_in_a_run_with_rows(shared):
    if not shared.place.can_replace:
        pytest.skip("databroker's layout lets nobody change the metadata of a run")
    (theirs,) = record(shared.place.writer(), [95])
    summarise_runs(shared.catalog)
    calls = {name: CALLS[name] for name in ("frames_with_tag", "tags", "review")}
    before = {name: call(shared) for name, call in calls.items()}
    for changes in CHANGES:
        shared.catalog[theirs].update_metadata(changes)
        assert {name: call(shared) for name, call in calls.items()} == before, changes
        assert len(frames_with_tag(shared.catalog, "ring").query(f"run == '{theirs}'")) == 1
        assert isinstance(last_scan_id(shared.catalog), int)
        assert [frame.pixels()[0, 0] for frame in shared.place.find(theirs).frames()] == [95]


def test_derived_runs_whose_stop_document_is_none(shared):
    before = ask(shared)
    for stop in ("finished", ["success"], 1, {"exit_status": {}}):
        for summary in (REPLAY, HUMAN | {"said": [WORD]}):
            visit(shared, {**derived(shared), "xtag": summary}, stop)
    assert ask(shared) == before


def tagging(number):
    return Tagging(FrameId("", "", "det", number, 0, f"e{number}"), "ok", (0.0, 0.5), ("ring",), 0.01)


def replay(shared, change=lambda rows, columns, configuration: None):
    """A derived run as a replay with a newer model makes it, but for a change."""
    model = GradedModel()
    model.version, model.sha256 = "9.0", "cd" * 32
    rows = [row("xtag", model.taxonomy, tagging(number)) for number in (1, 2, 3)]
    columns, recorded = data_keys("xtag", model.taxonomy), configuration("xtag", model)
    import pandas as pd

    summary = summarise(pd.DataFrame(rows), recorded, source="replay", derived=True)
    keys = configuration_keys("xtag", model.taxonomy)
    change(rows, columns, recorded)
    return compose(
        shared.uid,
        rows,
        name="xtag",
        columns=columns,
        configuration=recorded,
        configuration_keys={key: keys[key] for key in recorded},
        summary=summary,
    )


def drop_column(name):
    def change(rows, columns, configuration):
        for each in (*rows, columns):
            del each[f"xtag_{name}"]

    return change


def retype(name, dtype, value):
    def change(rows, columns, configuration):
        columns[f"xtag_{name}"] = {"source": "", "dtype": dtype, "shape": []}
        for each in rows:
            each[f"xtag_{name}"] = value

    return change


def reconfigure(name, value=None):
    def change(rows, columns, configuration):
        if value is None:
            del configuration[f"xtag_{name}"]
        else:
            configuration[f"xtag_{name}"] = value

    return change


ROWS = {
    "no status": drop_column("status"),
    "no event": drop_column("frame_event"),
    "no tags": drop_column("tags"),
    "numbers for tags": retype("tags", "number", 1.0),
    "text for numbers of frames": retype("frame_seq_num", "string", "first"),
    "text for scores": retype("p_ring", "string", "high"),
    "no model": reconfigure("model"),
    "no taxonomy": reconfigure("taxonomy"),
    "another model than its summary says": reconfigure("model_sha256", "ef" * 32),
    "a number for a model": reconfigure("model_version", 7.0),
}


@pytest.mark.parametrize("change", ROWS.values(), ids=ROWS)
def test_a_derived_run_without_right_rows_is_passed_over(shared, change, caplog):
    before = list(tags(run_of(shared))["xtag_p_ring"])
    documents = replay(shared, change)
    shared.place.write(documents)
    uid = documents[0][1]["uid"]
    assert list(tags(run_of(shared))["xtag_p_ring"]) == before
    assert uid in caplog.text
    assert CALLS["frames_with_tag"](shared)
    assert list(tags(run_of(shared), "own")["xtag_p_ring"]) == pytest.approx([0.95, 0.96, 0.10])


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    starts=st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(mutated_summaries, arbitrary),
            st.dictionaries(st.sampled_from(["scan_id", "hints", "sample", "purpose", "motors"]), arbitrary),
        ),
        min_size=3,
        max_size=6,
    )
)
def test_whatever_strangers_write(shared, starts):
    """What a stranger says in the right form is a correction or a tagging; all else changes nothing."""
    for is_derived, summary, more in starts:
        visit(shared, (derived(shared) if is_derived else {}) | more | {"xtag": summary})
    found = ask(shared)
    assert found["tags"] == pytest.approx([0.95, 0.96, 0.10])
    assert found["frames_with_tag"] >= 1


def test_a_right_replay_still_counts(shared):
    """The last test of this catalogue: from here on the newest tagging is another.

    It is one that an earlier version stored, which lacks what has been added to the configuration since.
    """
    shared.place.write(replay(shared, reconfigure("restarts")))
    assert list(tags(run_of(shared))["xtag_p_ring"]) == [0.5] * 3
    correct(run_of(shared), 2, add="empty", by="cd")
    assert tags(run_of(shared))["xtag_tags"].iloc[1] == "empty ring"


@pytest.mark.parametrize("kind", STORES)
def test_a_run_whose_session_was_killed(request, kind):
    """Its stream is announced; it has no row, and no stop document."""
    store = opened(request, kind)
    (good,) = record(store.insert, [95, 96], scan_id=4711)
    documents = []
    record(lambda name, doc: documents.append((name, doc)), [95, 96])
    last = next(n for n, (name, doc) in enumerate(documents) if name == "descriptor" and doc["name"] == "tags")
    insert = as_catalog(store.catalog).writer()
    for name, doc in documents[: last + 1]:
        insert(name, doc)
    place = as_catalog(store.catalog)
    killed = place.find(documents[0][1]["uid"])
    with pytest.raises(NoTagsError, match=killed.uid):
        tags(killed)
    with pytest.raises(NoTagsError):
        correct(killed, 1, add="ring", by="ab")
    assert corrections(killed).empty
    assert list(tags(place.find(good))["xtag_p_ring"]) == pytest.approx([0.95, 0.96])
    assert good in set(review(store.catalog, 1000)["run"])
    assert math.isfinite(summarise_runs(store.catalog).runs)
    assert killed.uid not in set(frames_with_tag(store.catalog, "ring")["run"])


def test_nodes_that_are_no_runs(request, tmp_path):
    """Somebody put an array, and a container, beside the runs."""
    from bluesky_xtag.catalog import open_catalog

    catalog = open_catalog(tmp_path)
    request.addfinalizer(catalog.context.close)
    (uid,) = record(as_catalog(catalog).writer(), [95, 96])
    catalog.write_array(np.ones((3, 3)), key="flat", metadata={"start": "never"})
    notes = catalog.create_container("notes", metadata={"start": {"note": 1}})
    notes.write_array(np.ones((3, 3)), key="image", metadata={"start": "never"})
    assert as_catalog(notes).get("image") is None  # a plain container, which takes any name
    place = as_catalog(catalog)
    assert [run.uid for run in place.runs()] == [run.uid for run in place.newest(5)] == [uid]
    assert place.last().uid == uid
    for node in ("flat", "notes", f"{uid}/primary"):
        assert place.get(node) is None
        with pytest.raises(XTagValueError, match="there is no run"):
            list(select_runs(place, node))
        for summary in (REPLAY, HUMAN | {"said": [WORD]}):
            visit(SimpleNamespace(place=place), {"original_run_uid": node, "purpose": "tags", "xtag": summary})
    assert summarise_runs(catalog).written == (uid,)
    assert list(frames_with_tag(catalog, "ring")["run"]) == [uid, uid]
    assert len(review(catalog, 5)) == 2


def test_a_run_that_is_derived_in_several_steps_stands_for_its_original(shared):
    first = visit(shared, derived(shared))
    second = visit(shared, {"original_run_uid": first})
    third = visit(shared, {"original_run_uid": second})
    own, here, there = (str(uuid.uuid4()) for _ in range(3))
    for uid, source in {own: own, here: there, there: here}.items():
        visit(shared, {"uid": uid, "original_run_uid": source})
    lost = visit(shared, {"original_run_uid": str(uuid.uuid4())})
    for uid in (shared.uid, first, second, third):
        assert find_run(shared.place, uid).uid == shared.uid
        assert [run.uid for run in select_runs(shared.place, uid)] == [shared.uid]
    for uid, wrong in ((own, "derived from itself"), (here, "derived from itself"), (lost, "does not have")):
        with pytest.raises(XTagValueError, match=wrong):
            find_run(shared.place, uid)
