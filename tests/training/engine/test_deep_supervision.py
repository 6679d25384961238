"""Auxiliary heads are trained with a model by the recipe, and are no part of it afterwards."""

import csv
import random
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import layers, training, zoo
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.runtimes.litert import open_tflite
from pocketzoo.training.engine.compilation import compile_for_training
from pocketzoo.training.engine.run_directory import RunDirectory

PLAIN = training.Recipe(epochs=2, batch_size=20, augmentation="none")
BRIEF = PLAIN.changed(auxiliary={"stage1": 0.3})


def lenet(seed: int = 0, **arguments) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return zoo.create_model("lenet5", input_shape=(16, 16, 1), **arguments)


def inception(data) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("inception_v1", width=0.05, input_shape=(32, 32, 1), labels=data.labels)


def unet() -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("unet_same", classes=3, widths=(4, 8, 8), input_shape=(18, 18, 1))


def equal(first: keras.Model, second: keras.Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.fixture(scope="module")
def masks() -> training.ImageData:
    """Images of 18x18 pixels, which no stride above 2 divides, with the class of each pixel by its brightness."""
    images = np.random.default_rng(0).integers(0, 256, (60, 18, 18, 1), "uint8")
    return training.from_arrays(images, (images[..., 0] // 86).astype("int32"), task="segmentation")


@pytest.fixture(scope="module")
def run(few_digits, tmp_path_factory):
    """A run of an Inception with two auxiliary heads."""
    data = replace(few_digits, train=few_digits.validation)
    recipe = PLAIN.changed(auxiliary={"stage2_block1": 0.3, "stage2": 0.3}, epochs=1)
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    return training.fit(inception(data), data, recipe, run_dir=run_dir, verbose=False)


def test_saved_model_is_the_one_without_heads(run, few_digits):
    plain, saved = inception(few_digits), zoo.load_model(run.run_dir / "best.keras")
    assert [layer.name for layer in saved.layers] == [layer.name for layer in run.model.layers]
    assert [layer.name for layer in saved.layers] == [layer.name for layer in plain.layers]
    assert saved.count_params() == plain.count_params()
    assert saved.output_shape == (None, 10)
    assert equal(saved, run.model)
    assert not equal(saved, plain)


def test_exported_file_computes_the_same_and_has_nothing_of_the_heads(run, few_digits, tmp_path):
    images, _ = few_digits.test.arrays()
    content = to_tflite(ExportGraph.from_model(zoo.load_model(run.run_dir / "best.keras")), "tflite-fp32", None)
    outputs = open_tflite(tmp_path / "inception.tflite", content).run(images)
    np.testing.assert_allclose(outputs, run.model.predict(images, verbose=0), atol=1e-5)
    assert b"auxiliary" not in content


def test_losses_of_heads_are_reported_beside_those_of_the_model(run):
    names = {"loss", "accuracy", "stage2_loss", "stage2_block1_loss"}
    assert run.history[0].keys() == names | {f"val_{name}" for name in names} | {"learning_rate"}
    with (run.run_dir / "log.csv").open() as log:
        assert next(csv.reader(log)) == ["epoch", *run.history[0]]


def test_validation_loss_is_that_of_the_model_alone(run, few_digits):
    evaluation = training.evaluate(run.model, few_digits.validation)
    assert run.metrics["val_loss"] == pytest.approx(evaluation.loss, rel=1e-4)


def test_value_of_the_loss_is_the_models_and_its_gradient_that_of_the_weighted_sum(pixels):
    model, recipe = lenet(), PLAIN.changed(auxiliary={"stage1": 0.3, "stage2": 0.5})
    network = compile_for_training(model, recipe, steps=1)
    images, classes = pixels(6, 16, 16, 1), np.arange(6)
    weights = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        output, heads = network(images, training=True)
        loss = network.compute_loss(images, classes, (output, heads))
        own, *further = (
            tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(classes, each))
            for each in (output, heads["stage1"], heads["stage2"])
        )
        total = own + 0.3 * further[0] + 0.5 * further[1]
    assert float(loss) == pytest.approx(float(own), rel=1e-6)
    for found, expected in zip(tape.gradient(loss, weights), tape.gradient(total, weights), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_run_interrupted_within_an_epoch_resumes_to_identical_weights(small_digits, tmp_path, monkeypatch):
    recipe = BRIEF.changed(checkpoint_steps=2, optimizer={"ema": 0.9, "clip_norm": 1.0})  # 6 steps an epoch
    whole = training.fit(lenet(dropout=0.3), small_digits, recipe, verbose=False)
    save = RunDirectory.save_checkpoint

    def save_and_stop(self, model, network, history, **options):
        save(self, model, network, history, **options)
        if (len(history), history.step) == (1, 4):
            raise KeyboardInterrupt

    monkeypatch.setattr(RunDirectory, "save_checkpoint", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        training.fit(lenet(dropout=0.3), small_digits, recipe, run_dir=tmp_path, verbose=False)
    monkeypatch.undo()
    recorded = training.Recipe.load(tmp_path / "recipe.yaml")
    resumed = training.fit(lenet(1, dropout=0.3), small_digits, recorded, run_dir=tmp_path, resume=True, verbose=False)
    assert resumed.history == whole.history
    assert equal(resumed.model, whole.model)


def test_heads_neither_depend_on_global_random_numbers_nor_change_them(small_digits):
    models = [lenet(), lenet()]
    for seed, model in enumerate(models):
        random.seed(seed)
        training.fit(model, small_digits, BRIEF, verbose=False)
        assert random.random() == random.Random(seed).random()
    assert equal(*models)


def test_order_of_images_is_that_without_heads(small_digits):
    class Watch(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.losses = []

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

    watches = Watch(), Watch()
    for recipe, watch in zip((PLAIN, BRIEF), watches, strict=True):
        still = recipe.changed(epochs=1, optimizer={"lr": 1e-30})
        training.fit(lenet(), small_digits, still, callbacks=[watch], verbose=False)
    assert watches[0].losses == watches[1].losses


def test_side_outputs_of_a_unet_are_scaled_to_its_size(masks):
    recipe = PLAIN.changed(auxiliary={"decoder1": 0.5, "stage3": 0.2}, loss=["cross_entropy", "dice"], epochs=1)
    model = unet()
    result = training.fit(model, masks, recipe, verbose=False)
    assert np.isfinite([result.history[0][name] for name in ("decoder1_loss", "val_stage3_loss")]).all()
    assert model.count_params() == unet().count_params()


def test_side_outputs_of_a_unet_for_signals_are_scaled_too():
    signals = np.random.default_rng(0).uniform(-1, 1, (40, 32, 1)).astype("float32")
    data = training.from_signals(signals, (signals[..., 0] > 0).astype("int32"), task="segmentation")
    model = zoo.create_model("unet_same", widths=(4, 8), input_shape=(32, 1), classes=2, head="segmentation")
    recipe = PLAIN.changed(auxiliary={"stage2": 0.5}, epochs=1)
    assert "stage2_loss" in training.fit(model, data, recipe, verbose=False).history[0]


@pytest.mark.parametrize("changes", [{"precision": "mixed_bfloat16"}, {"data": {"class_weights": "inverse"}}], ids=str)
def test_heads_go_with_other_settings(small_digits, changes):
    model = lenet()
    result = training.fit(model, small_digits, BRIEF.changed(**changes), verbose=False)
    assert result.history[-1]["stage1_loss"] < result.history[0]["stage1_loss"]
    assert all(layer.dtype_policy.name == "float32" for layer in model.layers)


def test_pruned_net_has_the_sparsity_that_was_asked_for(small_digits):
    result = training.prune(lenet(), small_digits, BRIEF, sparsity=0.5, verbose=False)
    assert result.metrics["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert "stage1_loss" in result.history[0]


def test_layers_of_any_model_are_named_and_callbacks_predict_its_output(small_digits):
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(image)
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.MaxPooling2D(2)(x))
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)), name="own")
    shapes = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            shapes.append(self.model.predict(np.zeros((2, 16, 16, 1)), verbose=0).shape)

    recipe = PLAIN.changed(auxiliary={"first": 0.1})
    told = {"pixels": "0..1", "from_logits": True, "task": "classification"}
    result = training.fit(model, small_digits, recipe, callbacks=[Watch()], verbose=False, **told)
    assert shapes == [(2, 10)] * 2
    assert "first_loss" in result.history[0]


def test_learning_rates_are_searched_with_the_heads(small_digits):
    model = lenet()
    search = training.find_learning_rate(model, small_digits, BRIEF)
    assert 1e-6 < search.suggestion < 10
    assert equal(model, lenet())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"stage1": 0}, r"auxiliary\.stage1: must be greater than 0 \(got 0\)"),
        ({"stage1": -0.3}, r"auxiliary\.stage1: must be greater than 0"),
        ({"stage1": float("nan")}, r"auxiliary\.stage1: must be .*"),
        ({"stage1": float("inf")}, r"auxiliary\.stage1: must be a finite number"),
        ({"stage1": True}, r"auxiliary\.stage1: must be a valid number \(got True\)"),
        ({"stage1": "much"}, r"auxiliary\.stage1: must be a valid number"),
        (["stage1"], r"auxiliary: must be a valid dictionary"),
    ],
)
def test_weights_that_are_no_positive_numbers_are_refused(weights, message):
    with pytest.raises(zoo.InputError, match=message):
        training.Recipe(auxiliary=weights)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("stage9", "unknown endpoint of lenet5 in auxiliary 'stage9': did you mean stage2 or stage1?"),
        ("block", "unknown endpoint of lenet5 in auxiliary 'block': there are stage1, stage2"),
        ("pixels", "a head at pixels of lenet5 would train nothing.*there are stage1, stage2"),
        ("head", "a head at head of lenet5 would train nothing, or the same as its own head"),
    ],
)
def test_endpoints_without_layers_around_are_refused(small_digits, tmp_path, endpoint, message):
    recipe = PLAIN.changed(auxiliary={endpoint: 0.3})
    with pytest.raises(zoo.InputError, match=message):
        training.fit(lenet(), small_digits, recipe, run_dir=tmp_path / "run", verbose=False)


