"""Every kind of catalogue keeps what `Catalog` and `Run` promise; what lies above them needs no other proof of that."""

import itertools
import math
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from event_model import compose_run

from bluesky_xtag import CatalogError, XTagValueError
from bluesky_xtag.catalog import (
    Catalog,
    Run,
    Where,
    as_catalog,
    as_run,
    catalog_errors,
    find_run,
    open_any,
    select_runs,
    store,
)

STORES = ["databroker.temp", "Broker.named", "tiled sqlite", "tiled duckdb", "tiled postgresql"]
SCALARS = {
    "p": {"source": "test", "dtype": "number", "shape": [], "dtype_numpy": "<f8"},
    "n": {"source": "test", "dtype": "integer", "shape": [], "dtype_numpy": "<i8"},
    "text": {"source": "test", "dtype": "string", "shape": []},
    "truth": {"source": "test", "dtype": "boolean", "shape": []},
}
IMAGE = {"source": "test", "dtype": "array", "shape": [32, 24], "dtype_numpy": "<u2"}
POINTS = [1, 2, 3, 2, 3, 4]  # two of them taken again
numbers = itertools.count(100_000)  # scan_ids of no other test


def scalars_run(metadata, points=POINTS, image=False):
    """The documents of a run with two configurations of its streams; images, if any, are in the events."""
    run = compose_run(metadata=metadata)
    yield "start", run.start_doc
    settings = {"data": {"gain": 2.0, "text": '{"a": []}'}, "timestamps": {"gain": 0.0, "text": 0.0}}
    keys = {"gain": "number", "text": "string"}
    settings["data_keys"] = {key: {"source": "test", "dtype": dtype, "shape": []} for key, dtype in keys.items()}
    stream = run.compose_descriptor(name="points", data_keys=SCALARS, configuration={"device": settings})
    yield "descriptor", stream.descriptor_doc
    for number, seq_num in enumerate(points):
        data = {
            "p": math.nan if number == 4 else number / 10,
            "n": number,
            "text": "" if number == 4 else f"row {number}",
        }
        data["truth"] = bool(number % 2)
        yield "event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), seq_num=seq_num)
    if image:
        camera = run.compose_descriptor(name="primary", data_keys={"det": IMAGE})
        yield "descriptor", camera.descriptor_doc
        for seq_num in (1, 2):
            pixels = np.full((32, 24), seq_num, np.uint16)
            yield "event", camera.compose_event(data={"det": pixels}, timestamps={"det": 0.0}, seq_num=seq_num)
    yield "stop", run.compose_stop()


def derived_run(original, uid, rows=3, at=1e9):
    """The documents of a derived run, as `compose` makes them."""
    from bluesky_xtag.documents import compose

    return compose(
        original,
        [{"p": float(row), "n": row, "text": "", "truth": True} for row in range(rows)],
        name="xtag",
        columns=SCALARS,
        configuration={"gain": 2.0},
        configuration_keys={"gain": {"source": "test", "dtype": "number", "shape": []}},
        summary={"source": "replay"},
        uid=uid,
        at=at,
    )


@pytest.fixture(scope="module", params=STORES)
def kept(request):
    """A catalogue of a kind with four runs, of which the third is derived from the second, and their uids."""
    if request.param.startswith("tiled"):
        native = request.getfixturevalue(request.param.replace(" ", "_") + "_catalog")
    else:
        import databroker

        native = databroker.temp() if request.param == "databroker.temp" else databroker.Broker.named("temp")
        request.addfinalizer(native.v2.context.close)
    place = as_catalog(native)
    insert, uids, scans = place.writer(), [], [next(numbers) for _ in range(3)]
    mark = f"{request.param} {time.time()}"
    runs = [
        scalars_run({"mark": mark, "scan_id": scans[0], "xtag": {"max_p": {"ring": 0.5}, "derived": False}}),
        scalars_run({"mark": mark, "scan_id": scans[1], "xtag": {"max_p": {"ring": 0.95}}}, image=True),
        None,
        scalars_run({"mark": mark, "scan_id": scans[2]}),
    ]
    for documents in runs:
        documents = (
            derived_run(uids[1], f"{time.time()} {request.param}", at=time.time()) if documents is None else documents
        )
        documents = [
            (name, {**doc, "mark": mark} if name == "start" and "mark" not in doc else doc) for name, doc in documents
        ]
        for name, doc in documents:
            insert(name, doc)
        uids.append(documents[0][1]["uid"])
        time.sleep(0.01)  # catalogues sort by time
    mine = place.search(Where("mark", "==", mark))
    return SimpleNamespace(native=native, place=place, mine=mine, uids=uids, scans=scans)


