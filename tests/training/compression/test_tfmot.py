"""Our pruning against TF-MOT's own `prune_low_magnitude`, which takes tf_keras models only: the oracle of the masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo.training.compression.tfmot import MagnitudePruning


@pytest.fixture(scope="module")
def twin():
    """TF-MOT's pruned tf_keras model of a convolution and a dense layer, schedule 0 to 75 % over 40 steps."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.75, 0, 40, frequency=10)
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Conv2D(7, 3, input_shape=(8, 8, 3)),
            tf_keras.layers.Flatten(),
            tf_keras.layers.Dense(5),
        ]
    )
    return tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)


def test_masks_and_weights_equal_those_of_prune_low_magnitude_at_every_step(twin):
    wrappers = [twin.layers[0], twin.layers[2]]
    kernels = [keras.Variable(wrapper.layer.kernel.numpy()) for wrapper in wrappers]
    step = tf.Variable(0, dtype=tf.int64)
    ours = MagnitudePruning(kernels, lambda: step.value(), sparsity=0.75, end_step=40, frequency=10)
    random = np.random.default_rng(0)
    shares = []
    for now in range(1, 46):  # TF-MOT counts from 1
        step.assign(now)
        for wrapper, kernel in zip(wrappers, kernels, strict=True):
            noise = random.normal(size=kernel.shape).astype("float32") * 0.01
            wrapper.layer.kernel.assign_add(noise)
            kernel.assign_add(noise)
        for layer in twin.layers:  # Flatten too; the wrapper counts on before it prunes
            layer.pruning_step.assign(now - 1)
        twin(np.zeros((1, 8, 8, 3), "float32"), training=True)
        ours.update()
        for wrapper, kernel, mask in zip(wrappers, kernels, ours.masks, strict=True):
            np.testing.assert_array_equal(mask.numpy(), wrapper.pruning_vars[0][1].numpy())
            np.testing.assert_array_equal(kernel.numpy(), wrapper.layer.kernel.numpy())
        shares.append(float(np.mean(ours.masks[0].numpy() == 0)))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.75, abs=0.005)
