"""A small model file that asks for much is refused before it gets it."""

import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest

from pocketzoo import zoo
from pocketzoo.zoo.saving import tensor_shapes


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model file, to be rewritten."""
    image = keras.Input((4, 4, 1), name="image")
    x = keras.layers.UpSampling2D(2, name="larger")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, name="head")(x))
    return zoo.save_model(model, tmp_path_factory.mktemp("plain") / "plain.keras")


@pytest.fixture
def rewrite(plain, tmp_path):
    """Write the model again with other fields of a layer, or other parts of the archive, compressed."""

    def write(layer="", parts=None, **fields):
        with zipfile.ZipFile(plain) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(contents["config.json"])
        for each in config["config"]["layers"]:
            each["config"] |= fields if each["name"] == layer else {}
        contents |= {"config.json": json.dumps(config).encode()} | (parts or {})
        with zipfile.ZipFile(tmp_path / "small.keras", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return tmp_path / "small.keras"

    return write


@pytest.mark.parametrize("units", [10**9, 10**18])
def test_layer_with_more_weights_than_a_model_may_have_is_refused(rewrite, units):
    with pytest.raises(zoo.InputError, match=rf"sum of its weights has {4 * units:,} bytes; the limit is 2,147,483,6"):
        zoo.load_model(rewrite("head", units=units))


def test_more_weights_than_the_file_stores_are_refused_before_they_are_made(rewrite):
    with pytest.raises(zoo.InputError, match=r"its config asks for 40,000,0\d\d bytes of weights, of which it stores"):
        zoo.load_model(rewrite("head", units=10**7))


def test_weights_of_a_file_take_no_time_to_initialize(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((4, 2)), keras.layers.GRU(3)])
    path = zoo.save_model(model, tmp_path / "recurrent.keras")
    monkeypatch.setattr(keras.initializers.Orthogonal, "__call__", lambda *_, **__: pytest.fail("takes the cube"))
    loaded = zoo.load_model(path)
    assert all(np.array_equal(*pair) for pair in zip(loaded.get_weights(), model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("layer", "fields"), [("larger", {"size": [10**5] * 2}), ("image", {"batch_shape": [1] + [10**5] * 2 + [1]})]
)
def test_tensor_that_fits_into_no_memory_is_refused(rewrite, layer, fields):
    with pytest.raises(
        zoo.InputError, match=rf"the output of its layer {layer} has .* bytes; the limit is 8,589,934,5"
    ):
        zoo.load_model(rewrite(layer, **fields))


def test_number_of_layers_is_limited(rewrite, monkeypatch):
    monkeypatch.setenv("POCKETZOO_LIMIT_MODEL_LAYERS", "4")
    with pytest.raises(zoo.InputError, match="its config has 5 layers; the limit is 4"):  # with the model itself
        zoo.load_model(rewrite())
    monkeypatch.setenv("POCKETZOO_LIMIT_MODEL_LAYERS", "5")
    zoo.load_model(rewrite())


def test_each_call_of_a_layer_counts(tmp_path, monkeypatch):
    image = keras.Input((4, 4, 1))
    relu, x = keras.layers.ReLU(), image
    for _ in range(5):
        x = relu(x)
    path = zoo.save_model(keras.Model(image, x), tmp_path / "called.keras")
    monkeypatch.setenv("POCKETZOO_LIMIT_MODEL_LAYERS", "6")
    with pytest.raises(zoo.InputError, match="its config has 7 layers; the limit is 6"):
        zoo.load_model(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"[" * 10**6, "its config.json .*levels|it has more levels than can be read; the limit is 200"),
        ("config.json", b" " * (2**24 + 1), "its config.json has 16,777,217 bytes; the limit is 16,777,216"),
        ("pocketzoo.json", b"[1]", r"its pocketzoo\.json is no JSON object"),
        ("pocketzoo.json", b'{"model": 1}', r"its pocketzoo\.json has other entries than from_logits, known_labels"),
        ("pocketzoo.json", b'{"labels": [{"a": 1}, null]}', r"labels is \[\{'a': 1\}, None\]; state_contract requires"),
        ("metadata.json", b"1", r"its metadata\.json is no JSON object"),
        ("config.json", b'{"n": ' + b"9" * 5000 + b"}", "a number in it has 5,000 digits"),
    ],
)
def test_part_of_an_archive_that_is_no_small_json_is_refused(rewrite, name, content, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.load_model(rewrite(parts={name: content}))


@pytest.mark.parametrize("read", [zoo.load_model, tensor_shapes])
def test_archive_that_expands_above_the_limit_is_refused_before_it_is_read(rewrite, monkeypatch, read):
    path = rewrite(parts={"more": bytes(10**7)})
    assert path.stat().st_size < 10**5
    monkeypatch.setenv("POCKETZOO_LIMIT_MODEL_BYTES", "1000000")
    with pytest.raises(
        zoo.InputError, match=r"its archive, expanded, has 10,0\d\d,\d\d\d bytes; the limit is 1,000,000"
    ):
        read(path)


@pytest.mark.parametrize("read", [zoo.load_model, tensor_shapes])
def test_archive_of_nothing_but_zeros_is_refused_before_it_is_read(rewrite, read):
    path = rewrite(parts={"model.weights.h5": bytes(10**8)})
    with pytest.raises(zoo.InputError, match=r"has 100,000,000 bytes in [\d,]+ compressed ones; 500 times as many are"):
        read(path)


def test_archive_with_two_parts_of_a_name_is_refused(rewrite):
    path = rewrite()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", "{}")
    with pytest.raises(zoo.InputError, match=r"its archive has two parts 'config\.json'"):
        zoo.load_model(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_pipe_and_sparse_file_in_place_of_a_model_are_refused(tmp_path, suffix):
    pipe, huge = tmp_path / f"pipe{suffix}", tmp_path / f"huge{suffix}"
    os.mkfifo(pipe)
    huge.touch()
    os.truncate(huge, 2**40)
    with pytest.raises(zoo.InputError, match="it is a pipe, not a regular file"):
        zoo.load_model(pipe)
    with pytest.raises(zoo.InputError, match="has 1,099,511,627,776 bytes; the limit is 2,147,483,648"):
        zoo.load_model(huge)


def test_config_in_an_h5_file_of_keras_2_is_limited_too(tmp_path):
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 10**9, "batch_input_shape": [None, 4]}}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}}
        )
        file.attrs["keras_version"] = "2.4.0"
    with pytest.raises(zoo.InputError, match="the sum of its weights has 16,000,000,000 bytes"):
        zoo.load_model(tmp_path / "old.h5")