def uids(runs):
    return [run.uid for run in runs]


def test_the_door_takes_what_users_have_and_nothing_else(kept):
    assert isinstance(kept.place, Catalog) and as_catalog(kept.place) is kept.place
    run = as_run(kept.native[kept.uids[0]])
    assert isinstance(run, Run) and as_run(run) is run and run.uid == kept.uids[0]
    narrowed = as_catalog(kept.mine.native)
    assert uids(narrowed.runs()) == uids(kept.mine.runs())
    assert uids([as_run(kept.mine.native.values().first())]) == kept.uids[:1]
    assert kept.place.name.startswith("http")
    with pytest.raises(XTagValueError, match="int is not a catalogue: give one of Tiled"):
        as_catalog(42)
    with pytest.raises(XTagValueError, match="str is not a stored run: give one of a Tiled"):
        as_run("42")
    with pytest.raises(XTagValueError, match="is not a catalogue"):
        as_catalog(kept.native[kept.uids[0]])
    with pytest.raises(XTagValueError, match="is not a stored run"):
        as_run(kept.native)


def test_runs_come_in_their_order_and_the_newest_first(kept, monkeypatch):
    assert uids(kept.mine.runs()) == kept.uids and kept.mine.count() == 4
    last = kept.mine.last()
    assert last is not None and last.uid == kept.uids[3]
    originals = [kept.uids[3], kept.uids[1], kept.uids[0]]
    monkeypatch.setattr("bluesky_xtag.catalog.tiled._PAGE", 2)
    assert uids(kept.mine.newest(10)) == originals and uids(kept.mine.newest(2)) == originals[:2]
    nothing = kept.mine.search(Where("mark", "==", "nobody's"))
    assert (nothing.count(), list(nothing.runs()), list(nothing.newest(3)), nothing.last()) == (0, [], [], None)


@pytest.mark.parametrize(
    ("operator", "value", "found"),
    [
        ("==", 0.95, [1]),
        ("<", 0.95, [0]),
        ("<=", 0.95, [0, 1]),
        (">", 0.5, [1]),
        (">=", 0.5, [0, 1]),
    ],
)
def test_a_search_compares_what_start_documents_hold(kept, operator, value, found):
    assert uids(kept.mine.search(Where("xtag.max_p.ring", operator, value)).runs()) == [kept.uids[n] for n in found]


def test_all_conditions_must_hold(kept):
    def found(*conditions):
        return uids(kept.mine.search(*conditions).runs())

    there = Where("xtag.max_p.ring", ">", 0.0)  # what is stored decides whether a run without the key differs
    assert found(there, Where("xtag.max_p.ring", "!=", 0.95)) == kept.uids[:1]
    assert found(Where("xtag.derived", "==", False)) == kept.uids[:1]
    assert found(Where("xtag.derived", "==", True)) == kept.uids[2:3]
    assert found(Where("original_run_uid", "==", kept.uids[1]), Where("purpose", "==", "tags")) == kept.uids[2:3]
    assert found(Where("xtag.max_p.ring", ">=", 0.1), Where("scan_id", ">", kept.scans[0])) == kept.uids[1:2]
    text = kept.uids[0]
    assert found(Where("uid", ">=", text[:8]), Where("uid", "<", text[:8] + "~")) == [text]
    assert set(uids(kept.mine.search(Where("scan_id", ">=", 0)).whole().runs())) >= set(kept.uids)


def test_a_run_is_found_by_uid_beginning_scan_id_and_place(kept):
    for run in (kept.uids[0], kept.uids[0][:12], kept.scans[0], str(kept.scans[0])):
        assert kept.place.find(run).uid == kept.uids[0]
    assert kept.mine.find(-1).uid == kept.mine.find("-1").uid == kept.uids[3]
    assert kept.place.holds(kept.uids[0]) and kept.place.holds_whole(kept.uids[0])
    unknown = "00000000-0000-0000-0000-000000000000"
    for run in (unknown, 99, -999_999):
        with pytest.raises(LookupError):
            kept.place.find(run)
    assert not kept.place.holds(unknown) and not kept.place.holds_whole(unknown)


