"""What the file of a network may hold, checked without Keras: the files here are made by hand."""

import copy
import io
import json
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_xtag.errors import ModelError
from bluesky_xtag.model import DEFAULT
from bluesky_xtag.model import network_guard as guard
from bluesky_xtag.model.network_guard import NETWORK, read_network, refuse_foreign

PACKAGED = (DEFAULT / NETWORK).read_bytes()


def layer(name, place="keras.layers", registered=None, **config):
    return {"module": place, "class_name": name, "config": config, "registered_name": registered}


def network(*layers):
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"layers": list(layers)},
        "registered_name": "Functional",
    }


def archive(config=None, weights=None, *, packing=zipfile.ZIP_DEFLATED, **members):
    """The bytes of a network's file; a config may be JSON text already."""
    config = network(layer("Dense", units=3)) if config is None else config
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", packing) as file:
        warnings.simplefilter("ignore")  # of a name that comes twice
        file.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        if weights is not None:
            file.writestr("model.weights.h5", weights)
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def weights(fill):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def plain(file):
    file["layers/dense/vars/0"] = np.ones((4, 3), np.float32)
    file["layers/dense/vars/1"] = np.ones(3, np.float32)
    file["layers/dense/vars"].attrs["name"] = "dense"
    file.create_dataset("layers/norm/vars/0", data=np.ones((8, 8)), chunks=(4, 4))
    file.create_group("optimizer")
    file["scalar"] = np.int64(3)
    file["none"] = np.empty((0, 3), np.float32)


def test_the_packaged_model_passes():
    refuse_foreign(PACKAGED)


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_known_layers_and_plain_weights_pass(packing):
    refuse_foreign(archive(weights=weights(plain), packing=packing))
    refuse_foreign(archive(**{"metadata.json": '{"keras_version": "3.15.1"}'}))


@pytest.mark.parametrize(
    "name",
    [
        *("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TextVectorization", "StringLookup"),
        *("IntegerLookup", "Hashing", "Discretization", "Wrapper", "TimeDistributed", "RNN", "Embedding", "Layer"),
        *("SomeLayerNobodyNamed", "", "dense", "Dense ", "Functional", "function", "__lambda__", "__tensor__"),
    ],
)
def test_layers_that_are_not_on_the_list_are_refused_by_name(name):
    with pytest.raises(ModelError, match=rf"contains keras.layers.{name}.*trust=True"):
        refuse_foreign(archive(network(layer("Dense"), layer(name))))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("some_package", "Thing"),
        ("os", "Dense"),
        ("builtins", "Dense"),
        ("keras.src.layers.core.dense", "Dense"),
        ("keras.utils", "get_file"),
        ("keras", "Sequential"),
        ("keras.saving", "load_model"),
        ("keras.initializers", "Dense"),
        ("keras.layers", "GlorotUniform"),
        (None, "Dense"),
        (None, "__keras_tensor__ "),
        (["keras.layers"], "Dense"),
        ("keras.layers", ["Dense"]),
        ({"a": 1}, None),
    ],
)
def test_other_places_are_refused(module, name):
    with pytest.raises(ModelError, match="could run code"):
        refuse_foreign(archive(network(layer("Dense", kernel_initializer=layer(name, module)))))
    with pytest.raises(ModelError, match="could run code"):
        refuse_foreign(archive(layer(name, module)))


@pytest.mark.parametrize(
    "part",
    [
        layer("Dense", registered="mine>Dense"),
        layer("Dense", activation=layer("function", "somewhere")),
        layer("Dense", activation="mine>swish"),
        layer("Dense", recurrent_activation="open"),
        layer("Dense", activation=["relu"]),
        layer("Dense", kernel_initializer="mine>Zeros"),
        layer("Dense", bias_constraint=["x"]),
        layer("Dense", dtype=layer("QuantizedDTypePolicy", "keras")),
        {"class_name": "Dense"},
        {"module": "keras.layers", "config": {}},
        {"registered_name": "mine>Dense", "config": {}},
        {"class_name": "__keras_tensor__", "module": "os", "config": {}},
        layer("Dense", units=10**9),
        layer("Conv2D", filters=4, kernel_size=[10**8, 3]),
        layer("InputLayer", batch_shape=[None, -(10**7), 3]),
    ],
    ids=lambda part: json.dumps(part)[:60],
)
def test_functions_by_name_and_absurd_sizes_are_refused(part):
    with pytest.raises(ModelError, match=NETWORK):
        refuse_foreign(archive(network(layer("Dense"), part)))


