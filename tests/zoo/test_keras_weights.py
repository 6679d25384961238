"""Weight files of Keras 1 and 2, written by Keras 2's own models: the zoo's models have the same outputs with them."""

import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tf_keras
from keras.src.utils import file_utils
from support.keras_peers import PEERS, assert_outputs_match, normalize, peer_of, randomize

from pocketzoo import zoo
from pocketzoo.core.keras_private import without_values

TESTS = Path(__file__).parents[1]
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ONE_OF_EACH_KIND = (  # but inception_resnet_v2, whose forty blocks are alike, and VGG, whose file has 0.5 GB
    "densenet121",
    "efficientnet_b0",
    "inception_v3",
    "mobilenet_v1_025",
    "mobilenet_v2_035",
    "mobilenet_v3_small",
    "mobilenet_v3_small_minimalistic",
    "resnet50v1",
    "resnet50v2",
    "xception",
)
every_peer = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ONE_OF_EACH_KIND else pytest.mark.every_card) for name in PEERS],
)


def test_every_model_with_keras_weights_is_tested():
    keras_has = {name for name in zoo.list_models() if "keras" in zoo.model_card(name).pretrained}
    assert keras_has == PEERS.keys()


@every_peer
def test_urls_and_hashes_on_cards_are_those_of_keras(name, monkeypatch):
    def get_file(file_name, address, file_hash=None, **_):
        raise ConnectionRefusedError(address, file_hash and f"md5:{file_hash}")

    monkeypatch.setattr(file_utils, "get_file", get_file)
    net, arguments, _, _ = PEERS[name]
    card = zoo.model_card(name)
    # Without values, which VGG has 0.5 GB of.
    with without_values(), pytest.raises(ConnectionRefusedError) as raised:
        getattr(keras.applications, net)(weights="imagenet", input_shape=card.input_shape, **arguments)
    assert (card.pretrained["keras"].source, card.pretrained["keras"].hash) == raised.value.args


@every_peer
def test_file_from_keras_gives_the_outputs_of_keras(name, tmp_path):
    if name.startswith("vgg"):  # takes 4 GB for two models and a file, and TensorFlow keeps in a process what it took
        subprocess.run([sys.executable, "-m", "support.keras_peers", name, tmp_path], check=True, cwd=TESTS)
    else:
        assert_outputs_match(name, tmp_path)


def test_efficientnet_imagenet_deviations_are_not_variances(tmp_path, pixels):
    # Keras' own files store standard deviations instead of variances, and keras.applications corrects for it.
    peer, _, shape = peer_of("efficientnet_b0")
    (layer,) = (layer for layer in peer.layers if isinstance(layer, tf_keras.layers.Normalization))
    normalize(layer, IMAGENET_MEAN, IMAGENET_DEVIATION)
    peer.save_weights(tmp_path / "peer.h5")
    ours = zoo.create_model("efficientnet_b0", weights=tmp_path / "peer.h5", input_shape=shape)
    images = pixels(2, *shape)
    expected = (images / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)
    np.testing.assert_allclose(ours.get_layer("pixels")(images), expected, atol=1e-5)


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory):
    """Weights of the smallest MobileNet, and the model."""
    peer, _, shape = peer_of("mobilenet_v1_025")
    randomize(peer, np.random.default_rng(1).uniform(-1, 1, (16, *shape)).astype("float32"))
    path = tmp_path_factory.mktemp("keras") / "mobilenet.h5"
    peer.save_weights(path)
    return path, peer


def loaded(path: Path) -> list[np.ndarray]:
    return zoo.create_model("mobilenet_v1_025", weights=path).get_weights()


def test_layer_names_in_a_file_are_ignored(mobilenet_file, tmp_path):
    # Names in MobileNetV2's official files differ from its code, and those of Inception continue earlier numbers.
    path, peer = mobilenet_file
    renamed = tf_keras.models.clone_model(peer, clone_function=lambda layer: called(layer, f"mobl_{layer.name}_95"))
    renamed.set_weights(peer.get_weights())
    renamed.save_weights(tmp_path / "renamed.h5")
    for ours, expected in zip(loaded(tmp_path / "renamed.h5"), loaded(path), strict=True):
        np.testing.assert_array_equal(ours, expected)


def called(layer: tf_keras.layers.Layer, name: str) -> tf_keras.layers.Layer:
    return type(layer).from_config(layer.get_config() | {"name": name})


def test_weights_load_from_a_legacy_file_with_a_whole_model(mobilenet_file, tmp_path):
    path, peer = mobilenet_file
    peer.save(tmp_path / "model.h5")
    for ours, expected in zip(loaded(tmp_path / "model.h5"), loaded(path), strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("name", ["mobilenet_v1_050", "mobilenet_v2_035", "efficientnet_b0"])
def test_file_of_another_architecture_is_refused_with_both_sides(name, mobilenet_file):
    with pytest.raises(zoo.InputError, match=rf"mobilenet\.h5.*{name}"):
        zoo.create_model(name, weights=mobilenet_file[0])


def test_missing_and_superfluous_layers_are_refused_by_name(mobilenet_file, tmp_path):
    for change, said in [(lambda names: names[:-4], "head_dense/kernel"), (lambda names: [*names, "extra"], "extra")]:
        path = tmp_path / "changed.h5"
        path.write_bytes(mobilenet_file[0].read_bytes())
        with h5py.File(path, "a") as file:
            file.attrs["layer_names"] = change(list(file.attrs["layer_names"]))
            extra = file.require_group("extra")
            extra.attrs["weight_names"] = ["kernel:0"]
            extra.require_dataset("kernel:0", (1, 1), "float32")
        with pytest.raises(zoo.InputError, match=said):
            loaded(path)


def test_damaged_file_is_refused(mobilenet_file, tmp_path):
    path = tmp_path / "damaged.h5"
    path.write_bytes(mobilenet_file[0].read_bytes()[:100_000])
    with pytest.raises(zoo.InputError, match=r"damaged\.h5"):
        loaded(path)
