import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.compression.pruning import prunable_kernels

BRIEF = training.Recipe(epochs=4, batch_size=40)


def zeros(kernel: keras.Variable) -> float:
    return float(np.mean(kernel.numpy() == 0))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_every_kernel_ends_at_the_target(few_digits, trained, sparsity):
    result = training.prune(trained, few_digits, BRIEF, sparsity=sparsity, frequency=2, verbose=False)
    for kernel in prunable_kernels(trained):
        assert zeros(kernel) == pytest.approx(sparsity, abs=0.5 / np.prod(kernel.shape) + 1e-9)
    assert result.metrics["sparsity"] == pytest.approx(sparsity, abs=1e-3)


def test_kernels_keep_their_own_constraint_while_pruned(few_digits):
    image = keras.Input((32, 32, 1))
    dense = keras.layers.Dense(10, activation="softmax", kernel_constraint="non_neg")
    model = keras.Model(image, dense(keras.layers.Flatten()(image)))
    training.prune(model, few_digits, BRIEF, sparsity=0.5, frequency=2, verbose=False)
    assert dense.kernel.numpy().min() == 0
    assert zeros(dense.kernel) >= 0.5
    assert isinstance(dense.kernel.constraint, keras.constraints.NonNeg)


def test_pruned_model_is_a_plain_model_that_keeps_its_zeros_when_saved(few_digits, trained, tmp_path):
    kinds = [type(layer) for layer in trained.layers]
    training.prune(trained, few_digits, BRIEF, sparsity=0.8, frequency=2, verbose=False)
    assert [type(layer) for layer in trained.layers] == kinds
    assert all(kernel.constraint is None for kernel in prunable_kernels(trained))
    reloaded = zoo.load_model(zoo.save_model(trained, tmp_path / "pruned.keras"))
    for before, after in zip(prunable_kernels(trained), prunable_kernels(reloaded), strict=True):
        assert zeros(after) == zeros(before) == pytest.approx(0.8, abs=0.01)


def test_pruned_weights_stay_zero_while_the_others_train_on(few_digits, trained):
    before = [kernel.numpy() for kernel in prunable_kernels(trained)]
    training.prune(trained, few_digits, BRIEF, sparsity=0.5, frequency=2, verbose=False)
    for old, kernel in zip(before, prunable_kernels(trained), strict=True):
        kept = kernel.numpy() != 0
        assert np.mean(kernel.numpy()[kept] != old[kept]) > 0.9


def test_large_weights_outlive_small_ones(few_digits, trained):
    before = [np.abs(kernel.numpy()) for kernel in prunable_kernels(trained)]
    training.prune(trained, few_digits, BRIEF, sparsity=0.5, frequency=2, verbose=False)
    for old, kernel in zip(before, prunable_kernels(trained), strict=True):
        kept = kernel.numpy() != 0
        assert old[kept].mean() > 1.5 * old[~kept].mean()


def test_steps_per_execution_does_not_stop_short_of_the_target(few_digits, trained):
    from pocketzoo.training.compression.pruning import PruningCallback
    from pocketzoo.training.data.pipeline import training_batches

    recipe = training.Recipe(epochs=4, batch_size=15)  # 8 steps an epoch
    kernels = prunable_kernels(trained)
    trained.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=8)
    trained.fit(
        training_batches(few_digits.train, recipe),
        epochs=4,
        steps_per_epoch=8,
        callbacks=[PruningCallback(kernels, sparsity=0.8, end_step=16, frequency=4)],
        verbose=0,
    )
    assert all(zeros(kernel) == pytest.approx(0.8, abs=0.01) for kernel in kernels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": {"ema": 0.9}}, "optimizer.ema is 0.9; pruning takes none"),
        ({"initializer": "he_normal"}, "initializer is 'he_normal'; pruning goes on from trained weights"),
    ],
)
def test_recipes_that_would_undo_the_zeros_or_the_weights_are_refused(few_digits, trained, changes, message):
    with pytest.raises(zoo.InputError, match=message):
        training.prune(trained, few_digits, BRIEF.changed(**changes), verbose=False)


def test_accumulated_batches_do_not_stop_short_of_the_target(few_digits, trained):
    recipe = BRIEF.changed(optimizer={"accumulate": 3})  # 12 batches make 4 updates
    training.prune(trained, few_digits, recipe, sparsity=0.8, frequency=1, verbose=False)
    assert all(zeros(kernel) == pytest.approx(0.8, abs=0.01) for kernel in prunable_kernels(trained))


def test_pruning_residual_nets_reaches_the_kernels_inside_composites(few_digits):
    model = zoo.create_model("resnet20", input_shape=(32, 32, 1))
    training.prune(
        model, few_digits, training.Recipe(epochs=2, batch_size=60), sparsity=0.6, frequency=1, verbose=False
    )
    kernels = prunable_kernels(model)
    assert len(kernels) == 20
    assert all(zeros(kernel) == pytest.approx(0.6, abs=0.01) for kernel in kernels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, "sparsity is 1.0; it takes 0 or more and less than 1"),
        ({"sparsity": -0.1}, "sparsity is -0.1"),
        ({"frequency": 0}, "frequency is 0; it takes 1 to 6 steps"),
        ({"frequency": 100}, "frequency is 100; it takes 1 to 6 steps, half of the run"),
    ],
)
def test_arguments_out_of_range_say_what_is_allowed(few_digits, trained, arguments, message):
    before = trained.get_weights()
    with pytest.raises(zoo.InputError, match=message):
        training.prune(trained, few_digits, BRIEF, verbose=False, **arguments)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))