def test_seeds_may_be_large():
    refuse_foreign(
        archive(network(layer("Dense", kernel_initializer=layer("Zeros", "keras.initializers", seed=2**60))))
    )


@pytest.mark.parametrize("where", ["build_config", "compile_config", "quantization_config", "anything"])
def test_nothing_hides_outside_of_the_layers(where):
    config = network(layer("Dense")) | {where: {"deep": [{"er": layer("Adam", "keras.optimizers")}]}}
    with pytest.raises(ModelError, match="Adam"):
        refuse_foreign(archive(config))


def test_too_many_layers_are_refused():
    with pytest.raises(ModelError, match="layers, at most"):
        refuse_foreign(archive(network(*[layer("ReLU")] * 2001)))


@pytest.mark.parametrize(
    "config",
    [
        "[" * 5000 + "]" * 5000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        "[" * 70 + "]" * 70,
        '"[["',
        "{",
        "",
        "null",
        "[]",
        "NaN",
    ],
    ids=["lists", "mappings", "a little", "text", "torn", "empty", "null", "list", "NaN"],
)
def test_configurations_that_are_none_are_refused(config):
    with pytest.raises(ModelError, match=NETWORK):
        refuse_foreign(archive(config))


def test_brackets_in_texts_do_not_count():
    refuse_foreign(archive(network(layer("Dense", note='[[{"' * 100))))


@pytest.mark.parametrize(
    "name", ["assets/x.txt", "../config.json", "/etc/passwd", "CONFIG.JSON", "model.weights.h5 ", "a/"]
)
def test_other_members_are_refused(name):
    with pytest.raises(ModelError, match="more than a network"):
        refuse_foreign(archive(**{name: "x"}))


def test_a_member_that_comes_twice_is_refused():
    with pytest.raises(ModelError, match="twice"):
        refuse_foreign(archive(**{"config.json": json.dumps(network(layer("Lambda")))}))


def test_members_that_are_too_large_are_refused_before_they_are_unpacked():
    with pytest.raises(ModelError, match="config.json of 5"):
        refuse_foreign(archive(network(layer("Dense", note=" " * 50_000_000))))
    with pytest.raises(ModelError, match="metadata.json of"):
        refuse_foreign(archive(**{"metadata.json": '" ' + " " * 100_000 + '"'}))


def test_a_size_that_is_not_true_is_refused():
    """The archive says 10 bytes, and unpacks to millions."""
    whole = bytearray(archive(network(layer("Dense", note=" " * 20_000_000))))
    entry = whole.index(b"PK\x01\x02")
    whole[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    with pytest.raises(ModelError, match="not a Keras file"):
        refuse_foreign(bytes(whole))


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_FILE", 100)
    (tmp_path / NETWORK).write_bytes(b"x" * 101)
    with pytest.raises(ModelError, match="101 bytes, at most 100"):
        read_network(tmp_path)
    assert len(read_network(tmp_path, trust=True)) == 101
    with pytest.raises(ModelError, match="101 bytes"):
        refuse_foreign(b"x" * 101)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"nothing", PACKAGED[:1000], PACKAGED[1000:], b"\0" * 5000])
def test_what_is_no_archive_is_refused(content):
    with pytest.raises(ModelError, match="not a Keras file"):
        refuse_foreign(content)


def test_other_ways_of_packing_are_refused():
    with pytest.raises(ModelError, match="packed in a way"):
        refuse_foreign(archive(packing=zipfile.ZIP_LZMA))


# Weights


def soft_link(file):
    file["a"] = np.ones(3)
    file["b"] = h5py.SoftLink("/a")


