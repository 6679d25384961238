import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.compression.weights.layer_selection import kernels_of, select_layers

BRIEF = training.Recipe(epochs=4, batch_size=40)


def pruned_kernels(model: keras.Model) -> list[keras.Variable]:
    return kernels_of(model, select_layers(model, training.Sparsity()))


def zeros(kernel: keras.Variable) -> float:
    return float(np.mean(kernel.numpy() == 0))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_every_kernel_ends_at_the_target(few_digits, trained, sparsity):
    result = training.prune(trained, few_digits, BRIEF, sparsity=sparsity, frequency=2, verbose=False)
    for kernel in pruned_kernels(trained):
        assert zeros(kernel) == pytest.approx(sparsity, abs=0.5 / np.prod(kernel.shape) + 1e-9)
    assert result.metrics["sparsity"] == pytest.approx(sparsity, abs=1e-3)


def test_kernels_keep_their_own_constraint_while_pruned(few_digits):
    image = keras.Input((32, 32, 1))
    dense = keras.layers.Dense(10, activation="softmax", kernel_constraint="non_neg")
    model = keras.Model(image, dense(keras.layers.Flatten()(image)))
    settings = training.Sparsity(keep_ends=False)
    training.prune(model, few_digits, BRIEF, sparsity=settings, frequency=2, verbose=False)
    assert dense.kernel.numpy().min() == 0
    assert zeros(dense.kernel) >= 0.5
    assert isinstance(dense.kernel.constraint, keras.constraints.NonNeg)


def test_pruned_model_is_a_plain_model_that_keeps_its_zeros_when_saved(few_digits, trained, tmp_path):
    types = [type(layer) for layer in trained.layers]
    training.prune(trained, few_digits, BRIEF, sparsity=0.8, frequency=2, verbose=False)
    assert [type(layer) for layer in trained.layers] == types
    assert all(kernel.constraint is None for kernel in pruned_kernels(trained))
    reloaded = zoo.load_model(zoo.save_model(trained, tmp_path / "pruned.keras"))
    for before, after in zip(pruned_kernels(trained), pruned_kernels(reloaded), strict=True):
        assert zeros(after) == zeros(before) == pytest.approx(0.8, abs=0.01)


def test_pruned_weights_stay_zero_while_others_are_trained(few_digits, trained):
    before = [kernel.numpy() for kernel in pruned_kernels(trained)]
    training.prune(trained, few_digits, BRIEF, sparsity=0.5, frequency=2, verbose=False)
    for old, kernel in zip(before, pruned_kernels(trained), strict=True):
        kept = kernel.numpy() != 0
        assert np.mean(kernel.numpy()[kept] != old[kept]) > 0.9


def test_large_weights_are_kept_and_small_ones_pruned(few_digits, trained):
    before = [np.abs(kernel.numpy()) for kernel in pruned_kernels(trained)]
    training.prune(trained, few_digits, BRIEF, sparsity=0.5, frequency=2, verbose=False)
    for old, kernel in zip(before, pruned_kernels(trained), strict=True):
        kept = kernel.numpy() != 0
        assert old[kept].mean() > 1.5 * old[~kept].mean()


def test_recipe_that_initializes_weights_is_rejected(few_digits, trained):
    with pytest.raises(zoo.InputError, match="initializer is 'he_normal'; pruning continues from trained weights"):
        training.prune(trained, few_digits, BRIEF.changed(initializer="he_normal"), verbose=False)


def test_pruning_residual_models_reaches_kernels_inside_composites(few_digits):
    model = zoo.create_model("resnet20", blocks=1, input_shape=(32, 32, 1))
    training.prune(
        model, few_digits, training.Recipe(epochs=2, batch_size=60), sparsity=0.6, frequency=1, verbose=False
    )
    kernels = pruned_kernels(model)
    assert len(kernels) == 6
    assert all(zeros(kernel) == pytest.approx(0.6, abs=0.01) for kernel in kernels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, "sparsity: target: must be less than 1 .got 1.0."),
        ({"sparsity": -0.1}, "sparsity: target: must be greater than or equal to 0"),
        ({"frequency": 0}, "sparsity: frequency: must be greater than 0 .got 0."),
        ({"frequency": 100}, "frequency is 100; it takes 1 to 6 steps, the length of the schedule"),
    ],
)
def test_arguments_out_of_range_say_what_is_allowed(few_digits, trained, arguments, message):
    before = trained.get_weights()
    with pytest.raises(zoo.InputError, match=message):
        training.prune(trained, few_digits, BRIEF, verbose=False, **arguments)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))
