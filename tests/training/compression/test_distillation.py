from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, log_softmax, softmax

from pocketzoo import layers, training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.training.compression.distillation import ATTENTION_WEIGHT, attention_distance, distillation_loss
from pocketzoo.training.engine.callbacks.run_recorder import RunRecorder

BRIEF = training.Recipe(epochs=2, batch_size=40, augmentation="none")


def lenet(seed: int, **arguments) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return zoo.create_model("lenet5", input_shape=(16, 16, 1), **arguments)


def normed(seed: int) -> keras.Model:
    """A smaller net with a BatchNorm and dropout, and one of the endpoints of LeNet-5."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((16, 16, 1))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 5, activation="relu")(image / 255))
    x = keras.layers.AveragePooling2D(2, name="stage1_pool")(x)
    return keras.Model(image, layers.ClassificationHead(10, dropout=0.2)(x), name="lenet5")


def confident(model: keras.Model) -> keras.Model:
    """Scale the weights, so that the probabilities are far from uniform."""
    for kernel in model.trainable_variables:
        kernel.assign(4 * kernel)
    return model


def equal(first: keras.Model, second: keras.Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


@given(arrays("float32", (3, 5), elements=st.floats(-15, 15, width=32)), st.floats(1, 20))
@settings(max_examples=30, deadline=None)
def test_logits_of_probabilities_soften_as_those_of_the_head_do(logits, temperature):
    found = keras.ops.convert_to_numpy(get_task("classification").distillation_logits(softmax(logits, axis=-1)))
    np.testing.assert_allclose(softmax(found / temperature, axis=-1), softmax(logits / temperature, axis=-1), atol=1e-5)
    labels = np.clip(logits, -10, 10)
    found = keras.ops.convert_to_numpy(get_task("multi_label").distillation_logits(expit(labels)))
    softened = softmax(found / temperature, axis=-1)[..., 0]
    np.testing.assert_allclose(softened, expit(labels / temperature), atol=2e-3)


def test_loss_of_classes_is_kl_divergence_times_squared_temperature(pixels):
    teacher, student = confident(lenet(0)), confident(lenet(1))
    images = pixels(6, 16, 16, 1)
    targets, outputs = (keras.ops.convert_to_numpy(model(images)) for model in (teacher, student))
    loss = distillation_loss(teacher, [], "classification", 3.0)(images, student(images), [])
    p, q = (log_softmax(np.log(probabilities) / 3, axis=-1) for probabilities in (targets, outputs))
    assert float(loss) == pytest.approx(9 * np.mean(np.sum(np.exp(p) * (p - q), axis=-1)), rel=1e-3)


def test_loss_of_labels_is_that_of_each_label_present_or_absent(pixels):
    teacher, student = (lenet(seed, head="multi_label", classes=3) for seed in (0, 1))
    images = pixels(6, 16, 16, 1)
    p, q = (keras.ops.convert_to_numpy(model(images)) for model in (teacher, student))
    loss = distillation_loss(teacher, [], "multi_label", 1.0)(images, student(images), [])
    assert float(loss) == pytest.approx(np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))), rel=1e-3)


def test_loss_of_several_outputs_is_the_sum_with_squared_error_for_regression(pixels):
    heads = {"parity": "classification", "ink": "regression"}
    teacher, student = (lenet(seed, head=heads, classes={"parity": 2, "ink": 1}) for seed in (0, 1))
    images = pixels(6, 16, 16, 1)
    targets, outputs = teacher(images), student(images)
    loss = distillation_loss(teacher, [], heads, 4.0)
    whole = float(loss(images, outputs, []))
    only_classes = float(loss(images, {**outputs, "ink": targets["ink"]}, []))
    squared = np.mean((keras.ops.convert_to_numpy(targets["ink"]) - keras.ops.convert_to_numpy(outputs["ink"])) ** 2)
    assert only_classes > 0
    assert whole - only_classes == pytest.approx(squared, rel=1e-3)


def test_loss_of_segmentation_is_that_of_every_pixel(pixels):
    image = keras.Input((8, 8, 1))
    teacher, student = (keras.Model(image, layers.SegmentationHead(3)(image / 255)) for _ in range(2))
    images = pixels(2, 8, 8, 1)
    p, q = (keras.ops.convert_to_numpy(model(images)) for model in (teacher, student))
    loss = distillation_loss(teacher, [], "segmentation", 1.0)(images, student(images), [])
    assert float(loss) == pytest.approx(np.mean(np.sum(p * np.log(p / q), axis=-1)), rel=1e-2)


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_attention_distance_ignores_channels(channels, others, scale):
    energy = np.zeros((2, 4, 4, 1), "float32")
    energy[:, 1, 2] = scale
    shifted = np.roll(energy, 1, axis=1)
    same = attention_distance(np.repeat(energy, channels, -1), np.repeat(energy / scale, others, -1))
    different = attention_distance(np.repeat(energy, channels, -1), np.repeat(shifted, others, -1))
    np.testing.assert_allclose(same, 0, atol=1e-5)
    np.testing.assert_allclose(different, ATTENTION_WEIGHT * 2 / 16, rtol=1e-5)


def test_without_weight_result_equals_fit_bit_for_bit(small_digits):
    # Including BatchNorm statistics, as the student runs once for its outputs and its feature maps.
    distilled, alone = normed(1), normed(1)
    result = training.distill(distilled, normed(0), small_digits, BRIEF, weight=0.0, features=["stage1"], verbose=False)
    expected = training.fit(alone, small_digits, BRIEF, verbose=False)
    assert equal(distilled, alone)
    assert [epoch["val_loss"] for epoch in result.history] == [epoch["val_loss"] for epoch in expected.history]


def test_student_learns_from_the_teacher_where_labels_are_shuffled(few_digits, trained):
    images, labels = few_digits.train.arrays()
    shuffled = np.random.default_rng(0).permutation(labels)
    data = replace(few_digits, train=replace(few_digits.train, labels=shuffled))
    keras.utils.set_random_seed(0)
    student = zoo.create_model("lenet5", labels=few_digits.labels)
    recipe = training.Recipe(epochs=10, batch_size=20, optimizer={"lr": 5e-3}, augmentation="none")
    training.distill(student, trained, data, recipe, weight=1.0, verbose=False)
    own, targets = (model.predict(images, verbose=0).argmax(axis=-1) for model in (student, trained))
    assert np.mean(own == targets) > 0.8


def test_attention_maps_approach_the_teachers(small_digits):
    teacher = confident(lenet(0))
    images, _ = small_digits.train.arrays()

    def distance(student):
        maps = (zoo.feature_extractor(model, ["stage1"]).predict(images, verbose=0) for model in (student, teacher))
        return float(np.mean(attention_distance(*(features["stage1"] for features in maps))))

    guided, alone = lenet(1), lenet(1)
    recipe = BRIEF.changed(epochs=4, optimizer={"lr": 5e-3})
    training.distill(guided, teacher, small_digits, recipe, features={"stage1": "stage1"}, verbose=False)
    training.distill(alone, teacher, small_digits, recipe, verbose=False)
    assert distance(guided) < 0.8 * distance(alone)


def test_teacher_is_not_changed_and_student_stays_a_plain_model(small_digits, tmp_path):
    teacher, student = normed(0), lenet(1, dropout=0.2)
    weights, types = teacher.get_weights(), [type(layer) for layer in student.layers]
    training.distill(student, teacher, small_digits, BRIEF, run_dir=tmp_path, verbose=False)
    assert all(np.array_equal(a, b) for a, b in zip(weights, teacher.get_weights(), strict=True))
    assert teacher.trainable
    assert [type(layer) for layer in student.layers] == types
    assert not student.compiled
    assert equal(zoo.load_model(tmp_path / "best.keras"), student)
    kept = []
    with h5py.File(max(tmp_path.glob("checkpoint-*")) / "state.weights.h5") as file:
        file.visititems(lambda name, item: kept.append(name) if isinstance(item, h5py.Dataset) else None)
    assert sum("optimizer" not in name for name in kept) == len(student.weights)


class StoppedHereError(Exception):
    pass


def test_interrupted_run_resumes_to_the_same_weights(small_digits, tmp_path, monkeypatch):
    teacher, options = lenet(0), {"features": "stage1", "temperature": 2.0, "verbose": False}
    recipe = BRIEF.changed(epochs=3, optimizer={"ema": 0.9})
    whole = training.distill(lenet(1, dropout=0.3), teacher, small_digits, recipe, **options)
    keep = RunRecorder.on_epoch_end

    def stop_after_one(self, epoch, logs=None):
        keep(self, epoch, logs)
        raise StoppedHereError

    monkeypatch.setattr(RunRecorder, "on_epoch_end", stop_after_one)
    with pytest.raises(StoppedHereError):
        training.distill(lenet(1, dropout=0.3), teacher, small_digits, recipe, run_dir=tmp_path, **options)
    monkeypatch.setattr(RunRecorder, "on_epoch_end", keep)
    with pytest.raises(zoo.InputError, match=r"belongs to another run: teacher was 'lenet5 \w+', is 'lenet5"):
        training.distill(
            lenet(1, dropout=0.3), lenet(2), small_digits, recipe, run_dir=tmp_path, resume=True, **options
        )
    resumed = training.distill(
        lenet(1, dropout=0.3), teacher, small_digits, recipe, run_dir=tmp_path, resume=True, **options
    )
    assert resumed.history == whole.history
    assert equal(resumed.model, whole.model)


MIXED = {"steps_per_execution": 3, "augmentation": [{"name": "mixup"}], "monitor": True}


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "mixed_float16", "optimizer": {"accumulate": 3}, "data": {"class_weights": "inverse"}},
        MIXED,
        pytest.param(MIXED | {"xla": True}, marks=pytest.mark.every_card),
    ],
    ids=["float16", "mixup", "xla"],
)
def test_students_train_according_to_the_recipe(small_digits, changes):
    student = lenet(1)
    before = student.get_weights()
    result = training.distill(student, lenet(0), small_digits, BRIEF.changed(epochs=1, **changes), verbose=False)
    assert np.isfinite(result.metrics["loss"])
    assert student.layers[2].dtype_policy.name == "float32"
    assert any(not np.array_equal(a, b) for a, b in zip(before, student.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0}, "temperature is 0; it must be a number above 0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"weight": 1.5}, "weight is 1.5; it must be 0 to 1"),
        ({"features": ["stage5"]}, "unknown endpoint of lenet5 'stage5': did you mean stage"),
        ({"features": {"stage1": "stage2"}}, r"the student's stage1 is \(6, 6, 6\), the teacher's stage2 \(1, 1, 16\)"),
    ],
)
def test_arguments_out_of_range_say_what_is_allowed(small_digits, arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        training.distill(lenet(1), lenet(0), small_digits, BRIEF, verbose=False, **arguments)


def test_teachers_that_do_not_match_are_rejected(small_digits):
    student = lenet(1)
    with pytest.raises(zoo.InputError, match="teacher and student share weights"):
        training.distill(student, zoo.flatten_model(student), small_digits, BRIEF, verbose=False)
    with pytest.raises(zoo.InputError, match="the teacher: lenet5 has 3 classes, but digits has 10"):
        training.distill(student, lenet(0, classes=3), small_digits, BRIEF, verbose=False)
    with pytest.raises(zoo.InputError, match="recipe is a FineTuneRecipe; distill requires a Recipe"):
        training.distill(student, lenet(0), small_digits, training.FineTuneRecipe(), verbose=False)