def external_link(file):
    file["b"] = h5py.ExternalLink("/etc/somewhere.h5", "/a")


def hard_link_twice(file):
    file["a"] = np.ones(3)
    file["b"] = file["a"]


def circle(file):
    file.create_group("a/b")
    file["a/b/c"] = file["a"]


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/somewhere.h5", "x", (4,))
    file.create_virtual_dataset("a", layout)


def external_storage(file):
    file.create_dataset("a", (4,), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def packed(file):
    file.create_dataset("a", data=np.ones((64, 64)), compression="gzip")


def scaled(file):
    file.create_dataset("a", data=np.ones((64, 64), np.int32), scaleoffset=True)


def not_written(file):
    file.create_dataset("a", (10**6, 10**6), "f4")


def partly_written(file):
    file.create_dataset("a", (64, 64), "f4", chunks=(8, 8))[:8, :8] = 1


def text(file):
    file["a"] = "text"


def references(file):
    file["a"] = np.array([file.ref], h5py.ref_dtype)


def compound(file):
    file["a"] = np.zeros(3, [("x", "f4"), ("y", "i4")])


def named_type(file):
    file["a"] = np.dtype("f4")


def no_shape(file):
    file["a"] = h5py.Empty("f4")


def deep(file):
    file["/".join("a" * 100)] = np.ones(3)


@pytest.mark.parametrize(
    "fill",
    [
        *(soft_link, external_link, hard_link_twice, circle, virtual, external_storage, packed, scaled),
        *(not_written, partly_written, text, references, compound, named_type, no_shape, deep),
    ],
)
def test_weights_that_are_not_plain_are_refused(fill):
    with pytest.raises(ModelError, match=f"{NETWORK} holds"):
        refuse_foreign(archive(weights=weights(fill)))


def test_weights_behind_a_link_are_refused_although_they_are_there_and_plain(tmp_path):
    """Keras would read another file of the user as weights, and its numbers would be seen in the scores."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["a"] = np.ones(3)
    links = {"Ext": h5py.ExternalLink(str(tmp_path / "other.h5"), "/a"), "Soft": h5py.SoftLink("/hidden")}
    for kind, link in links.items():
        with pytest.raises(ModelError, match=rf"holds the link /b in its weights \({kind}"):
            refuse_foreign(archive(weights=weights(lambda file, link=link: file.__setitem__("b", link))))


@pytest.mark.parametrize("content", [b"", b"nothing", weights(plain)[:600], b"\x89HDF\r\n\x1a\n"])
def test_weights_that_cannot_be_read_are_refused(content):
    with pytest.raises(ModelError, match="cannot be read"):
        refuse_foreign(archive(weights=content))


# Whatever the file holds, the answer is yes or a ModelError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["Dense", "Lambda"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "module", "config", "registered_name", "activation", "layers"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_any_configuration_is_judged(config):
    try:
        refuse_foreign(archive(json.dumps(config)))
    except ModelError:
        return
    assert isinstance(config, dict) and config["class_name"] in guard._ALLOWED[config["module"]]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.binary(min_size=1, max_size=8), st.booleans())
def test_a_damaged_archive_is_judged(place, change, cut):
    whole = bytearray(SMALL)
    place %= len(whole)
    whole[place : place + len(change)] = change
    try:
        refuse_foreign(bytes(whole[:place] if cut else whole))
    except ModelError:
        pass


SMALL = archive(weights=weights(plain), packing=zipfile.ZIP_STORED)


def test_each_layer_of_the_packaged_model_may_not_be_another():
    """A change of any single name in a true configuration is seen."""
    with zipfile.ZipFile(io.BytesIO(PACKAGED)) as file:
        whole = json.loads(file.read("config.json"))
    for number in range(len(whole["config"]["layers"])):
        changed = copy.deepcopy(whole)
        changed["config"]["layers"][number]["class_name"] = "Lambda"
        with pytest.raises(ModelError, match="keras.layers.Lambda"):
            guard._check_config(changed)
