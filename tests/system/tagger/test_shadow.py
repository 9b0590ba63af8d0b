"""A second model that looks on: its own rows, in the time that is left, whatever happens to it."""

import os
import signal
import time
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import SynAxis
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, TriggerInfo, init_devices
from ophyd_async.sim import SimBlobDetector
from support.detectors import ArrayDetector, FileDetector, numbered
from support.models import CountsModel
from support.shadowed import cautious, decided, patient, ready, shadow_rows, until

from bluesky_xtag import NoTagsError
from bluesky_xtag.review import compare
from bluesky_xtag.search import tags
from bluesky_xtag.tagger import ProcessBackend

SHAPE = (64, 64)


@pytest.fixture(scope="module")
def other(tmp_path_factory, packaged_model):
    return cautious(tmp_path_factory.mktemp("models") / "cautious")


def discs(rng):
    """A source of frames that the packaged model has something to say of."""
    distance = np.hypot(*(np.indices(SHAPE) - 32))
    return lambda: rng.poisson(2000 / (1 + distance) + 400 * (abs(distance - 15) < 2)).astype(np.int32)


@pytest.mark.parametrize("backend", ["process", "inline"])
def test_the_rows_of_two_models_lie_side_by_side_in_one_run(RE, seen, tag, catalog, rng, other, backend):
    tagger = ready(tag(model=None, backend=backend, deadline=60.0, shadow=other, wait="point"))
    assert tagger.shadow.shares
    (uid,) = RE(patient(ArrayDetector(discs(rng), shape=SHAPE), tagger, 5))
    seen.assert_every_frame_has_its_row()
    assert seen.stop()["num_events"] == {"primary": 5, "tags": 5, "tags_shadow": 5}
    main, shadow = seen.rows(), shadow_rows(seen)
    assert {row["status"] for row in main + shadow} == {"ok"} and {row["skipped"] for row in shadow} == {0}
    assert [row["frame_event"] for row in shadow] == [row["frame_event"] for row in main]
    scores = [key for key in main[0] if key.startswith(("p_", "s_"))]
    assert len(scores) > 15
    for key in scores:  # the same network, and the very inputs
        assert [row[key] for row in shadow] == [row[key] for row in main]
    (descriptor,) = seen.descriptors("tags_shadow")
    recorded = descriptor["configuration"]["xtag_shadow"]["data"]
    assert recorded["xtag_shadow_model"] == "cautious" and recorded["xtag_shadow_device"] == "CPU"
    assert list(recorded["xtag_shadow_thresholds"]) == pytest.approx([0.9] * len(recorded["xtag_shadow_taxonomy"]))

    run = catalog[uid]
    assert list(tags(run)["xtag_tags"]) == [row["tags"] for row in main]
    own, of_shadow = tags(run, "own"), tags(run, "shadow")
    assert list(own.columns) == list(tags(run).columns)
    assert list(of_shadow["xtag_shadow_tags"]) == [row["tags"] for row in shadow]
    assert list(tags(run, "cautious").columns) == list(of_shadow.columns)
    found = compare(catalog, "own", "shadow", last=1)
    assert (found.compared, found.left_out) == (5, 0) and "cautious" in found.models[1]
    assert compare(catalog, "default", "cautious", last=1).compared == 5
    given = [len(own["xtag_tags"][row].split()) - len(of_shadow["xtag_shadow_tags"][row].split()) for row in own.index]
    assert sum(given) == found.tags["only_first"].sum() > 0


def test_the_report_tells_of_the_shadow_and_the_summary_is_of_the_first_model(
    RE, tag, catalog, other, tmp_path, capsys
):
    tagger = tag(model=None, backend="process", deadline=60.0, shadow=other, wait="point", catalog=catalog)
    assert "; cautious " in capsys.readouterr().out
    ready(tagger)
    (uid,) = RE(patient(FileDetector(tmp_path), tagger, 3))
    tagger.uninstall()
    run = catalog[uid]
    start = getattr(run, "start", None) or run.metadata["start"]
    assert start["xtag"]["model"] == "default" and start["xtag"]["frames"] == 3 and start["xtag"]["name"] == "xtag"
    assert len(tags(run, "shadow")) == 3
    tagger.report()
    said = capsys.readouterr().out
    assert "shadow    cautious" in said and "0 frames skipped" in said and "rows      3: ok 3" in said


def test_a_run_without_a_shadow_says_so(RE, tag, catalog):
    tag()
    (uid,) = RE(bp.count([ArrayDetector(numbered())], 1))
    with pytest.raises(NoTagsError, match="no shadow model looked on"):
        tags(catalog[uid], "shadow")