def test_runs_are_selected_by_what_people_type(kept):
    def selected(runs):
        return uids(select_runs(kept.mine, runs))

    originals = [kept.uids[0], kept.uids[1], kept.uids[3]]
    assert selected(None) == originals
    assert selected(f"scan_id>={kept.scans[1]}") == [kept.uids[1], kept.uids[3]]
    assert selected(["xtag.max_p.ring>0.4", f"scan_id!={kept.scans[1]}"]) == kept.uids[:1]
    assert selected([kept.uids[1], -1, kept.native[kept.uids[0]]]) == [kept.uids[1], kept.uids[3], kept.uids[0]]
    assert selected(kept.native[kept.uids[0]]) == selected(as_run(kept.native[kept.uids[0]])) == kept.uids[:1]
    assert selected(kept.uids[2]) == kept.uids[1:2]  # a derived run stands for its original
    assert selected([-1, "-2", -3]) == originals[::-1]
    with pytest.raises(XTagValueError, match="no run -999999"):
        selected(-999_999)
    with pytest.raises(XTagValueError, match="no run 'nowhere'.*give a uid.*plan_name=scan"):
        selected("nowhere")
    with pytest.raises(XTagValueError, match="-1 for the newest$"):  # who looks for one run cannot give a condition
        find_run(kept.mine, "nowhere")


def test_a_run_tells_its_documents_and_what_follows_from_them(kept):
    first, second, derived, _ = kept.mine.runs()
    assert first.start["scan_id"] == kept.scans[0] and first.stop["exit_status"] == "success"
    assert (first.is_derived, first.is_complete, first.original_uid) == (False, True, first.uid)
    assert (derived.is_derived, derived.original_uid) == (True, second.uid)
    assert set(second.streams) == {"points", "primary"} and first.streams == ["points"]
    assert set(uids(first.catalog.runs())) >= set(kept.uids)


def test_a_table_holds_each_point_once_with_its_types(kept):
    run = kept.place.find(kept.uids[0])
    table = run.table("points")
    assert list(table.columns) == ["time", "p", "n", "text", "truth"] and list(table.index) == [1, 2, 3, 4]
    assert [table[name].dtype.kind for name in table] == ["f", "f", "i", "O", "b"]
    assert list(table["n"]) == [0, 3, 4, 5] and list(table["text"]) == ["row 0", "row 3", "", "row 5"]
    np.testing.assert_array_equal(table["p"], [0, 0.3, math.nan, 0.5])
    assert list(table["truth"]) == [False, True, False, True]
    assert (abs(table["time"] - time.time()) < 600).all()
    some = run.table("points", ["text", "n", "nowhere"])
    assert some.equals(table[["time", "text", "n"]])
    with pytest.raises(KeyError):
        run.table("nowhere")


def test_a_descriptor_tells_keys_and_configuration(kept):
    descriptor = kept.place.find(kept.uids[0]).descriptor("points")
    assert descriptor["data_keys"].keys() == SCALARS.keys()
    assert descriptor["configuration"]["device"]["data"] == {"gain": 2.0, "text": '{"a": []}'}
    with pytest.raises(KeyError):
        kept.place.find(kept.uids[0]).descriptor("nowhere")


def test_documents_and_frames_come_as_they_were_taken(kept):
    run = kept.place.find(kept.uids[1])
    documents = list(run.documents())
    assert [name for name, _ in documents][:2] == ["start", "descriptor"] and documents[-1][0] == "stop"
    assert documents[0][1]["uid"] == run.uid
    frames = list(run.frames())
    assert [(frame.id.stream, frame.id.key, frame.id.seq_num, frame.id.index) for frame in frames] == [
        ("primary", "det", 1, 0),
        ("primary", "det", 2, 0),
    ]
    for number, frame in enumerate(frames, 1):
        pixels = frame.pixels()
        assert pixels.dtype == np.uint16 and pixels.shape == (32, 24) and (pixels == number).all()


def test_the_start_document_is_updated_in_what_is_named(kept):
    run = kept.place.find(kept.uids[3])
    before = dict(run.start)
    run.update_start({"xtag": {"max_p": {"halo": 0.75}}})
    assert dict(kept.place.find(run.uid).start) == before | {"xtag": {"max_p": {"halo": 0.75}}} == dict(run.start)
    assert uids(kept.mine.search(Where("xtag.max_p.halo", ">", 0.7)).runs()) == [run.uid]
    assert kept.place.find(run.uid).stop["exit_status"] == "success"


