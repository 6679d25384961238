"""What a small number of images can show."""

import numpy as np
import pytest
from support.answers import Answers, gate, of_task

from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.comparison import validate_artifact
from pocketzoo.export.validation.reference import Reference
from pocketzoo.export.validation.sample_size import measure_margins
from pocketzoo.tasks import get_task

pytestmark = pytest.mark.fast


def few(reference, images):
    return Reference(Samples(reference.samples.images[:images], None), "calibration images", reference.outputs[:images])


def test_few_images_that_all_agree_prove_nothing_about_a_quantized_artifact(reference):
    outputs, kind = reference.outputs, FORMATS["tflite-int8"]
    agreement = gate(outputs[:20], few(reference, 20), kind, "agreement")
    assert (agreement.status, agreement.figure) == ("skipped", 1.0)
    assert agreement.reason == ("20 images are too few to show 0.98: all agree, 95 % interval 0.83 to 1; give 50")
    assert gate(outputs[:49], few(reference, 49), kind, "agreement").status == "skipped"
    assert gate(outputs[:50], few(reference, 50), kind, "agreement").status == "passed"
    # A float artifact is the same function: a single image that differs shows an error.
    assert gate(outputs[:20], few(reference, 20), FORMATS["tflite-fp32"], "agreement").status == "passed"


def test_few_images_are_enough_where_too_many_differ(reference):
    kind = FORMATS["tflite-int8"]
    for differing, status in ((1, "skipped"), (6, "failed")):
        outputs = reference.outputs[:20].copy()
        outputs[:differing] = outputs[:differing, ::-1]
        assert gate(outputs, few(reference, 20), kind, "agreement").status == status


@pytest.mark.parametrize(
    ("images", "lost", "won", "status"),
    [(20, 0, 0, "skipped"), (20, 1, 0, "skipped"), (20, 6, 0, "failed"), (99, 1, 1, "skipped"), (100, 1, 1, "passed")],
)
def test_few_images_show_nothing_about_a_loss_of_accuracy(reference, images, lost, won, status):
    few = Reference(
        Samples(reference.samples.images[:images], reference.samples.labels[:images].copy()),
        "evaluation images",
        reference.outputs[:images].copy(),
    )
    outputs = few.outputs.copy()
    outputs[:lost] = outputs[:lost, ::-1]
    few.outputs[images - won :] = few.outputs[images - won :, ::-1]
    drop = gate(outputs, few, FORMATS["tflite-int8"], "accuracy drop")
    assert (drop.status, drop.figure) == (status, pytest.approx((lost - won) / images))
    if status == "skipped":
        assert f"{images} images are too few to show 0.01: {lost} are lost and {won} won, 95 %" in drop.reason
        assert drop.reason.endswith("give 100")


def test_few_maps_suffice_if_each_meets_the_threshold(random):
    labels = random.integers(0, 3, (20, 8, 8))
    sure = np.eye(3, dtype="float32")[labels]
    reference, kind = of_task("segmentation", sure, labels), FORMATS["tflite-int8"]
    one, some, many = sure.copy(), sure.copy(), sure.copy()
    one[:, 0, 0], one[::2, 0, 0] = np.roll(sure[:, 0, 0], 1, axis=-1), sure[::2, 0, 0]  # one pixel in every other map
    some[0, :2] = np.roll(sure[0, :2], 1, axis=-1)
    many[:10, :2] = np.roll(sure[:10, :2], 1, axis=-1)
    statuses = [gate(outputs, reference, kind, "agreement").status for outputs in (sure, one, some, many)]
    assert statuses == ["passed", "passed", "skipped", "failed"]
    agreement = gate(some, reference, kind, "agreement")
    assert agreement.reason.startswith(
        "20 images are too few to show 0.98: 0.988 on average, 95 % interval 0.961 to 1.0"
    )
    assert agreement.reason.endswith("give 50")
    assert gate(some, reference, FORMATS["onnx-fp32"], "agreement").status == "failed"


@pytest.mark.parametrize(
    ("flipped", "status"), [(0, "passed"), (1, "skipped"), (2, "skipped"), (3, "failed"), (40, "failed")]
)
def test_one_prediction_of_a_few_hundred_may_differ_in_float16(random, flipped, status):
    outputs = random.dirichlet(np.ones(4), size=360).astype("float32")
    reference = of_task("classification", outputs, None)
    changed = outputs + np.float32(1e-6) * np.array([1, -1, 1, -1], "float32")
    changed[:flipped] = changed[:flipped, ::-1]
    agreement = gate(changed, reference, FORMATS["onnx-fp16"], "agreement")
    assert (agreement.status, agreement.figure) == (status, pytest.approx(1 - flipped / 360))
    assert gate(changed, reference, FORMATS["onnx-fp32"], "agreement").status == ("failed" if flipped else "passed")