class Otherwise(CountsModel):
    """Prepares in its own way: no frame is the same for it."""

    name = "otherwise"
    sha256 = "9" * 64
    preparation = SimpleNamespace(to_dict=lambda: {"side": 3})


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_a_shadow_that_prepares_in_another_way_reads_for_itself(RE, seen, tag, tmp_path, in_files, backend):
    tagger = ready(tag(model=CountsModel(), backend=backend, deadline=60.0, shadow=Otherwise(), wait="point"))
    assert not tagger.shadow.shares
    RE(patient(FileDetector(tmp_path) if in_files else ArrayDetector(numbered()), tagger, 3))
    seen.assert_every_frame_has_its_row()
    rows = shadow_rows(seen)
    told = [(row["status"], row["p_ring"], row["skipped"], row["frame_seq_num"]) for row in rows]
    assert told == [("ok", 1.0, 0, number) for number in (1, 2, 3)]


class Fatal(Otherwise):
    """Ends its process on each frame."""

    def score(self, image):
        os.kill(os.getpid(), signal.SIGSEGV)


class Raising(Otherwise):
    def score(self, image):
        raise RuntimeError("the shadow is broken")


class Wrong(Otherwise):
    def score(self, image):
        return [2.0, 2.0]


@pytest.mark.parametrize(("model", "reason"), [(Raising, "the shadow is broken"), (Wrong, "a score is a number")])
def test_a_shadow_that_fails_costs_its_own_rows_only(RE, seen, tag, caplog, model, reason):
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=model(), wait="point"))
    RE(patient(ArrayDetector(numbered()), tagger, 2))
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 2} and seen.stop()["exit_status"] == "success"
    assert [row["status"] for row in shadow_rows(seen)] == ["failed", "failed"]
    assert reason in caplog.text and "the scan goes on" in caplog.text


def test_a_shadow_whose_process_ends_costs_no_row_of_the_first_model(RE, seen, tag):
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=Fatal(), wait="point"))
    process = tagger.shadow._backend
    RE(bp.count([ArrayDetector(numbered())], 6))
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 6} and {row["status"] for row in shadow_rows(seen)} == {"dropped"}
    until(lambda: process.restarts > 0, "no other process takes its place")
    assert "SIGSEGV" in process.last_restart


class Hanging(Otherwise):
    def score(self, image):
        time.sleep(3600)


def test_a_shadow_that_hangs_skips_what_comes_and_the_run_tells_how_many(RE, seen, tag, capsys):
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=Hanging(), wait="point"))
    RE(bp.count([ArrayDetector(numbered())], 12))
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 12}
    (row,) = shadow_rows(seen)
    assert (row["status"], row["skipped"]) == ("dropped", 12) and row["frame_seq_num"] == 12
    RE(bp.count([ArrayDetector(numbered())], 1))  # the next one, too
    assert seen.statuses() == {"ok": 13}
    capsys.readouterr()
    tagger.report()
    assert "13 frames skipped" in capsys.readouterr().out


class Unloadable(Otherwise):
    def warm(self):
        raise ValueError("no such network")


def test_a_shadow_whose_network_cannot_be_loaded(RE, seen, tag, caplog):
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=Unloadable(), wait="point"))
    RE(patient(ArrayDetector(numbered()), tagger, 2))
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 2}
    assert {row["status"] for row in shadow_rows(seen)} == {"failed"}
    assert "no such network" in caplog.text


def test_a_directory_that_holds_no_model_is_warned_of(RE, seen, tag, caplog, tmp_path):
    tagger = tag(model=CountsModel(), shadow=tmp_path)
    assert tagger.shadow is None and "has no shadow model" in caplog.text
    RE(bp.count([ArrayDetector(numbered())], 2))
    seen.assert_scan_went_well(2)


def test_a_shadow_that_has_had_its_share_holds_up_no_run(RE, seen, tag):
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=Otherwise(), wait="point"))

    @bpp.run_decorator()
    def plan():
        (run,) = tagger.shadow._runs
        tagger.shadow.charge(run, 1e6)
        assert tagger.shadow.patience(run) < 0
        for point in range(1, 4):
            yield from bps.trigger_and_read([det])
            while decided(tagger) < point:
                yield from bps.mov(slow, point)

    det, slow = ArrayDetector(numbered()), SynAxis(name="slow", delay=0.05)
    RE(plan())
    seen.assert_every_frame_has_its_row()
    (row,) = shadow_rows(seen)  # the one that tells how many have none
    assert (row["status"], row["skipped"], row["frame_seq_num"]) == ("ok", 2, 3)


