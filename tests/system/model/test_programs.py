"""Programs that are kept: later processes serve a model without TensorFlow, and with the same scores."""

import os
import subprocess
import sys
from dataclasses import replace
from weakref import WeakValueDictionary

import numpy as np
import pytest

from bluesky_xtag.errors import ModelError, XTagValueError
from bluesky_xtag.model import DEFAULT, Preparation, TagModel, programs, tag_model

FRAMES = np.random.default_rng(0).poisson(3, (2, 195, 487)).astype(np.int32)

LATER = """
import sys
import numpy as np
from bluesky_xtag.model import load_model
model = load_model()
model.warm()
frames = np.random.default_rng(0).poisson(3, (2, 195, 487)).astype(np.int32)
print(model.device, model.predict(frames).tobytes().hex())
print([name for name in ("tensorflow", "keras") if name in sys.modules])
print(model.network.name in repr(model.network), "tensorflow" in sys.modules)
"""


@pytest.fixture(scope="module")
def scores(packaged_model):
    return packaged_model.predict(FRAMES)


@pytest.fixture(scope="module")
def program(packaged_model):
    kept = []
    tag_model.serve(packaged_model.network, keep=kept.append)
    return kept[0]


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A cache of its own, and nothing that this process shares."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tag_model, "_shared", WeakValueDictionary())
    return tmp_path / "bluesky_xtag" / "programs"


@pytest.fixture
def kept(alone, program, packaged_model):
    """The packaged model's program, on disk."""
    programs.keep_program(program, packaged_model.sha256, trust=False)
    (path,) = alone.iterdir()
    return path


@pytest.fixture
def made(monkeypatch):
    """The networks for which a program was made."""
    made, serve = [], tag_model.serve
    monkeypatch.setattr(tag_model, "serve", lambda network, **more: made.append(network) or serve(network, **more))
    return made


def test_a_later_process_gives_the_same_scores_without_tensorflow(kept, scores):
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", LATER], env=environment, capture_output=True, text=True, check=True, timeout=200
    )
    served, imported, network = done.stdout.splitlines()
    assert served == f"CPU {scores.tobytes().hex()}"
    assert imported == "[]"
    assert network.endswith("True"), "the network itself can be had all the same"


def test_what_was_made_is_kept_and_used(alone, made, scores):
    np.testing.assert_array_equal(TagModel.load().predict(FRAMES), scores)
    assert len(made) == 1 and len(list(alone.iterdir())) == 1
    tag_model._shared.clear()
    np.testing.assert_array_equal(TagModel.load().predict(FRAMES), scores)
    assert len(made) == 1


def torn(path, program):
    path.write_bytes(path.read_bytes()[:1000])


def exchanged(path, program):
    path.write_bytes(b"PK nothing")


def without_scores(path, program):
    np.savez(path, content=np.frombuffer(program.content, np.uint8))


def of_another_network(path, program):
    shapes = {f"shape {name}": np.array(shape) for name, shape in program.shapes.items()}
    content = np.frombuffer(program.content, np.uint8)
    np.savez(path, content=content, right=np.clip(program.right + 0.01, 0, 1), **shapes)


def no_program(path, program):
    shapes = {f"shape {name}": np.array(shape) for name, shape in program.shapes.items()}
    np.savez(path, content=np.zeros(5000, np.uint8), right=program.right, **shapes)


@pytest.mark.parametrize("spoil", [torn, exchanged, without_scores, of_another_network, no_program])
def test_a_file_that_is_not_sound_is_made_anew(kept, made, program, scores, spoil):
    spoil(kept, program)
    np.testing.assert_array_equal(TagModel.load().predict(FRAMES), scores)
    assert len(made) == 1
    tag_model._shared.clear()
    np.testing.assert_array_equal(TagModel.load().predict(FRAMES), scores)
    assert len(made) == 1, "what was made anew is kept"


def test_a_damaged_model_is_refused_though_its_program_is_kept(kept, tmp_path):
    directory = TagModel.load().save(tmp_path / "model")
    network = directory / "network.keras"
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="sha256"):
        TagModel.load(directory)


def test_a_model_that_was_trusted_has_a_program_of_its_own(kept, packaged_model):
    assert programs.find_program(packaged_model.sha256, trust=False) is not None
    assert programs.find_program(packaged_model.sha256, trust=True) is None


@pytest.mark.parametrize("what", ["_version", "_processor"])
def test_other_versions_and_other_processors_have_programs_of_their_own(kept, packaged_model, monkeypatch, what):
    monkeypatch.setattr(programs, what, lambda *given: "another")
    assert programs.find_program(packaged_model.sha256, trust=False) is None


def test_a_file_of_somebody_else_is_not_used(kept, packaged_model, monkeypatch):
    monkeypatch.setattr(programs.os, "getuid", lambda: os.stat(kept).st_uid + 1)
    assert programs.find_program(packaged_model.sha256, trust=False) is None


def test_where_nothing_can_be_kept_the_model_serves_all_the_same(alone, monkeypatch, tmp_path, scores):
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    np.testing.assert_array_equal(TagModel.load().predict(FRAMES), scores)


def test_the_programs_used_last_are_kept(alone, program):
    small = replace(program, content=b"small")
    for number in range(programs._KEPT + 3):
        programs.keep_program(small, f"{number:064}", trust=False)
        os.utime(programs._path(f"{number:064}", False), (number, number))
    programs.keep_program(small, "last", trust=False)
    left = [number for number in range(programs._KEPT + 3) if programs._path(f"{number:064}", False).exists()]
    assert programs._path("last", False).exists() and len(list(alone.iterdir())) == programs._KEPT
    assert left == list(range(4, programs._KEPT + 3))


def test_where_a_driver_of_a_gpu_is_tensorflow_is_asked(alone, monkeypatch, tmp_path):
    import tensorflow as tf

    asked = []
    monkeypatch.setattr(tag_model, "_DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: asked.append(kind) or [])
    assert TagModel.load(DEFAULT).device == "CPU" and asked == ["GPU"]


def test_keras_is_not_imported_to_know_its_backend(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert tag_model._keras_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert tag_model._keras_backend() == "jax"
    (tmp_path / "keras.json").write_text("no JSON")
    assert tag_model._keras_backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert tag_model._keras_backend() == "torch" and "keras" not in sys.modules


def test_inputs_that_do_not_fit_are_refused(program):
    score = program.score()
    prepared = vars(Preparation()(FRAMES[0]))
    with pytest.raises(XTagValueError, match="plain"):
        score(prepared | {"plain": prepared["plain"][:32]})
