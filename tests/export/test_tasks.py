"""Export and validation of models for every task."""

import keras
import numpy as np
import pytest

from pocketzoo import export, training, zoo
from pocketzoo.export.conversion.export_graph import model_metadata
from pocketzoo.training.data.images import ArrayImages, ImageSplit

TASKS = {
    "classification": ["cat", "dog", "hen"],
    "multi_label": ["fur", "feathers", "scales"],
    "regression": ["weight", "height", "age"],
    "segmentation": ["road", "sky", "tree"],
    "embedding": None,
}
RIGHT = {
    "classification": lambda draw: draw.integers(0, 3, 12),
    "multi_label": lambda draw: draw.integers(0, 2, (12, 3)).astype("float32"),
    "regression": lambda draw: draw.normal(size=(12, 3)).astype("float32"),
    "segmentation": lambda draw: draw.integers(0, 3, (12, 32, 32), "int32"),
    "embedding": lambda draw: None,
}
FIGURES = {
    "multi_label": ("label accuracy", "accuracy"),
    "regression": ("mean absolute error", "mae"),
    "segmentation": ("mean IoU", "mean_iou"),
}
"""Metric of the manifest, and the field of the same metric in training's evaluation."""


@pytest.fixture(scope="module", params=TASKS)
def exported(request, pixels, tmp_path_factory):
    """A model for every task, exported with real evaluation images and read back."""
    keras.utils.set_random_seed(0)
    shallow = {"blocks": 1, "input_shape": (32, 32, 3)}  # deep untrained models are too ill-conditioned for fp16
    model = zoo.create_model("resnet20", head=request.param, labels=TASKS[request.param], **shallow)
    images = pixels(12, 32, 32, 3)
    evaluation = (images, RIGHT[request.param](np.random.default_rng(0)))
    manifest = export.export_model(
        model, tmp_path_factory.mktemp("tasks") / "bundle", targets=["gpu"], evaluation=evaluation
    )
    return request.param, model, manifest, images


def test_manifest_has_labels_and_task(exported):
    task, _, manifest, _ = exported
    assert manifest.model.task == task
    if TASKS[task]:
        assert list(manifest.model.labels) == TASKS[task]


def test_agreement_is_measured_where_outputs_are_classes(exported):
    task, _, manifest, _ = exported
    record = manifest.artifacts[0]
    assert (record.checks[0].agreement is None) == (task in ("regression", "embedding"))
    assert (record.checks[0].accuracy is None) == (task != "classification")


def test_metric_of_the_task_equals_that_of_training(exported):
    task, model, manifest, images = exported
    record = next(record for record in manifest.artifacts if record.format == "onnx-fp32")
    if task not in FIGURES:
        assert record.checks[0].facts == manifest.evaluation.keras_figures == {}
        return
    name, field = FIGURES[task]
    split = ImageSplit(ArrayImages(images.astype("uint8")), RIGHT[task](np.random.default_rng(0)))
    evaluation = training.evaluate(model, split)
    assert manifest.evaluation.keras_figures == {name: pytest.approx(getattr(evaluation, field), rel=1e-6)}
    assert record.checks[0].facts == {name: pytest.approx(getattr(evaluation, field), rel=1e-3)}


def test_outputs_of_other_tasks_are_not_shown_as_classes(exported, tmp_path):
    task, model, _, images = exported
    export.export_model(model, tmp_path / "bundle", targets=["gpu"])
    artifact = export.load_artifact(tmp_path / "bundle" / "resnet20-fp32.onnx")
    prediction = export.predict(artifact, images[:2])
    assert prediction.task == task
    if task in ("classification", "multi_label"):
        assert prediction.top(1)[0][0][0] in TASKS[task]
    else:
        with pytest.raises(zoo.InputError, match=f"the outputs of an? {task} are not classes of an image"):
            prediction.top(1)


def test_a_named_output_keeps_its_name_even_if_there_is_one(tmp_path):
    model = zoo.create_model("lenet5", head={"digit": "classification"}, input_shape=(32, 32, 1))
    manifest = export.export_model(model, tmp_path / "bundle", targets=["openvino"])
    assert list(manifest.artifacts[0].output) == ["digit"]


@pytest.mark.parametrize(
    ("last", "task"),
    [
        ([keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")], "classification"),
        ([keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")], "multi_label"),
        ([keras.layers.Flatten(), keras.layers.Dense(1)], "regression"),
        ([keras.layers.Conv2D(2, 1, activation="softmax")], "segmentation"),
    ],
)
def test_task_of_a_foreign_model_is_inferred_from_its_output(last, task):
    """A single number is not a classification of one class, on which every artifact agrees."""
    metadata = model_metadata(keras.Sequential([keras.Input((4, 4, 1)), *last]))
    assert metadata.task == task
    assert len(metadata.labels) == last[-1].output.shape[-1]
