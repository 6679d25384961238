"""Zeros and clusters of a compressed model survive further training if asked for, and are not lost without a word."""

import json
import warnings
from contextlib import contextmanager

import keras
import numpy as np
import pytest
from keras import layers

from pocketzoo import training, zoo
from pocketzoo.core.layer_traits import main_kernel
from pocketzoo.training.compression.clustering.cluster import cluster_weights, most_distinct
from pocketzoo.training.compression.weights.kept_sparsity import compressed_kernels
from pocketzoo.training.compression.weights.layer_selection import prunable_layers

RECIPE = training.Recipe(epochs=1, batch_size=16, augmentation="none", optimizer={"lr": 1e-2})


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (48, 16, 16, 3)).astype("uint8")
    return training.from_arrays(images, np.arange(48) % 4, labels=list("abcd"))


def net(name: str = "net") -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(16, 3, activation="relu", name="one")(x)
    x = layers.Conv2D(16, 3, activation="relu", name="two")(x)
    x = layers.Dense(4, activation="softmax", kernel_initializer="zeros")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x, name=name)


def sparse(model: keras.Model, share: float = 0.8) -> keras.Model:
    for layer in prunable_layers(model).values():
        values = main_kernel(layer).numpy()
        if values.any():
            main_kernel(layer).assign(np.where(np.abs(values) < np.quantile(np.abs(values), share), 0, values))
    return model


def zeros_of(model: keras.Model, name: str) -> float:
    return float((prunable_layers(model)[name].kernel.numpy() == 0).mean())


@contextmanager
def raised_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def fit(model, data, **arguments):
    return training.fit(model, data, RECIPE, verbose=False, **arguments)


def distill(model, data, **arguments):
    return training.distill(model, net("teacher"), data, RECIPE, verbose=False, **arguments)


def remove_channels(model, data, **arguments):
    return training.prune_channels(
        model, data, budget="params:0.8", criterion="random", recipe=RECIPE, round_to=1, verbose=False, **arguments
    )


def shrink_channels(model, data, **arguments):
    return training.shrink_channels(model, data, RECIPE, verbose=False, **arguments)


VERBS = pytest.mark.parametrize("verb", [fit, distill, remove_channels, shrink_channels])


@VERBS
def test_verb_keeps_zeros_if_asked(verb, data):
    with raised_warnings():
        result = verb(sparse(net()), data, keep_sparsity=True)
    trained = result.model
    before = sparse(net())
    assert zeros_of(trained, "two") > 0.7
    assert len(np.intersect1d(trained.get_layer("two").kernel, before.get_layer("two").kernel)) < 5  # it has learnt
    assert all(layer.kernel.constraint is None for layer in prunable_layers(trained).values())


@VERBS
def test_verb_warns_that_zeros_are_lost(verb, data):
    with (
        raised_warnings(),
        pytest.raises(UserWarning, match=r"not keep the zeros of 2 kernels \(\d\d% .*keep_sparsity="),
    ):
        verb(sparse(net()), data)


def test_fine_tuning_keeps_zeros_or_warns(data):
    recipe = training.FineTuneRecipe(epochs=1, head_epochs=1, batch_size=16, augmentation="none")
    student = sparse(zoo.create_model("lenet5", weights=None, input_shape=(16, 16, 3), classes=4))
    name = next(name for name, share in compressed_kernels(student).zeros.items() if share > 0.7)
    training.fine_tune(student, data, recipe, keep_sparsity=True, verbose=False)
    assert zeros_of(student, name) > 0.7
    with raised_warnings(), pytest.raises(UserWarning, match="keep_sparsity=True"):
        training.fine_tune(student, data, recipe, verbose=False)


def test_clusters_are_kept_and_recorded_if_asked_and_else_named(data, tmp_path):
    def clustered() -> keras.Model:
        model = net()
        for kernel in (model.get_layer("one").kernel, model.get_layer("two").kernel):
            kernel.assign(cluster_weights(kernel.numpy(), 8, "linear", keep_zeros=False))
        return model

    model = clustered()
    kernels = [model.get_layer(name).kernel for name in ("one", "two")]
    before = [kernel.numpy() for kernel in kernels]
    result = fit(model, data, keep_sparsity=True, run_dir=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "pocketzoo-run.json").read_text())["keep_sparsity"] is True
    assert result.metrics["sparsity"] == 0
    assert most_distinct(kernels) <= 8
    assert not any(np.array_equal(*pair) for pair in zip(before, kernels, strict=True))
    with raised_warnings(), pytest.raises(UserWarning, match="the clusters of 2 kernels"):
        fit(model, data)


def test_pruning_warns_that_clusters_are_lost(data):
    model = net()
    kernel = model.get_layer("two").kernel
    kernel.assign(cluster_weights(kernel.numpy(), 8, "linear", keep_zeros=False))
    with pytest.warns(
        UserWarning, match=r"pruning does not keep the clusters of 1 kernel \(two\); cluster after pruning"
    ):
        training.prune(model, data, RECIPE, sparsity=0.3, verbose=False)


@pytest.mark.parametrize("prepare", [net, lambda: sparse(net(), 0.1)])
def test_dense_model_gives_no_warning(prepare):
    assert not compressed_kernels(prepare()).kernels


def test_initializer_and_kept_zeros_contradict_each_other(data):
    recipe = RECIPE.changed(initializer="he_normal")
    with pytest.raises(zoo.InputError, match="initializer is 'he_normal'; keep_sparsity keeps"):
        training.fit(sparse(net()), data, recipe, keep_sparsity=True, verbose=False)


def test_as_many_clusters_as_asked_for_in_a_kernel_of_hardly_more_weights(data):
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(22, 1, activation="relu")(layers.Rescaling(1 / 255)(image))  # 66 weights
    model = keras.Model(image, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x)), name="small")
    result = training.cluster(model, data, RECIPE, clusters=64, start="linear", verbose=False)
    assert result.metrics["clusters"] <= 64


def test_clustered_kernel_reaches_the_target_of_pruning(data):
    model = net()
    for name in ("one", "two"):
        kernel = model.get_layer(name).kernel
        kernel.assign(cluster_weights(kernel.numpy(), 8, "linear", keep_zeros=False))
    settings = training.Sparsity(target=0.5, schedule="constant", keep_ends=False)
    with pytest.warns(UserWarning, match="clusters"):
        training.prune(model, data, RECIPE, sparsity=settings, verbose=False)
    assert zeros_of(model, "two") == pytest.approx(0.5, abs=0.01)
