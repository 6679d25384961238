"""What holds for every registered task."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest

from pocketzoo import layers, zoo
from pocketzoo.tasks import get_task, recognize_task, register_task, task_names
from pocketzoo.tasks.target_form import fits_shape
from pocketzoo.tasks.task import HeadConfig

pytestmark = pytest.mark.fast

LABELS = ("cat", "dog", "blank")
"""The last is none of the characters of a sequence."""
IMAGES, SIDES = 12, (4, 6)
TARGETS = {
    "classification": np.arange(IMAGES) % 3,
    "multi_label": np.eye(3)[np.arange(IMAGES) % 3],
    "regression": np.linspace(0, 1, 3 * IMAGES).reshape(IMAGES, 3),
    "image_to_image": np.linspace(0, 1, 24 * 3 * IMAGES).reshape(IMAGES, *SIDES, 3),
    "keypoints": np.concatenate(
        [np.linspace(0, 1, 6 * IMAGES).reshape(IMAGES, 3, 2), np.ones((IMAGES, 3, 1))], axis=-1
    ),
    "detection": np.stack(
        [
            np.array([[i / 24, (c + i % 2) / 5, i / 24 + 0.5, (c + 2) / 5, (c + i) % 3] for c in range(3)])
            for i in range(IMAGES)
        ]
    ),
    "counting": np.array(
        [[[(i + 0.5) / 12, (r + 0.5) / 4, i // (r + 1) % 3] for r in range(4)] for i in range(IMAGES)]
    ),
    "embedding": np.arange(IMAGES) % 3,
    "anomaly": np.where(np.arange(24).reshape(SIDES) < 9, (np.arange(IMAGES) % 3)[:, np.newaxis, np.newaxis], 0),
    "sequence": np.array([[0, 1], [1, 1], [0, -1], [1, 0]] * (IMAGES // 4)),
    "segmentation": (np.arange(24).reshape(SIDES) + np.arange(IMAGES)[:, np.newaxis, np.newaxis]) % 3,
}
"""Valid targets for three classes, labels or values. A new task with targets adds its own."""

TASKS = [get_task(name) for name in task_names()]
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
with_targets = pytest.mark.parametrize("task", [t for t in TASKS if t.has_targets], ids=lambda task: task.name)


def perfect_values(task):
    """Outputs without an error."""
    targets = TARGETS[task.name]
    if task.has_order:  # a column for each character and one for the blank after it
        paths = np.stack([np.where(targets < 0, 2, targets), np.full_like(targets, 2)], axis=-1)
        return np.eye(3)[paths.reshape(IMAGES, -1)]
    if task.name == "detection":
        return np.concatenate([targets[..., :4], np.eye(3)[targets[..., 4].astype(int)]], axis=-1)
    if task.name == "counting":
        density = np.zeros((IMAGES, *SIDES, 3))
        for row, index in np.argwhere(targets[..., 2] >= 0):
            x, y, kind = targets[row, index]
            density[row, int(y * SIDES[0]), int(x * SIDES[1]), int(kind)] += 1
        return density
    if task.name == "anomaly":
        return (targets != 0)[..., np.newaxis].astype("float64")
    return np.eye(3)[targets] if task.class_indices else targets


def outputs_for(task):
    """Outputs that are right for most images."""
    values, random = perfect_values(task), np.random.default_rng(0)
    noise = 0.02 if task.draws_over else 0.3  # a place is right only near the true one
    outputs = (noise / 3 + (1 - noise) * values + noise * random.random(values.shape)).astype("float32")
    return outputs / outputs.sum(axis=-1, keepdims=True) if task.class_indices and outputs.shape[-1] > 1 else outputs


def filled(task, outputs, *, batch=5):
    accumulator = task.accumulator(LABELS)
    targets = task.check_targets(TARGETS[task.name], "the targets", num_outputs=3)
    for start in range(0, IMAGES, batch):
        accumulator.add(targets[start : start + batch], outputs[start : start + batch])
    return accumulator


def test_import_takes_numpy_alone():
    """Prediction and evaluation of an artifact work without Keras."""
    statement = (
        "from pocketzoo import tasks\n"
        "every = [tasks.get_task(name) for name in tasks.task_names()]\n"
        "import sys\n"
        "found = {'keras', 'tensorflow', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", statement], check=True, cwd="/")


def test_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(zoo.InputError, match="unknown task 'clasification': did you mean classification"):
        get_task("clasification")


def test_name_is_registered_once():
    with pytest.raises(zoo.InputError, match="there is a task 'regression' already"):
        register_task(get_task("regression"))


@pytest.mark.parametrize("task", [task for task in TASKS if task.has_head], ids=lambda task: task.name)
def test_head_states_its_task(task):
    named = task.min_outputs is not None
    config = HeadConfig(3 if named else 0, LABELS if named else None)
    factor, crop = (1, (0, 0)) if task.has_colors else (2, (0, 1))
    head = task.make_head(config, "head", lambda: (factor, crop))
    assert isinstance(head, layers.Head)
    assert (head.TASK, head.name, tuple(head.labels or ())) == (task.name, "head", LABELS if named else ())
    output = head(keras.Input((2, 3, 8)))
    assert not task.covers_image or output.shape[1:-1] == (2 * factor, 3 * factor - crop[1])
    assert len(output.shape) == task.output_rank
    assert not named or task.count_named(output.shape[1:]) == 3


def test_each_head_layer_belongs_to_one_task():
    heads = [head for _, head in inspect.getmembers(layers, inspect.isclass) if hasattr(head, "TASK")]
    assert sorted(head.TASK for head in heads) == sorted(name for name in task_names() if get_task(name).has_head)


@pytest.mark.parametrize("task", [task for task in TASKS if task.draws_targets], ids=lambda task: task.name)
def test_targets_are_drawn_over_or_beside_images(task):
    images = np.full((IMAGES, *SIDES, 1), 128, "uint8")
    targets = task.check_targets(TARGETS[task.name], "the targets of train", num_outputs=3)
    drawn = task.draw_targets(images, targets, LABELS)
    assert (drawn.dtype, drawn.shape[:2], drawn.shape[-1]) == (np.uint8, images.shape[:2], 3)
    is_empty = ~targets.reshape(IMAGES, -1).any(axis=1)  # good images have no defect to draw
    assert ((drawn != 128).any(axis=(1, 2, 3)) | is_empty).all()


@with_targets
def test_validated_targets_have_the_form_of_training(task):
    found = task.check_targets(TARGETS[task.name], "the targets of train", num_outputs=3)
    assert found.dtype == task.target_dtype
    assert fits_shape(found.shape[1:], task.target_shape(3, SIDES))
    assert task.count_outputs(found) == 3
    np.testing.assert_allclose(found, TARGETS[task.name])


@with_targets
@pytest.mark.parametrize("wrong", [np.full((IMAGES, 2, 3, 3), "x"), np.zeros((IMAGES, 3, 3, 3, 3))])
def test_targets_of_another_form_are_refused(task, wrong):
    with pytest.raises(zoo.InputError, match=rf"the targets of train are .*{task.name} of 3 takes "):
        task.check_targets(wrong, "the targets of train", num_outputs=3)


@with_targets
def test_targets_out_of_range_are_refused(task):
    targets = TARGETS[task.name].astype("float64")
    wrong = targets + 9 if task.class_indices else np.where(targets == targets.max(), np.inf, targets)
    with pytest.raises(zoo.InputError, match="the targets of train have "):
        task.check_targets(wrong.astype(TARGETS[task.name].dtype), "the targets of train", num_outputs=3)


@with_targets
def test_targets_survive_a_record(task):
    if task.in_files:
        return
    for target in task.check_targets(TARGETS[task.name], "the targets"):
        values = task.encode(target)
        assert values.dtype in (np.int64, np.float32)
        np.testing.assert_array_equal(task.decode(values, 3), target)
        with pytest.raises(ValueError, match=r"^is \["):
            task.decode(values + np.float32(0.5) if values.dtype == np.int64 else values[:1], 3)


@with_targets
def test_classes_are_counted(task):
    if task.class_unit is None:
        return
    counts = task.class_counts(task.check_targets(TARGETS[task.name], "the targets"), 3)
    assert counts.tolist() == ([4, 4, 4] if task.class_unit == "images" else [96, 96, 96])


@pytest.mark.parametrize("name", ["detection", "counting"])
def test_objects_are_told_and_counted(name):
    task, targets = get_task(name), TARGETS[name]
    text = task.target_text(np.where(np.arange(len(targets[0]))[:, np.newaxis] < 2, targets[1], -1), LABELS)
    assert text == {"detection": "1 dog, 1 blank", "counting": "1 cat, 1 dog"}[name]
    assert task.target_text(np.full_like(targets[0], -1), LABELS) == "none"
    largest = [row["largest"] for row in task.value_statistics(targets, LABELS).values()]
    assert largest == {"detection": [1, 1, 1], "counting": [4, 3, 3]}[name]


@with_targets
def test_perfect_outputs_are_evaluated_as_such(task):
    accumulator = filled(task, perfect_values(task).astype("float32"))
    evaluation = accumulator.evaluation()
    assert evaluation.images == IMAGES
    assert evaluation.loss == pytest.approx(0, abs=1e-6)
    assert np.ptp(accumulator.errors()) == pytest.approx(0, abs=1e-6)
    perfect_score = {"PSNR": 100, "mean absolute error": 0}.get(task.metric, 1)
    assert accumulator.score == pytest.approx(perfect_score, abs=1e-6)
    assert accumulator.scores.mean() == pytest.approx(accumulator.score, abs=1e-6)


@with_targets
def test_batches_do_not_change_the_evaluation(task):
    outputs = outputs_for(task)
    one, many = filled(task, outputs, batch=IMAGES), filled(task, outputs, batch=5)
    assert one.evaluation().to_dict().keys() == many.evaluation().to_dict().keys()
    assert one.evaluation().loss == pytest.approx(many.evaluation().loss, rel=1e-12)
    for field in one.evaluation().SUMMARY.values():
        assert field == "loss" or getattr(one.evaluation(), field) == getattr(many.evaluation(), field)
    np.testing.assert_array_equal(one.errors(), many.errors())
    np.testing.assert_array_equal(one.scores, many.scores)


@with_targets
def test_evaluation_names_its_main_metric_and_its_interval(task):
    evaluation = filled(task, outputs_for(task)).evaluation()
    field = next(iter(evaluation.SUMMARY.values()))
    low, high = evaluation.intervals[field]
    assert low <= getattr(evaluation, field) <= high
    assert list(evaluation.details) == list(LABELS[:-1] if task.has_order else LABELS)


@with_targets
def test_outputs_for_other_images_lose_against_the_reference(task):
    reference = filled(task, outputs_for(task))
    assert reference.loss_against(reference) == 0
    others = np.argsort(np.arange(IMAGES) % 5, kind="stable")  # of other classes, which differ for those of one class
    worse = filled(task, outputs_for(task)[others])
    losses = worse.losses_against(reference)
    assert losses.shape == (IMAGES,)
    assert worse.loss_against(reference) > 0.1
    assert losses.mean() == pytest.approx(worse.loss_against(reference), rel=0.2)


@every_task
def test_equal_outputs_decide_the_same(task):
    if not task.has_targets:
        assert task.equal_decisions(np.ones((2, 3)), np.ones((2, 3))) is None
        return
    outputs = outputs_for(task)
    equal = task.equal_decisions(outputs, outputs)
    assert equal is None or (equal.all() and len(equal) == IMAGES and equal.ndim == 2)
    other = task.equal_decisions(outputs[..., ::-1] if outputs.shape[-1] > 1 else 1 - outputs, outputs)
    assert other is None or not other.all()


@with_targets
def test_predictions_are_rows_of_labels_and_numbers(task):
    if task.figure_name is None:
        return
    rows = task.predictions(outputs_for(task)[0], LABELS, None)
    assert {label for label, _ in rows} == set(LABELS) or task.has_order or not task.names_outputs  # texts, decisions
    assert all(isinstance(task.format_figure(figure), str) for _, figure in rows)
    names = ("probability", "share", "value", "mean", "score", "confidence", "count", "anomaly score")
    assert task.figure_name in names
    assert len(task.places(outputs_for(task)[0], LABELS, None)) == (len(rows) if task.has_places else 0)
    if task.figure_name in ("probability", "share", "confidence"):
        assert len(task.predictions(outputs_for(task)[0], LABELS, 1)) == 1


@with_targets
def test_examples_are_drawn(task):
    images = np.zeros((4, *SIDES, 1), "uint8")
    targets = task.check_targets(TARGETS[task.name], "the targets")[:4]
    figure = task.plot_examples(images, targets, outputs_for(task)[:4], LABELS, list("abcd"))
    assert [axes.get_title()[:1] for axes in figure.axes if axes.get_title()[:1] in "abcd"]


@with_targets
def test_loss_of_training_takes_targets_and_outputs(task):
    from pocketzoo.training.engine.objectives import objectives

    if not task.losses:
        return
    image = keras.Input((*SIDES, 1))
    features = keras.layers.Conv2D(4, 1)(image)
    head = task.make_head(HeadConfig(3), "head", lambda: (1, (0, 0)))
    model = keras.Model(image, head(features))
    targets = task.check_targets(TARGETS[task.name], "the targets", num_outputs=3)
    model.compile(**objectives(model))
    metrics = model.evaluate(np.zeros((IMAGES, *SIDES, 1)), targets, verbose=0, return_dict=True)
    assert np.isfinite(list(metrics.values())).all()
    assert [metric.name for metric in task.training_metrics(3)] == [name for name in metrics if name != "loss"]


@every_task
def test_names_in_artifacts_are_stated(task):
    assert task.output_name
    assert (task.metric is None) == (task.loss_name is None) == (not task.has_targets)
    assert task.threshold_field is None or task.threshold_field.isidentifier()


@pytest.mark.parametrize(
    ("shape", "activation", "name"),
    [
        ((None, 3), "softmax", "classification"),
        ((None, 1), "sigmoid", "multi_label"),
        ((None, 4), "sigmoid", "multi_label"),
        ((None, 1), None, "regression"),
        ((None, 8, 8, 2), "softmax", "segmentation"),
        ((None, 8, 8, 1), "sigmoid", "segmentation"),
        ((None, 8, 8, 3), "sigmoid", "raw"),
        ((None, 4), "linear", "regression"),
        ((None, 8, 4), None, "raw"),
    ],
)
def test_output_without_a_head_is_recognized_by_one_task(shape, activation, name):
    assert recognize_task(shape, activation) == name
    assert sum(get_task(other).recognizes(shape, activation) for other in task_names()) == 1


def test_mask_pictures_have_a_color_for_each_class(tmp_path):
    masks = np.eye(3, dtype="float32")[TARGETS["segmentation"][0]]
    picture = get_task("segmentation").picture(masks)
    np.testing.assert_array_equal(np.asarray(picture), TARGETS["segmentation"][0])
    assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) == 3
    with pytest.raises(zoo.InputError, match="there are 300 classes"):
        get_task("segmentation").picture(np.zeros((2, 2, 300)))
