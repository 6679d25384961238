import keras
import numpy as np
import pytest
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras import cluster as tfmot
from tensorflow_model_optimization.python.core.clustering.keras import cluster_config

from pocketzoo import training, zoo
from pocketzoo.core.layer_traits import main_kernel
from pocketzoo.training.compression.clustering.cluster import cluster_weights
from pocketzoo.training.compression.weights.layer_selection import prunable_layers
from pocketzoo.training.compression.weights.tied_weights import ties_kept
from pocketzoo.training.engine.callbacks.progress import ProgressBar

BRIEF = training.Recipe(epochs=2, batch_size=40, optimizer={"lr": 1e-3})
STARTS = {
    "kmeans++": cluster_config.CentroidInitialization.KMEANS_PLUS_PLUS,
    "linear": cluster_config.CentroidInitialization.LINEAR,
    "density": cluster_config.CentroidInitialization.DENSITY_BASED,
}


def kernels(model):
    return [main_kernel(layer).numpy() for layer in prunable_layers(model).values()]


def sparse_kernel():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype("float32")
    return np.where(np.abs(kernel) < 0.5, np.float32(0), kernel)


def clustered_by_tfmot(kernel, start, *, keep_zeros):
    """A convolution of tf_keras with that kernel, wrapped and built."""
    conv = tf_keras.layers.Conv2D(8, 3, use_bias=False, input_shape=(6, 6, 4))
    model = tf_keras.Sequential([conv])
    model.build()
    conv.set_weights([kernel])
    return tfmot._cluster_weights(
        model,
        8,
        STARTS[start],
        preserve_sparsity=keep_zeros,
        cluster_gradient_aggregation=cluster_config.GradientAggregation.AVG,
    )


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("keep_zeros", [False, True])
def test_clusters_begin_as_those_of_tfmot(start, keep_zeros):
    kernel = sparse_kernel()
    theirs = clustered_by_tfmot(kernel, start, keep_zeros=keep_zeros)
    theirs(np.zeros((1, 6, 6, 4), "float32"))
    np.testing.assert_array_equal(
        cluster_weights(kernel, 8, start, keep_zeros=keep_zeros), theirs.layers[0].layer.kernel.numpy()
    )


def test_centroids_are_trained_as_those_of_tfmot():
    # Far from the middle between two centroids, where TF-MOT would assign a weight anew.
    random = np.random.default_rng(0)
    levels = random.choice(np.linspace(-2, 2, 8), (3, 3, 4, 8))
    kernel = (levels + random.uniform(-0.05, 0.05, levels.shape)).astype("float32")
    start = cluster_weights(kernel, 8, "linear", keep_zeros=False)
    theirs = clustered_by_tfmot(kernel, "linear", keep_zeros=False)
    images = np.random.default_rng(1).normal(size=(16, 6, 6, 4)).astype("float32")
    targets = np.random.default_rng(2).normal(size=(16, 4, 4, 8)).astype("float32")
    theirs.compile(tf_keras.optimizers.SGD(0.02), "mse")
    theirs.fit(images, targets, batch_size=16, epochs=3, verbose=0)
    expected = tfmot.strip_clustering(theirs).layers[0].kernel.numpy()

    image = keras.Input((6, 6, 4))
    conv = keras.layers.Conv2D(8, 3, use_bias=False)
    ours = keras.Model(image, conv(image))
    conv.kernel.assign(start)
    ours.compile(keras.optimizers.SGD(0.02), "mse")
    with ties_kept([conv.kernel]):
        ours.fit(images, targets, batch_size=16, epochs=3, verbose=0)
    np.testing.assert_allclose(conv.kernel, expected, atol=1e-5)
    assert np.abs(expected - start).max() > 1e-3


def test_kernels_have_few_values_that_were_trained(few_digits, trained):
    before = kernels(trained)
    result = training.cluster(trained, few_digits, BRIEF, clusters=8, verbose=False)
    assert result.metrics["clusters"] == 8
    for old, kernel in zip(before, kernels(trained), strict=True):
        assert len(np.unique(kernel)) <= 8
        start = cluster_weights(old, 8, "kmeans++", keep_zeros=True)
        assert not np.array_equal(kernel, start)
        # A cluster moves as one.
        assert len(np.unique(np.stack([kernel.ravel(), start.ravel()]), axis=1).T) == len(np.unique(start))


def test_zeros_stay_zero(few_digits, trained):
    kernel = trained.get_layer("dense1").kernel
    kernel.assign(np.where(np.abs(kernel.numpy()) < 0.05, 0, kernel.numpy()))
    zeros = kernel.numpy() == 0
    training.cluster(trained, few_digits, BRIEF, clusters=8, verbose=False)
    assert (kernel.numpy()[zeros] == 0).all()


def test_clusters_survive_saving_and_quantization(few_digits, trained, tmp_path):
    training.cluster(trained, few_digits, BRIEF, clusters=4, verbose=False)
    reloaded = zoo.load_model(zoo.save_model(trained, tmp_path / "clustered.keras"))
    assert all(len(np.unique(kernel)) <= 4 for kernel in kernels(reloaded))
    result = training.quantize_aware(reloaded, few_digits, BRIEF.changed(epochs=1), verbose=False)
    assert len(np.unique(result.model.get_layer("dense1").kernel)) <= 4


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(few_digits, trained_file, tmp_path, monkeypatch):
    def run(folder, **arguments):
        model = zoo.load_model(trained_file)
        return training.cluster(model, few_digits, BRIEF, run_dir=tmp_path / folder, verbose=False, **arguments)

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    whole = run("whole")
    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "on_epoch_begin", stop)
        with pytest.raises(KeyboardInterrupt):
            run("parts")
    parts = run("parts", resume=True)
    for expected, kernel in zip(kernels(whole.model), kernels(parts.model), strict=True):
        np.testing.assert_array_equal(kernel, expected)


def test_run_is_not_resumed_with_other_weights(few_digits, trained_file, tmp_path):
    training.cluster(zoo.load_model(trained_file), few_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)
    other = zoo.create_model("lenet5", labels=few_digits.labels)
    with pytest.raises(zoo.InputError, match="belongs to another run: weights was"):
        training.cluster(other, few_digits, BRIEF, run_dir=tmp_path / "run", resume=True, verbose=False)


@pytest.mark.parametrize("start", ["kmeans++", "linear", "density"])
@pytest.mark.parametrize(
    "kernel",
    [
        np.where(np.arange(512) % 10, 0, np.linspace(-1, 1, 512)).reshape(1, 1, 32, 16),  # fewer weights than clusters
        np.where(np.arange(64) % 10, 0, np.linspace(0.1, 1, 64)).reshape(8, 8),  # none below zero
        np.full((8, 8), 0.5),
    ],
)
def test_kernel_with_fewer_weights_than_clusters_is_unchanged(kernel, start):
    kernel = kernel.astype("float32")
    np.testing.assert_array_equal(cluster_weights(kernel, 64, start, keep_zeros=True), kernel)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"clusters": 2}, "clusters is 2; it must be 3 to 256"),
        ({"clusters": 300, "keep_zeros": False}, "clusters is 300; it must be 2 to 256"),
        ({"start": "kmeans"}, r"unknown start 'kmeans': did you mean kmeans\+\+"),
        ({"recipe": BRIEF.changed(initializer="he_normal")}, "initializer is 'he_normal'"),
    ],
)
def test_invalid_arguments_are_rejected(few_digits, trained, arguments, error):
    with pytest.raises(zoo.InputError, match=error):
        training.cluster(trained, few_digits, **arguments)
