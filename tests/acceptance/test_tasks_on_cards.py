"""Every task on every card that supports it: created, trained for a step, saved and exported. New ones are tested by
existing.

One card is tested by default, of a classifier or of maps; the others in `make test-all`.
"""

import keras
import numpy as np
import pytest
from support.cards import narrow_model, smallest_shape
from support.task_targets import IMAGES, example_targets

from pocketzoo import training, zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.comparison import validate_artifact
from pocketzoo.export.validation.reference import Reference
from pocketzoo.tasks import get_task, task_names
from pocketzoo.training.engine.objectives import objectives

OUTPUTS = 3
ROUNDING = 0.1
"""Mean error of outputs in integers over the largest output."""


def cases():
    for task in (name for name in task_names() if get_task(name).has_head):
        usual = "edsr_lite" if get_task(task).takes_map else "resnet20"
        for card in zoo.list_models():
            marks = [pytest.mark.xdist_group(f"tasks-{task}"), *([] if card == usual else [pytest.mark.every_card])]
            yield pytest.param(task, card, id=f"{task}-{card}", marks=marks)


def model_of(task_name, card):
    """The model; skips where the card cannot have the task, which only tasks of maps may refuse."""
    task = get_task(task_name)
    if task.made_by:
        return fitted(card)
    named = {"classes": OUTPUTS} if task.names_outputs else {"embedding_size": OUTPUTS}
    try:
        return narrow_model(card, head=task_name, **named)
    except zoo.InputError as error:
        if not task.takes_map:
            raise
        pytest.skip(str(error))


def fitted(card):
    """A detector of anomalies; skips where the card has no maps that cover the image."""
    shape = smallest_shape(card)
    images = np.random.default_rng(0).integers(0, 256, (3 * IMAGES, *shape), "uint8")
    data = training.from_arrays(images, np.zeros(len(images), int), task="anomaly")
    try:
        return training.fit_anomaly(narrow_model(card), data, channels=8).model
    except zoo.InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("task_name", "card"), list(cases()))
def test_model_is_created_trained_saved_and_exported(task_name, card, pixels, tmp_path):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model, task = model_of(task_name, card), get_task(task_name)
    images = pixels(IMAGES, *smallest_shape(card))
    if task.losses:
        model.compile(keras.optimizers.SGD(0.001), **objectives(model))
        before = [weight.numpy().copy() for weight in model.trainable_weights]
        loss = model.train_on_batch(np.float32(images), example_targets(task_name, model))
        assert np.isfinite(loss).all()
        after = [weight.numpy() for weight in model.trainable_weights]
        assert any((one != other).any() for one, other in zip(before, after, strict=True))
    outputs = model.predict(images, verbose=0)
    assert np.isfinite(outputs).all()
    zoo.save_model(model, tmp_path / "model.keras")
    loaded = zoo.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), outputs)
    _check_exports(loaded, images, outputs, task_name, tmp_path)


def _check_exports(model, images, outputs, task_name, folder):
    samples = Samples(images, None)
    reference = Reference(samples, "noise", outputs, task_name)
    formats = [FORMATS[name] for name in ("tflite-fp32", "onnx-fp32", "tflite-int8")]
    for file, kind in write_artifacts(ExportGraph.from_model(model), formats, samples, folder):
        artifact = load_artifact(file)
        if kind.rounding == "none":
            check = validate_artifact(file.name, "", artifact, kind, reference, timed=False)
            assert [gate.sentence for gate in check.gates if gate.status == "failed"] == []
        else:  # outputs of random weights differ less from image to image than integers round
            error = np.abs(artifact.run(images) - outputs).mean()
            assert error <= ROUNDING * np.abs(outputs).max()
