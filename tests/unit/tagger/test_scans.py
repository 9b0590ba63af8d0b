"""Whole scans with a real RunEngine: every frame has its row, in order, in the stream "tags" of the same run."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from ophyd.sim import motor, motor1, motor2
from support.detectors import ArrayDetector, constant, numbered
from support.models import CountsModel, HangingModel

from bluesky_xtag import install
from bluesky_xtag.documents.columns import ROW

WAITS = ("overlap", "point")


@pytest.mark.parametrize("wait", WAITS)
def test_stock_plan_gets_a_row_a_frame(RE, seen, tag, wait):
    tagger = tag(wait=wait)
    RE(bp.scan([ArrayDetector(numbered())], motor, -1, 1, 7))
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 7}
    assert seen.stop()["exit_status"] == "success"
    assert seen.stop()["num_events"] == {"primary": 7, "tags": 7}
    assert tagger.frames == 7
    assert tagger.counts["ok"] == 7
    assert tagger.latest.tags == ("ring",)


def test_point_writes_each_row_before_the_next_point(RE, seen, tag):
    tag(wait="point")
    RE(bp.count([ArrayDetector(numbered())], 3))
    assert seen.order() == ["primary", "tags"] * 3


@pytest.mark.parametrize("wait", WAITS)
def test_rows_say_what_the_model_says(RE, seen, tag, wait):
    tag(wait=wait)
    images = iter([np.zeros((16, 16), int), np.zeros((16, 16), int), np.ones((16, 16), int), np.ones((16, 16), int)])
    RE(bp.count([ArrayDetector(lambda: next(images), shape=(16, 16))], 2))
    first, second = seen.rows()
    assert (first["tags"], first["p_empty"], first["p_ring"]) == ("empty", 1.0, 0.0)
    assert (second["tags"], second["p_empty"], second["p_ring"]) == ("ring", 0.0, 1.0)
    assert 0 <= first["latency"] < 2


def test_point_knows_the_tags_before_the_next_move(RE, seen, tag):
    tagger = tag(wait="point")
    det = ArrayDetector(numbered())
    known = []

    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.trigger_and_read([det])
            known.append(tagger.latest.frame.seq_num)

    RE(plan())
    assert known == [1, 2, 3]
    seen.assert_every_frame_has_its_row()


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 1, 16, 16)])
def test_event_with_many_images_gets_a_row_for_each(RE, seen, tag, wait, shape):
    tag(wait=wait)
    RE(bp.count([ArrayDetector(numbered(shape), shape=shape)], 2))
    assert [(row["frame_seq_num"], row["frame_index"]) for row in seen.rows()] == [
        (seq_num, index) for seq_num in (1, 2) for index in (0, 1, 2)
    ]
    assert seen.stop()["num_events"]["tags"] == 6


@pytest.mark.parametrize("wait", WAITS)
def test_interleaved_runs_keep_their_rows_apart(RE, seen, tag, wait):
    tag(wait=wait)
    a, b = ArrayDetector(numbered(), name="a"), ArrayDetector(numbered(), name="b")

    def one(key, det):
        return bpp.set_run_key_wrapper(bps.trigger_and_read([det]), key)

    def plan():
        first = yield from bpp.set_run_key_wrapper(bps.open_run(), "first")
        second = yield from bpp.set_run_key_wrapper(bps.open_run(), "second")
        for _ in range(3):
            yield from one("first", a)
            yield from one("second", b)
        yield from one("second", b)
        yield from bpp.set_run_key_wrapper(bps.close_run(), "first")
        yield from one("second", b)
        yield from bpp.set_run_key_wrapper(bps.close_run(), "second")
        return first, second

    first, second = (doc["uid"] for doc in _run(RE, plan(), seen))
    seen.assert_every_frame_has_its_row(run=first)
    seen.assert_every_frame_has_its_row(run=second)
    assert seen.stop(first)["num_events"] == {"primary": 3, "tags": 3}
    assert seen.stop(second)["num_events"] == {"primary": 5, "tags": 5}


def _run(RE, plan, seen):
    RE(plan)
    return seen.of("start")


def test_two_cameras_in_one_event(RE, seen, tag):
    tag()
    RE(bp.count([ArrayDetector(numbered(), name="saxs"), ArrayDetector(numbered(), name="waxs")], 3))
    assert seen.statuses() == {"ok": 6}
    assert [row["frame_seq_num"] for row in seen.rows()] == [1, 1, 2, 2, 3, 3]
    assert [row["frame_key"] for row in seen.rows()] == ["saxs", "waxs"] * 3


def test_only_the_named_camera(RE, seen, tag):
    tag(key="waxs")
    RE(bp.count([ArrayDetector(numbered(), name="saxs"), ArrayDetector(numbered(), name="waxs")], 3))
    assert [row["frame_key"] for row in seen.rows()] == ["waxs"] * 3


def test_masks_hide_pixels_of_their_camera(RE, seen, tag, tmp_path):
    """Only the first pixel of these images counts anything above the rest; the mask file hides it in one of them."""
    hidden = np.zeros((32, 32), np.uint8)
    hidden[0, 0] = 1
    np.save(tmp_path / "mask.npy", hidden)
    tag(mask={"saxs": tmp_path / "mask.npy"})
    RE(bp.count([ArrayDetector(numbered(), name="saxs"), ArrayDetector(numbered(), name="waxs")], 2))
    assert [(row["frame_key"], row["tags"]) for row in seen.rows()] == [("saxs", ""), ("waxs", "ring")] * 2


def test_run_without_images_is_left_alone(RE, seen, tag):
    tag()
    RE(bp.scan([motor1], motor2, 0, 1, 3))
    assert seen.stop()["num_events"] == {"primary": 3}


def test_dark_and_baseline_are_left_alone_unless_named(RE, seen, tag):
    tag()
    det = ArrayDetector(numbered())

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det], name="dark")
        yield from bps.trigger_and_read([det], name="primary")
        yield from bps.close_run()

    RE(bpp.baseline_wrapper(plan(), [ArrayDetector(numbered(), name="overview")]))
    seen.assert_every_frame_has_its_row("primary")


def test_named_dark_stream_is_tagged(RE, seen, tag):
    tag(streams=["dark"])
    det = ArrayDetector(constant(np.zeros((16, 16), int)), shape=(16, 16))

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det], name="dark")
        yield from bps.trigger_and_read([det], name="primary")
        yield from bps.close_run()

    RE(plan())
    assert [row["tags"] for row in seen.rows()] == ["empty"]


def test_row_documents_are_scalars_with_their_configuration(RE, seen, tag):
    tag()
    RE(bp.count([ArrayDetector(numbered())], 1))
    (descriptor,) = seen.descriptors("tags")
    assert [key["dtype"] for key in descriptor["data_keys"].values()] == ["number"] * 2 + [each.dtype for each in ROW]
    assert {each.dtype for each in ROW} <= {"number", "integer", "string", "boolean"}
    configuration = descriptor["configuration"]["xtag"]["data"]
    assert configuration["xtag_model"] == CountsModel.name
    assert configuration["xtag_taxonomy"] == ["empty", "ring"]
    assert configuration["xtag_thresholds"] == [0.5, 0.5]
    assert configuration["xtag_model_sha256"] == CountsModel.sha256
    assert not any(value is None for event in seen.events("tags") for value in event["data"].values())


def test_strictly_declared_streams(RE, seen, tag):
    """A RunEngine may insist that streams be declared; ours is then declared too."""
    tag()
    det = ArrayDetector(numbered())
    RE._require_stream_declaration = True

    def plan():
        yield from bps.open_run()
        yield from bps.declare_stream(det, name="primary")
        yield from bps.trigger_and_read([det])
        yield from bps.close_run()

    RE(plan())
    seen.assert_every_frame_has_its_row()


def test_uninstall_restores_the_run_engine(RE, seen):
    preprocessors, callbacks = list(RE.preprocessors), _callbacks(RE)
    tagger = install(RE, model=CountsModel())
    assert RE.preprocessors != preprocessors
    tagger.uninstall()
    tagger.uninstall()  # once more does no harm
    assert RE.preprocessors == preprocessors
    assert _callbacks(RE) == callbacks
    RE(bp.count([ArrayDetector(numbered())], 2))
    assert seen.stop()["num_events"] == {"primary": 2}


@pytest.mark.parametrize("change", [lambda RE: RE.preprocessors.clear(), lambda RE: RE.preprocessors.append(list)])
def test_uninstall_leaves_what_others_did_to_the_preprocessors(RE, tag, change):
    tagger = tag()
    change(RE)
    RE.preprocessors = list(RE.preprocessors)
    others = [preprocessor for preprocessor in RE.preprocessors if preprocessor is list]
    tagger.uninstall()
    assert RE.preprocessors == others


def test_preprocessor_added_after_install_is_warned_of(RE, tag, caplog):
    tag()
    RE.preprocessors.append(bpp.SupplementalData())
    RE(bp.count([ArrayDetector(numbered())], 1))
    assert "call install(RE) last" in caplog.text


def test_uninstall_tags_what_was_taken(RE, seen, tag):
    """Between two calls of the RunEngine nothing is lost, and nothing waits for a deadline."""
    model = HangingModel()
    tagger = tag(model=model, deadline=30)
    det = ArrayDetector(numbered())

    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.trigger_and_read([det])
        tagger.uninstall()
        model.released.set()

    RE(plan())
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 3}


def test_latest_never_goes_back(RE, tag):
    """The newest frames are dropped at once, while an older one is still being scored."""
    model = HangingModel()
    tagger = tag(model=model, deadline=30, queue_size=1, policy="drop_newest")
    det = ArrayDetector(numbered())

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        assert model.started.wait(30)
        for _ in range(3):
            yield from bps.trigger_and_read([det])
        model.released.set()

    RE(plan())
    assert (tagger.latest.frame.seq_num, tagger.latest.status) == (4, "dropped")


def _callbacks(RE):
    subscribed = RE.dispatcher.cb_registry.callbacks
    return {signal: set(proxies) for signal, proxies in subscribed.items() if proxies}


def test_installed_twice_tags_once(RE, seen, tag, caplog):
    first = tag()
    second = tag()
    assert "replaced" in caplog.text
    RE(bp.count([ArrayDetector(numbered())], 3))
    seen.assert_every_frame_has_its_row()
    assert (first.frames, second.frames) == (0, 3)


def test_install_announces_model_and_device(tag, capsys):
    tag()
    printed = capsys.readouterr().out
    assert "model counts 1 on the CPU (no GPU found)" in printed
    assert "in this process, since a model was given and not its directory" in printed


def test_report_prints_counts_and_latencies(RE, tag, capsys):
    tagger = tag()
    RE(bp.count([ArrayDetector(numbered())], 3))
    tagger.report()
    printed = capsys.readouterr().out
    assert "ok 3" in printed
    assert "p95" in printed