ARRAYS = {
    "four": np.array([1 / 3, 1e-9, 2 / 3, 1e6]),
    "region": np.arange(16, dtype=np.uint16).reshape(4, 4),
    "one": np.array([7], np.int32),
    "flags": np.array([True, False]),
    "counter": np.uint64(12_345_678_901),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_small_arrays_and_counters_come_back_as_they_went_in(kept, name):
    value = ARRAYS[name]
    array = value.ndim > 0
    key = {"source": "test", "dtype": "array" if array else "integer", "shape": list(value.shape)}
    key["dtype_numpy"] = value.dtype.str
    run = compose_run(metadata={"mark": "arrays"})
    documents = [("start", run.start_doc)]
    stream = run.compose_descriptor(name="primary", data_keys={"value": key})
    documents.append(("descriptor", stream.descriptor_doc))
    given = [value + number if value.dtype != bool else value for number in range(3)]
    for number, each in enumerate(given, 1):
        event = stream.compose_event(data={"value": each}, timestamps={"value": 0.0}, seq_num=number)
        documents.append(("event", event))
    documents.append(("stop", run.compose_stop()))
    insert = kept.place.writer()
    for kind, doc in documents:
        insert(kind, doc)
    assert eventually(lambda: kept.place.holds_whole(run.start_doc["uid"]))
    np.testing.assert_array_equal(np.reshape(_values(kept, run.start_doc["uid"]), (3, *value.shape)), given)


def _values(kept, uid):
    """What a user of this kind of catalogue reads."""
    if "tiled" in type(kept.native).__module__:
        return np.asarray(kept.native[uid]["primary"]["value"].read())
    pages = [doc["data"]["value"] for kind, doc in kept.place.find(uid).documents() if kind == "event_page"]
    return np.array([np.asarray(value) for page in pages for value in page])


def test_a_count_that_tables_cannot_keep_is_said(tiled_sqlite_catalog, caplog):
    run = compose_run()
    key = {"source": "test", "dtype": "integer", "shape": [], "dtype_numpy": "<u8"}
    stream = run.compose_descriptor(name="primary", data_keys={"huge": key})
    insert = as_catalog(tiled_sqlite_catalog).writer()
    insert("start", run.start_doc)
    insert("descriptor", stream.descriptor_doc)
    insert("event", stream.compose_event(data={"huge": np.uint64(2**64 - 1)}, timestamps={"huge": 0.0}, seq_num=1))
    insert("stop", run.compose_stop())
    assert "huge holds counts of 2**63 or more" in caplog.text
    assert list(as_catalog(tiled_sqlite_catalog).find(run.start_doc["uid"]).table("primary")["huge"]) == [2**63 - 1]


TILED = ["tiled sqlite", "tiled duckdb", "tiled postgresql"]
VALUES = {
    "booleans, one missing": ("boolean", [], None, [True, None, False], [True, None, False]),
    "booleans, the first missing": ("boolean", [], "|b1", [None, True, False], [None, True, False]),
    "booleans, one NaN": ("boolean", [], None, [True, math.nan, False], [True, None, False]),
    "booleans": ("boolean", [], None, [True, False, True], [True, False, True]),
    "text that sounds alike": ("string", [], None, ["True", None, "False"], ["True", None, "False"]),
    "open length": ("array", [None], "<f8", [[0.1], [1.0, math.nan], []], ["[0.1]", "[1.0, NaN]", "[]"]),
    "open length, arrays": ("array", [-1], "<i8", [np.arange(2), np.arange(3), None], ["[0, 1]", "[0, 1, 2]", "null"]),
    "longer": ("array", [2], "<f8", [np.arange(2.0), np.arange(4.0)], [[0, 1], [0, 1]]),
    "shorter": ("array", [3], "<f8", [np.arange(3.0), np.arange(2.0)], [[0, 1, 2], [0, 1, math.nan]]),
    "shorter, integers": ("array", [3], "<i4", [np.arange(3), np.arange(2)], [[0, 1, 2], [0, 1, 0]]),
    "lists, shorter": ("array", [3], None, [[1.5, 2.5, 3.5], [4.5]], [[1.5, 2.5, 3.5], [4.5, math.nan, math.nan]]),
    "missing": ("array", [2], "<f8", [np.arange(2.0), None], [[0, 1], [math.nan, math.nan]]),
    "the first missing": ("array", [2], "<f8", [None, np.arange(2.0)], [[math.nan, math.nan], [0, 1]]),
    "another number of dimensions": ("array", [2], "<f8", [np.ones(2), np.ones((2, 2))], [[1, 1], [math.nan] * 2]),
    "not what was declared, but all alike": ("array", [2], "<f8", [np.ones(3), np.ones(3)], [[1, 1, 1], [1, 1, 1]]),
    "images of an open number": ("array", [-1, 2, 2], "<f8", [np.ones((1, 2, 2))] * 2, [[[[1, 1], [1, 1]]]] * 2),
}
SAID = {"open length": "leaves its length open", "longer": "has the shape (4,) in an event, but the shape (2,)"}
SAID |= {"missing": "has no value in an event, but the shape (2,)"}


@pytest.mark.parametrize("kind", TILED)
@pytest.mark.parametrize("name", VALUES)
def test_what_tables_and_arrays_cannot_hold_costs_no_run_and_is_said(request, caplog, kind, name):
    """Each of these lost its whole stream, and the stop document with it, or came back as something else."""
    native = request.getfixturevalue(kind.replace(" ", "_") + "_catalog")
    dtype, shape, numpy_dtype, given, wanted = VALUES[name]
    key = {"source": "test", "dtype": dtype, "shape": shape} | ({"dtype_numpy": numpy_dtype} if numpy_dtype else {})
    column = f"value_of_{name.replace(' ', '_').replace(',', '')}_{kind[-6:]}"
    run = compose_run()
    number = {"source": "test", "dtype": "number", "shape": []}
    stream = run.compose_descriptor(name="primary", data_keys={column: key, "other": number})
    place = as_catalog(native)
    insert = place.writer()
    insert("start", run.start_doc)
    insert("descriptor", stream.descriptor_doc)
    for each, value in enumerate(given, 1):
        data = {column: value, "other": each / 2}
        event = stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), seq_num=each, validate=False)
        insert("event", event)
    insert("stop", run.compose_stop())
    uid = run.start_doc["uid"]
    assert place.holds_whole(uid)
    found = place.find(uid)
    assert list(found.table("primary")["other"]) == [each / 2 for each in range(1, len(given) + 1)]
    if dtype == "array" and not isinstance(wanted[0], str):
        np.testing.assert_array_equal(np.asarray(native[uid]["primary"][column].read()), wanted)
    else:
        table = [None if each is pd.NA else each for each in found.table("primary")[column]]
        assert table == wanted and [type(value) for value in table] == [type(value) for value in wanted]
        events = [doc["data"][column] for word, doc in found.documents() if word == "event"]
        assert events == wanted and [type(value) for value in events] == [type(value) for value in wanted]
    assert SAID.get(name, "") in caplog.text
    if name in ("not what was declared, but all alike", "images of an open number", "booleans"):
        assert column not in caplog.text


