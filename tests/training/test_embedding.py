"""Embeddings from training to an artifact."""

import keras
import numpy as np
import pytest

from pocketzoo import export, training, zoo
from pocketzoo.export.conversion.export_graph import model_metadata
from pocketzoo.export.sample_images import evaluation_samples
from pocketzoo.export.tflite_schema.nodes import count_tflite_operators
from pocketzoo.training.data.accepted_data import for_tasks, tasks_wanted_by
from pocketzoo.training.data.class_batches import images_per_class
from pocketzoo.training.engine.class_centers import center_on_images
from pocketzoo.training.engine.embedding_losses import ClassCenters


@pytest.fixture(scope="module")
def few(digits):
    """Sixteen images of each of four digits to train on, eight to validate and eight to test."""

    def part(start, count):
        rows = [np.flatnonzero(digits.train.labels == label)[start : start + count] for label in range(4)]
        return digits.train.images.take(np.concatenate(rows)), digits.train.labels[np.concatenate(rows)]

    return training.from_arrays(*part(0, 16), validation=part(16, 8), test=part(24, 8))


def recipe(**fields):
    defaults = {"epochs": 2, "batch_size": 16, "augmentation": "none", "schedule": "constant"}
    return training.Recipe(**defaults | fields)


def model(**arguments):
    keras.utils.set_random_seed(1)
    return zoo.create_model("lenet5", head="embedding", input_shape=(32, 32, 1), **{"embedding_size": 4} | arguments)


@pytest.fixture(scope="module")
def trained(few):
    made = model()
    training.fit(made, few, recipe(), verbose=False)
    return made


def test_data_of_a_classification_trains_and_evaluates_an_embedding(trained, few):
    assert few.task == "classification"
    evaluation = training.evaluate(trained, few)
    assert evaluation.recall_at_1 > 0.8
    assert list(evaluation.per_class) == list(few.labels)
    assert training.evaluate(trained, few.test).recall_at_1 == evaluation.recall_at_1
    np.testing.assert_allclose(np.linalg.norm(trained(few.test.arrays()[0]), axis=1), 1, rtol=1e-5)
    assert trained.get_layer("head").labels is None


def test_class_that_no_image_of_training_has_is_evaluated(trained, few, digits):
    rows = np.flatnonzero(np.isin(digits.test.labels, (7, 9)))
    held_out = digits.test.at(rows)
    evaluation = training.evaluate(trained, held_out)
    assert evaluation.per_class["7"]["support"] + evaluation.per_class["9"]["support"] == len(rows)


def test_embedding_beside_another_output_takes_any_number_of_classes(few):
    images, labels = few.train.arrays()
    targets = {"id": labels + 5, "kind": labels % 2}
    made = zoo.create_model(
        "lenet5",
        head={"id": "embedding", "kind": "classification"},
        classes={"kind": 2},
        embedding_size={"id": 3},
        input_shape=(32, 32, 1),
    )
    samples = evaluation_samples((images, targets), model_metadata(made))
    np.testing.assert_array_equal(samples.labels["id"], labels + 5)
    tasks = {"id": "classification", "kind": "classification"}
    split = for_tasks(training.ImageSplit(few.train.images, targets, task=tasks), tasks_wanted_by(made))
    assert split.task == {"id": "embedding", "kind": "classification"}
    assert images_per_class(split, recipe()) == 4


class StopAtEpoch(keras.callbacks.Callback):
    """Interrupts a run at the beginning of an epoch, by its index."""

    at: int | None = None

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise KeyboardInterrupt


