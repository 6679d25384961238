import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketzoo import zoo
from pocketzoo.core.atomic_files import atomic_path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return zoo.save_model(zoo.create_model("lenet5"), tmp_path_factory.mktemp("saved") / "lenet5.keras")


def test_saved_model_has_the_same_outputs(tmp_path, pixels):
    model, images = zoo.create_model("lenet5"), pixels(2, 32, 32, 1)
    np.testing.assert_array_equal(zoo.load_model(zoo.save_model(model, tmp_path / "m.keras"))(images), model(images))


def test_frozen_block_stays_frozen_when_loaded(tmp_path):
    model = zoo.create_model("resnet20")
    model.get_layer("stage2_block1").trainable = False
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "m.keras"))
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    assert len(zoo.flatten_model(loaded).trainable_weights) == len(model.trainable_weights)


def test_frozen_parts_of_a_block_stay_frozen_when_loaded(tmp_path):
    """As after fine-tuning with BatchNorm in inference mode."""
    model = zoo.create_model("seresnet50", widths=(8, 8, 8, 8), stem_width=8, input_shape=(32, 32, 3))
    for layer in zoo.flatten_model(model).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model.get_layer("stage1_block2").conv1.trainable = False
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "m.keras"))
    assert [w.path for w in loaded.trainable_weights] == [w.path for w in model.trainable_weights]
    assert [w.path for w in loaded.non_trainable_weights] == [w.path for w in model.non_trainable_weights]


def test_tensor_names_in_a_file_are_stable(saved):
    """Existing files must continue to load: a change here requires a new major version."""
    with zipfile.ZipFile(saved) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    layers = {"conv_norm_act/conv", "conv_norm_act_1/conv", "dense", "dense_1", "classification_head/dense"}
    expected = {f"layers/{layer}/vars/{i}" for layer in layers | {"pixel_normalization"} for i in (0, 1)}
    assert set(names) == expected


def test_name_must_end_in_keras(tmp_path):
    with pytest.raises(zoo.InputError, match=r"must end in \.keras"):
        zoo.save_model(zoo.create_model("lenet5"), tmp_path / "model.h5")


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 not a zip either"])
def test_file_without_a_model_is_refused(content, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(zoo.InputError, match=r"model\.keras is not a \.keras model file"):
        zoo.load_model(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(zoo.InputError, match="there is no such file"):
        zoo.load_model(tmp_path / "none.keras")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 0.999))
def test_truncated_file_is_refused(share, saved, tmp_path):
    content = saved.read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(zoo.InputError, match=r"cut\.keras"):
        zoo.load_model(path)


def test_file_with_a_lambda_is_refused(tmp_path):
    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
    with pytest.raises(zoo.InputError, match=r"lambda\.keras cannot be read"):
        zoo.load_model(path)


def test_failed_write_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


class Doubled(keras.layers.Layer):
    """A layer of a user's own, made of an operation."""

    def call(self, values):
        return values * 2


def test_file_with_a_class_of_the_users_own_says_how_to_load_it_and_the_remedy_works(tmp_path):
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(Doubled()(image))))
    zoo.save_model(model, tmp_path / "own.keras")
    with pytest.raises(
        zoo.InputError,
        match=r"own\.keras has the class 'Doubled', which is not known here; in Python import it",
    ):
        zoo.load_model(tmp_path / "own.keras")
    loaded = zoo.load_model(zoo.save_model(zoo.flatten_model(model), tmp_path / "flat.keras"))
    images = np.ones((1, 4, 4, 1), "float32")
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-6)


def test_file_in_place_of_a_name_is_told_from_an_unknown_name():
    with pytest.raises(zoo.InputError, match=r"own\.keras is a file, not the name of a model; zoo\.load_model opens"):
        zoo.create_model("own.keras")


@pytest.mark.parametrize("version", ["2.15.0", "3.0.0"])
def test_packages_that_a_file_names_are_not_imported(version, tmp_path, monkeypatch):
    (tmp_path / "keras_hub.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    layer = {"module": "keras_hub", "class_name": "X", "config": {}, "registered_name": None}
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": [layer]}}
    for attributes in ({"model_config": config}, {"model_config": {}, "training_config": {"loss": layer}}):
        with h5py.File(tmp_path / "net.h5", "w") as file:
            file.attrs["keras_version"] = version
            file.attrs.update({name: json.dumps(value) for name, value in attributes.items()})
            file.create_group("model_weights")
        with pytest.raises(zoo.InputError, match="it needs keras_hub; if you trust the file, import keras_hub first"):
            zoo.load_model(tmp_path / "net.h5")