def test_margins_show_with_few_images_what_shares_cannot(random):
    """43 images are the test split of 200 photographs."""
    outputs, kind = random.dirichlet(np.ones(4), size=43).astype("float32"), FORMATS["tflite-int8"]
    labels = outputs.argmax(-1)
    reference = of_task("classification", outputs, labels)
    rounded = outputs + random.normal(0, 1e-4, outputs.shape)
    assert gate(rounded, reference, kind, "agreement").status == "skipped"
    margins = gate(rounded, reference, kind, "agreement by margins")
    assert (margins.status, margins.bar) == ("passed", 0.98)
    assert margins.figure == pytest.approx(0.98355, abs=1e-4)
    assert margins.reason == "with 5 times the errors no image would be decided otherwise"
    drop = gate(rounded, reference, kind, "accuracy drop by margins")
    assert (drop.status, drop.bar, drop.reason[:12]) == ("passed", 0.01, "with 9 times")


def test_errors_near_the_margins_are_reported_and_prove_nothing(random):
    outputs, kind = random.dirichlet(np.ones(4), size=43).astype("float32"), FORMATS["tflite-int8"]
    lead = np.sort(outputs, axis=-1)[:, -1] - np.sort(outputs, axis=-1)[:, -2]
    coarse = outputs.copy()
    coarse[lead.argmin(), outputs[lead.argmin()].argmax()] -= lead.min() / 2  # still the most probable class
    margins = gate(coarse, of_task("classification", outputs, None), kind, "agreement by margins")
    assert (margins.status, margins.reason) == (
        "skipped",
        "with 5 times the errors 1 of 43 images would be decided otherwise",
    )
    assert margins.figure == pytest.approx(1 - 0.12288 / 5, abs=1e-4)


def test_margins_are_not_measured_where_shares_suffice_or_on_very_few_images(random):
    for images in (9, 60):
        outputs = random.dirichlet(np.ones(4), size=images).astype("float32")
        check = validate_artifact(
            "made up", "1", Answers(outputs), FORMATS["tflite-int8"], of_task("classification", outputs, None)
        )
        assert [gate.name for gate in check.gates if "margins" in gate.name] == []


@pytest.mark.parametrize("images", [10, 20, 43])
@pytest.mark.parametrize("noise", ["equal", "growing"])
def test_margins_seldom_pass_a_bad_artifact(random, images, noise):
    """It decides 4 % of the images otherwise, twice as many as allowed; with few images none of them may be seen."""
    draws, passed, agreeing = 400, 0, 0
    for _ in range(draws):
        logits = random.normal(0, 2, (images, 5))
        size = 0.11 if noise == "equal" else 0.055 * np.abs(logits).max(axis=-1, keepdims=True)
        outputs, changed = (
            np.exp(each) / np.exp(each).sum(axis=-1, keepdims=True)
            for each in (logits, logits + size * random.normal(size=logits.shape))
        )
        agreeing += bool(np.all(outputs.argmax(-1) == changed.argmax(-1)))
        test = measure_margins(get_task("classification").decision_margins(changed, outputs), 0.02)
        passed += test.changed_at_most <= 0.02
    assert passed < 0.05 * draws
    assert agreeing > 0.1 * draws


def test_few_numbers_seldom_pass_by_chance(random):
    """The error of all images rises by 0.012; that of 20 images is below the threshold of 0.01 in every third draw."""
    statuses, below = [], 0
    for _ in range(200):
        labels = random.normal(size=(20, 1))
        deviation = np.abs(labels - np.median(labels)).mean()
        outputs = labels + 5 * deviation + deviation * random.normal(0.012, 0.02, labels.shape)
        rise = gate(outputs, of_task("regression", labels + 5 * deviation, labels), FORMATS["onnx-int8"], "MAE rise")
        statuses.append(rise.status)
        below += rise.figure <= 0.01
    assert statuses.count("passed") < 10 < 40 < below
    assert statuses.count("failed") == 200 - below


# test_every_task.py asks this of every task, of fewer images.
@pytest.mark.parametrize("task", ["classification", "multi_label", "regression", "segmentation"])
def test_mean_loss_of_the_images_is_the_total_loss(random, task):
    classes = random.integers(0, 2, (40, 6, 6))
    maps = {"segmentation": np.eye(2)[classes], "classification": np.eye(2)[classes[:, 0, 0]]}
    right = maps.get(task, classes[:, 0].astype(float))
    labels = right.argmax(-1) if task in maps else right

    def accumulated(outputs):
        accumulator = get_task(task).accumulator(list(map(str, range(right.shape[-1]))))
        accumulator.add(labels, outputs)
        return accumulator

    artifact, keras = (accumulated(np.abs(right - random.uniform(0, noise, right.shape))) for noise in (0.9, 0.6))
    losses = artifact.losses_against(keras)
    assert losses.shape == (40,)
    assert losses.mean() == pytest.approx(artifact.loss_against(keras), rel=0.02) != 0