class Slow(Otherwise):
    def score(self, image):
        time.sleep(0.2)
        return super().score(image)


def test_each_frame_has_its_row_or_is_counted(RE, seen, tag):
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=Slow()))
    slow = SynAxis(name="slow", delay=0.01)
    RE(bp.scan([ArrayDetector(numbered())], slow, 1, 60, 60))
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 60}
    rows = shadow_rows(seen)
    scored = [row for row in rows if row["status"] == "ok"]
    assert rows[-1]["skipped"] == 60 - len(scored) > 0 and scored
    assert [row["status"] for row in rows[len(scored) :]] in ([], ["dropped"])
    assert tagger.shadow.skipped == rows[-1]["skipped"]
    events = {event["uid"] for event in seen.events("primary")}
    assert {row["frame_event"] for row in rows} <= events


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_points_that_are_taken_again_have_the_rows_of_what_counts(RE, seen, tag, wait):
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=Otherwise(), wait=wait))
    det, slow = ArrayDetector(numbered()), SynAxis(name="slow", delay=0.05)
    pauses = iter([True])

    @bpp.run_decorator()
    def plan():
        for point in range(1, 5):
            yield from bps.checkpoint()
            yield from bps.mov(slow, point)
            yield from bps.trigger_and_read([det])
            end = time.monotonic() + 60
            while decided(tagger) < point - 1 and time.monotonic() < end:
                yield from bps.mov(slow, -point)
            yield from bps.mov(slow, 0)
            if point == 3 and next(pauses, False):
                yield from bps.pause()
        for place in range(8):
            yield from bps.mov(slow, place)

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    RE.resume()
    seen.assert_every_frame_has_its_row()
    counts = {event["seq_num"]: event["uid"] for event in seen.events("primary")}
    rows = shadow_rows(seen)
    scored = [row for row in rows if row["status"] == "ok"]
    assert scored and all(row["frame_event"] == counts[row["frame_seq_num"]] for row in scored)
    assert len({row["frame_seq_num"] for row in scored}) == len(scored)
    assert rows[-1]["skipped"] >= 4 - len(scored)


def test_fly_scans_give_pages(RE, seen, tag, tmp_path):
    with init_devices():
        blob = SimBlobDetector(StaticPathProvider(StaticFilenameProvider("frames"), tmp_path), name="blob")
    tagger = ready(tag(model=CountsModel(), deadline=60.0, shadow=Otherwise()))

    @bpp.stage_decorator([blob])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(blob, TriggerInfo(number_of_events=20, livetime=0.05, deadtime=0.005), wait=True)
        yield from bps.declare_stream(blob, name="primary", collect=True)
        yield from bps.kickoff(blob, wait=True)
        yield from bps.collect_while_completing([blob], [blob], flush_period=0.1, stream_name="primary")

    RE(plan())
    assert seen.stop()["exit_status"] == "success" and seen.statuses() == {"ok": 20}
    rows = shadow_rows(seen)
    scored = [row for row in rows if row["status"] == "ok"]
    assert scored and rows[-1]["skipped"] == 20 - len(scored)
    pages = {doc["uid"] for doc in seen.descriptors("tags_shadow")}
    assert all(doc["descriptor"] not in pages for doc in seen.of("event"))
    assert tagger.shadow.skipped == rows[-1]["skipped"]


def test_the_shadow_works_only_where_nothing_else_does(tag):
    tagger = ready(tag(model=CountsModel(), shadow=Otherwise()))
    pid = tagger.shadow._backend.pid
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE and os.getpriority(os.PRIO_PROCESS, pid) == 19
    tagger.uninstall()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the process of the shadow stays")
    until(lambda: not tagger.shadow._thread.is_alive(), "its thread stays")


def test_a_process_gives_what_its_network_saw(packaged_model, rng):
    from support.backend_contract import frame

    image = discs(rng)()
    backend = ProcessBackend(None)
    try:
        assert backend.take_prepared(4) == {}
        list(backend.tag([frame(1, image)]))
        assert backend.take_prepared(4) == {}, "nobody asked for it"
        backend.keeps = True
        found = list(backend.tag([frame(number, image) for number in range(3)]))
        prepared = backend.take_prepared(2)
        assert [each.frame for each in found[1:]] == list(prepared)
        assert backend.take_prepared(2) == {}
        for inputs in prepared.values():
            for name, right in vars(packaged_model.preparation(image)).items():
                np.testing.assert_array_equal(inputs[name], right)
        again = backend.tag_prepared(prepared)
        assert [each.scores for each in again] == [each.scores for each in found[1:]]
    finally:
        backend.close()
