import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import keras
import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import serving
from bluesky_xtag.model.serving import serve


@pytest.fixture(scope="module")
def network(packaged_model):
    return packaged_model.network


@pytest.fixture(scope="module", params=[False, True], ids=["LiteRT", "TensorFlow"])
def score(network, request):
    return serve(network, on_gpu=request.param)


def inputs(network, frames):
    rng = np.random.default_rng(0)
    return {one.name: rng.normal(size=(frames, *one.shape[1:])).astype(np.float32) for one in network.inputs}


def frame(given, number):
    return {name: values[number] for name, values in given.items()}


def test_served_scores_are_the_networks(network, score):
    given = inputs(network, 5)
    served = np.stack([score(frame(given, number)) for number in range(5)])
    assert served.dtype == np.float32
    np.testing.assert_allclose(served, network.predict_on_batch(given), atol=1e-4)


def test_threads_at_once_get_the_same_scores_to_the_last_bit(network, score):
    given = inputs(network, 8)
    alone = [score(frame(given, number)) for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            together = list(threads.map(lambda number: score(frame(given, number)), range(8)))
            np.testing.assert_array_equal(together, alone)


def test_double_precision_is_taken_too(network, score):
    given = frame(inputs(network, 1), 0)
    twice = {name: values.astype(float) for name, values in given.items()}
    np.testing.assert_array_equal(score(twice), score(given))


CROWD = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from bluesky_xtag.model import TagModel
from bluesky_xtag.model.serving import serve
network = TagModel.load().network
given = {one.name: np.ones(one.shape[1:], np.float32) for one in network.inputs}
print("loaded", file=sys.stderr)
for on_gpu in (False, True):
    score = serve(network, on_gpu)
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda _: score(given), range(60)))
    assert np.ptp(found, axis=0).max() == 0
print("alive")
"""


def test_crowds_of_threads_do_not_crash_the_process_where_tensorflow_uses_onednn_and_nothing_is_said():
    choice = {"TF_ENABLE_ONEDNN_OPTS": "1"}  # the default on many processors, other than this one perhaps
    done = subprocess.run(
        [sys.executable, "-c", CROWD], env=os.environ | choice, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-2000:]
    assert done.stderr.partition("loaded\n")[2] == ""


def test_what_litert_cannot_run_tensorflow_does_and_says_so(caplog):
    cube = keras.Input((4, 4, 4, 1), name="cube")
    tags = keras.layers.Dense(3, activation="sigmoid")(keras.layers.Flatten()(keras.layers.MaxPooling3D()(cube)))
    network = keras.Model({"cube": cube}, tags)
    with caplog.at_level(logging.WARNING, "bluesky_xtag"):
        score = serve(network)
    (record,) = caplog.records
    assert "TensorFlow runs it, which takes longer" in record.message and "\n" not in record.message
    given = inputs(network, 1)
    np.testing.assert_allclose(score(frame(given, 0)), network.predict_on_batch(given)[0], atol=1e-6)


def test_a_runtime_that_gives_other_scores_is_not_used(network, monkeypatch, caplog):
    make, kept = serving._program, []

    def other(*given):
        program = make(*given)
        return replace(program, right=program.right + 0.01)

    monkeypatch.setattr(serving, "_program", other)
    given = inputs(network, 1)
    scores = serve(network, keep=kept.append)(frame(given, 0))
    np.testing.assert_allclose(scores, network.predict_on_batch(given)[0], atol=1e-4)
    assert "it gives other scores" in caplog.text and not kept


def test_a_reason_without_words_is_named_too(network, monkeypatch, caplog):
    def fail(*given):
        raise MemoryError

    monkeypatch.setattr(serving, "_program", fail)
    serve(network)
    assert "MemoryError" in caplog.text


@pytest.mark.parametrize("wrong", ["shape", "missing"])
def test_inputs_that_do_not_fit_are_refused(network, score, wrong):
    given = frame(inputs(network, 1), 0)
    plain = given.pop("plain")
    if wrong == "shape":
        given["plain"] = plain[:32, :32]
    with pytest.raises(XTagValueError, match=r"'plain': \(64, 64, 3\)"):
        score(given)