def test_other_tasks_and_several_outputs_are_refused(small_digits):
    several = lenet(head={"a": "classification", "b": "classification"}, classes={"a": 10, "b": 10})
    images, classes = small_digits.train.arrays()
    data = training.from_arrays(images, {"a": classes, "b": classes}, task=dict.fromkeys("ab", "classification"))
    with pytest.raises(zoo.InputError, match="lenet5 has the outputs a, b; auxiliary heads are for models with one"):
        training.fit(several, data, BRIEF, verbose=False)
    with pytest.raises(zoo.InputError, match=r"lenet5 is an embedding; auxiliary heads are for classification, .*segm"):
        training.fit(lenet(head="embedding", embedding_size=8), small_digits, BRIEF, verbose=False)


def test_features_that_are_no_map_are_refused(small_digits):
    image = keras.Input((16, 16, 1))
    x = keras.layers.Dense(4, activation="relu", name="rows")(keras.layers.Reshape((16, 16))(image / 255))
    x = keras.layers.Dense(4, activation="relu")(keras.layers.Flatten()(x))
    model = keras.Model(image, layers.ClassificationHead(10)(x), name="rows_net")
    with pytest.raises(zoo.InputError, match=r"features at rows of rows_net are \(16, 4\), neither a map nor a vector"):
        training.fit(model, small_digits, PLAIN.changed(auxiliary={"rows": 0.3}), verbose=False)


def test_valid_convolutions_are_refused_for_maps(masks):
    image = keras.Input((18, 18, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(image / 255)
    x = keras.layers.Conv2DTranspose(4, 3, activation="relu")(x)
    model = keras.Model(image, layers.SegmentationHead(3)(x), name="cropping")
    with pytest.raises(
        zoo.InputError, match="convolutions of cropping are not padded, so a map at first shows another"
    ):
        training.fit(model, masks, PLAIN.changed(auxiliary={"first": 0.3}), verbose=False)


def test_verbs_with_losses_or_layers_of_their_own_refuse(small_digits):
    with pytest.raises(zoo.InputError, match="but distill has a loss of its own; leave it out"):
        training.distill(lenet(), lenet(1), small_digits, BRIEF, verbose=False)
    with pytest.raises(zoo.InputError, match="training for integers rewrites the layers that auxiliary heads are on"):
        training.quantize_aware(lenet(), small_digits, BRIEF, verbose=False)
    with pytest.raises(zoo.InputError, match="auxiliary heads are for `fit`: in fine-tuning, each phase would begin"):
        training.FineTuneRecipe(auxiliary={"stage1": 0.3})