def eventually(look, seconds=10):
    """What `look` returns, once it is true: databroker's server remembers for two seconds that a run is open."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_what_was_interrupted_is_completed_by_the_next_call(kept, taken):
    original, uid = f"of nobody {kept.uids[0]}", f"interrupted {taken} {kept.uids[0]}"
    documents = derived_run(original, uid, rows=3)
    insert = kept.place.writer()
    for name, doc in documents[:taken]:
        insert(name, doc)
    assert kept.place.holds(uid) == bool(taken) and not kept.place.holds_whole(uid)
    assert store(kept.place, documents) == uid
    assert eventually(lambda: kept.place.holds_whole(uid))
    assert list(kept.place.find(uid).table("tags")["n"]) == list(range(3))
    kept.place.write(documents)  # does nothing
    assert len(kept.place.find(uid).table("tags")) == 3
    assert kept.place.search(Where("original_run_uid", "==", original), Where("uid", "==", uid)).count() == 1


def test_a_server_that_is_away_or_refuses_says_so_in_errors_of_ours(tiled_server, monkeypatch):
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    place, reader = (as_catalog(open_any(tiled_server.uri("sqlite"), key)) for key in (tiled_server.key, None))
    with pytest.raises(CatalogError, match="and no part of it counts now: it does not allow you to do that"):
        store(reader, derived_run("of nobody", "was refused"))
    tiled_server.kill()
    try:
        with pytest.raises(CatalogError, match="could not be read: its server cannot be reached"):
            with catalog_errors("mine", "read"):
                place.search(Where("scan_id", ">", 0)).count()
        with pytest.raises(CatalogError, match="its server cannot be reached"):
            store(place, derived_run("of nobody", "was away"))
    finally:
        tiled_server.start()
    assert not place.holds("was away") and not place.holds("was refused")
    place.close()
    reader.close()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_stream_that_was_announced_and_got_no_row_is_an_empty_table(kept, stopped):
    documents = list(scalars_run({"scan_id": next(numbers)}, points=[]))
    insert = as_catalog(kept.native).writer()
    for name, doc in documents if stopped else documents[:-1]:
        insert(name, doc)
    run = as_catalog(kept.native).find(documents[0][1]["uid"])
    table = run.table("points")
    assert set(table) == {"time", *SCALARS} and len(table) == 0  # PostgreSQL sorts keys
    assert table.index.name == "seq_num"
    assert [table[name].dtype.kind for name in ("time", *SCALARS)] == ["f", "f", "i", "O", "b"]
    some = run.table("points", ["n"])
    assert list(some) == ["time", "n"] and len(some) == 0
    with pytest.raises(KeyError):
        run.table("pionts")