def test_centers_of_arcface_are_resumed_with_the_run_but_are_no_part_of_the_model(tmp_path, few, monkeypatch):
    loss = recipe(loss={"name": "arcface", "margin": 0.2})

    def fit(folder, **arguments):
        made = model()
        training.fit(made, few, loss, run_dir=tmp_path / folder, callbacks=[StopAtEpoch()], verbose=False, **arguments)
        return made

    whole = fit("whole")
    monkeypatch.setattr(StopAtEpoch, "at", 1)
    with pytest.raises(KeyboardInterrupt):
        fit("parts")
    monkeypatch.setattr(StopAtEpoch, "at", None)
    resumed = fit("parts", resume=True)
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    saved = zoo.load_model(tmp_path / "whole" / "best.keras")
    assert saved.count_params() == model().count_params()


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        ([2] * 16, {}, "all images of train are of class 'c'; an embedding takes 2 or more"),
        ([0] * 8 + [1] * 7 + [2], {}, "class 'c' has one image in train; an embedding takes 2 or more of each class"),
        ([0] * 8 + [1] * 8, {"loss": "arcface"}, "class 'c' has images in validation but none in train, so loss"),
        ([0] * 8 + [1] * 8, {"loss": "cross_entropy"}, "loss 'cross_entropy' does not fit lenet5, an embedding"),
        ([0] * 8 + [1] * 8, {"augmentation": "mixup"}, "mix"),
        ([0] * 8 + [1] * 8, {"batch_size": 17}, "batch_size is 17"),
    ],
)
def test_data_that_cannot_train_an_embedding_says_why(few, labels, changes, message):
    images = training.ImageSplit(few.train.images, few.train.labels).at(np.arange(16)).images
    train = training.ImageSplit(images, np.array(labels, "int32"))
    other = few.test.at(np.arange(8, 24))
    data = training.ImageData("photos", ("a", "b", "c", "d"), train, other, other)
    changes = {"loss": {"name": changes["loss"]}} if "loss" in changes else changes
    with pytest.raises(zoo.InputError, match=message):
        training.fit(model(), data, recipe(**changes), verbose=False)


def test_weights_of_an_embedding_are_loaded_with_its_size(tmp_path, trained, few):
    trained.save(tmp_path / "own.keras")
    again = zoo.create_model("lenet5", weights=tmp_path / "own.keras", input_shape=(32, 32, 1))
    images = few.test.arrays()[0]
    np.testing.assert_array_equal(again(images), trained(images))
    other = zoo.replace_head(trained, "embedding", embedding_size=3)
    assert other.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("size", "phases"),
    [pytest.param(4, ["head", "fine-tuning"], marks=pytest.mark.every_card), (None, ["fine-tuning"])],
)
def test_embedding_is_fine_tuned_its_head_first_where_that_has_weights(few, size, phases):
    fine = training.FineTuneRecipe(epochs=1, head_epochs=1, batch_size=16, augmentation="none")
    run = training.fine_tune(model(embedding_size=size), few, fine, verbose=False)
    assert [phase["name"] for phase in run.metrics["phases"]] == phases


def test_centers_of_arcface_are_those_of_the_embeddings_where_training_goes_on(few, trained):
    network = keras.Model(trained.input, trained.output)
    network.class_centers = [ClassCenters(5, 4)]
    before = network.class_centers[0].directions.numpy()
    center_on_images(network, few.train, recipe(data={"images_per_class": 4}))
    after, labels = network.class_centers[0].directions.numpy(), few.train.labels
    vectors = trained.predict(few.train.arrays()[0].astype("float32"), verbose=0)
    for label in range(4):
        mean = vectors[labels == label].mean(axis=0)
        assert after[label] @ mean / np.linalg.norm(mean) > 0.9
    np.testing.assert_array_equal(after[4], before[4])


def test_embedding_is_pruned_and_quantized(tmp_path, few, trained):
    thinner = training.prune_channels(trained, budget="macs:0.7").model
    assert thinner.output_shape == (None, 4)
    training.prune(thinner, few, recipe(epochs=1), verbose=False)
    quantized = training.quantize_aware(thinner, few, recipe(epochs=1), verbose=False).model
    assert training.evaluate(quantized, few).recall_at_1 > 0.5
    np.testing.assert_allclose(np.linalg.norm(quantized(few.test.arrays()[0]), axis=1), 1, atol=0.02)
    export.export_model(quantized, tmp_path / "out", targets="edge-mcu", evaluation=few.test)
    file = next((tmp_path / "out").glob("*-int8.tflite"))
    assert count_tflite_operators(file.read_bytes())["L2_NORMALIZATION v2"] == 1


@pytest.mark.parametrize("target", ["edge-mcu"])
def test_export_is_validated_by_its_recall(tmp_path, trained, few, target):
    images = {"evaluation": few.test, "calibration": few.train}
    manifest = export.export_model(trained, tmp_path / "out", targets=target, **images)
    gates = {gate.name: gate for artifact in manifest.artifacts for check in artifact.checks for gate in check.gates}
    assert gates["recall@1 drop"].status in ("passed", "skipped")
    file = next((tmp_path / "out").glob("*-int8.tflite"))
    assert count_tflite_operators(file.read_bytes())["L2_NORMALIZATION v2"] == 1
    artifact = export.load_artifact(file)
    assert training.evaluate(artifact, few).recall_at_1 == pytest.approx(
        training.evaluate(trained, few).recall_at_1, abs=0.1
    )
