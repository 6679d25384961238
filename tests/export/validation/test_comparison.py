import time
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, lists
from support.answers import Answers, gate, of_task

from pocketzoo import export, zoo
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.comparison import validate_artifact
from pocketzoo.export.validation.difference import relative_difference
from pocketzoo.export.validation.reference import Reference
from pocketzoo.export.validation.thresholds import check_thresholds
from pocketzoo.training import ImageSplit


def test_difference_is_relative_to_the_variation_of_the_outputs():
    reference = np.random.default_rng(0).normal(size=(50, 4))
    assert relative_difference(reference, reference) == 0
    assert relative_difference(reference + 0.1 * reference.std(axis=0), reference) == pytest.approx(0.1, rel=0.01)
    # The same absolute error on outputs that hardly vary: it would pass an absolute threshold.
    assert relative_difference(reference * 1e-9 + 1e-7, reference * 1e-9) > 10


def test_outputs_that_vary_by_less_than_their_rounding_are_equal_within_it():
    """A saturated softmax: 1 for one class, and next to nothing for the others."""
    reference = np.tile(np.float32([1, 0, 0]), (16, 1))
    reference[:, 1] = np.random.default_rng(0).uniform(1e-12, 1e-10, 16)
    rounded = reference.copy()
    rounded[:, 0] = np.nextafter(np.float32(1), np.float32(0))
    assert relative_difference(rounded, reference) == 0
    assert relative_difference(reference[:, [1, 0, 2]], reference) > 1e6
    assert relative_difference(reference + np.float32(1e-6), reference) > 1e3


def test_reference_without_variation_proves_nothing():
    assert relative_difference(np.ones((5, 3)), np.ones((5, 3))) == float("inf")


def test_fewer_images_are_run_where_one_takes_long(reference):
    class Numbered(Answers):
        def run(self, images):
            return self.given[images[:, 0, 0, 0].astype(int)]

    images = np.arange(200.0)[:, None, None, None] * np.ones((2, 2, 1))
    numbered = replace(reference, samples=Samples(images, reference.samples.labels))
    slow = Numbered(reference.outputs)
    object.__setattr__(slow, "invoke", lambda tensor: time.sleep(0.05))
    check = validate_artifact("made up", "1", slow, FORMATS["onnx-fp32"], numbered, seconds=1)
    assert check.facts["images"] in range(10, 21)
    assert check.status == "passed"
    assert "images" not in validate_artifact("made up", "1", slow, FORMATS["onnx-fp32"], numbered).facts


def failed(outputs, reference, kind):
    check = validate_artifact("made up", "1", Answers(outputs), FORMATS[kind], reference)
    return [gate.name for gate in check.gates if gate.status == "failed"]


def test_equal_outputs_pass_every_gate(reference):
    for kind in FORMATS:
        assert failed(reference.outputs, reference, kind) == []


def test_each_gate_detects_its_error(reference):
    outputs = reference.outputs
    swapped = outputs.copy()
    swapped[:10] = swapped[:10, ::-1]  # 5 % of the outputs
    broken = np.where(np.arange(4) == 0, np.nan, outputs)
    assert "finite share" in failed(broken, reference, "tflite-fp32")
    assert "distinct outputs" in failed(np.repeat(outputs[:1], 200, axis=0), reference, "tflite-int8")
    assert failed(outputs + 1e-3 * np.array([1, -1, 1, -1]), reference, "onnx-fp32")[0] == "relative difference"
    assert failed(swapped, reference, "onnx-int8") == ["agreement", "accuracy drop"]
    assert "relative difference" in failed(np.roll(outputs, 1, axis=0), reference, "tflite-dynamic")


def test_user_set_threshold_applies_and_is_shown_as_such(reference):
    outputs = reference.outputs.copy()
    outputs[:8] = outputs[:8, ::-1]  # 4 % of the outputs
    kind = FORMATS["onnx-int8"]
    assert gate(outputs, reference, kind, "agreement").requirement == ">= 0.98"
    agreement = gate(outputs, reference, kind.with_thresholds({"agreement": 0.95}), "agreement")
    assert (agreement.status, agreement.bar, agreement.default_bar) == ("passed", 0.95, 0.98)
    assert agreement.requirement == ">= 0.95 (set; 0.98 by default)"
    assert gate(outputs, reference, kind.with_thresholds({"agreement": 0.97}), "agreement").status == "failed"


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"agrement": 0.9}, "unknown threshold for a classification 'agrement': did you mean agreement"),
        ({"mean_iou_drop": 0.1}, "there are relative_difference, agreement, accuracy_drop, arena_bytes, sram_bytes"),
        ({"agreement": 1.5}, "agreement is 1.5; it takes a number from 0 to 1"),
        ({"accuracy drop": -0.1}, "accuracy_drop is -0.1; it takes a number from 0"),
        ({"arena_bytes": "64k"}, "arena_bytes is '64k'"),
        ({"accuracy_drop": float("nan")}, "accuracy_drop is nan"),
    ],
)
def test_invalid_threshold_is_named(thresholds, message):
    with pytest.raises(zoo.InputError, match=message):
        check_thresholds(thresholds, "classification", ["mobile-cpu"])


def test_threshold_without_effect_on_the_targets_is_refused():
    thresholds = {"agreement": 0.9, "arena_bytes": 64_000}
    check_thresholds(thresholds, "classification", ["gpu", "edge-mcu"])
    with pytest.raises(zoo.InputError, match=r"arena_bytes is for edge-mcu.*, and has no effect on gpu, web"):
        check_thresholds(thresholds, "classification", ["gpu", "web"])


def test_threshold_names_may_be_those_of_gates():
    assert check_thresholds({"accuracy drop": 0.02, "Agreement": 1}, "classification", ["gpu"]) == {
        "accuracy_drop": 0.02,
        "agreement": 1.0,
    }
    assert check_thresholds({"MAE rise": 0.02}, "regression", ["gpu"]) == {"mae_rise": 0.02}


def test_images_sorted_by_class_are_shuffled_before_the_first_are_used(reference):
    order = np.argsort(reference.samples.labels, kind="stable")
    labels = reference.samples.labels[order]
    by_class = Reference(Samples(reference.samples.images, labels), "evaluation images", reference.outputs[order])
    assert len(set(by_class.first(4).samples.labels)) == 1
    mixed = by_class.mixed().first(4)
    assert len(set(mixed.samples.labels)) > 1
    assert np.array_equal(np.asarray(mixed.outputs).argmax(-1), mixed.samples.labels)


@pytest.mark.parametrize("shape", [(50, 1), (50, 8, 8, 1)])
def test_single_probability_decides_between_two_classes(random, shape):
    outputs = random.uniform(size=shape)
    task = "classification" if len(shape) == 2 else "segmentation"
    agreement = gate(1 - outputs, of_task(task, outputs, None), FORMATS["tflite-int8"], "agreement")
    assert (agreement.status, agreement.figure) == ("failed", 0.0)
    agreement = gate(
        outputs / 2 + outputs.round() / 2, of_task(task, outputs, None), FORMATS["tflite-int8"], "agreement"
    )
    assert agreement.figure == 1.0


def test_mean_iou_may_fall_by_one_point(random):
    labels = random.integers(0, 3, (50, 8, 8))
    sure = np.eye(3, dtype="float32")[labels]
    reference = of_task("segmentation", sure, labels)
    wrong = sure.copy()
    wrong[:, 0, :1] = np.roll(wrong[:, 0, :1], 1, axis=-1)  # one pixel of 64: an IoU of 63 / 65 for every class
    kind = FORMATS["onnx-int8"]
    assert gate(sure, reference, kind, "mean IoU drop").status == "passed"
    drop = gate(wrong, reference, kind, "mean IoU drop")
    assert drop.status == "failed"
    assert drop.figure == pytest.approx(2 / 65, rel=0.02)


def test_pixels_without_a_class_decide_nothing(random):
    labels = random.integers(0, 3, (50, 8, 8))
    sure = np.eye(3, dtype="float32")[labels]
    wrong = sure.copy()
    wrong[:, :4] = np.roll(sure[:, :4], 1, axis=-1)
    labels[:, :4] = labels[0] = -1
    kind = FORMATS["onnx-int8"]
    agreement = gate(wrong, of_task("segmentation", sure, labels), kind, "agreement")
    assert (agreement.status, agreement.figure) == ("passed", 1.0)
    wrong[1, 4] = np.roll(sure[1, 4], 1, axis=-1)
    agreement = gate(wrong, of_task("segmentation", sure, labels), kind, "agreement")
    assert agreement.figure == pytest.approx(1 - 8 / (49 * 32))


def test_multiple_labels_are_counted_one_by_one(random):
    labels = random.integers(0, 2, (50, 4))
    reference = of_task("multi_label", labels.astype("float32"), labels)
    wrong = reference.outputs.copy()
    wrong[:4, 0] = 1 - wrong[:4, 0]
    drop = gate(wrong, reference, FORMATS["onnx-int8"], "label accuracy drop")
    assert (drop.status, drop.figure) == ("failed", pytest.approx(4 / 200))


def test_mae_may_rise_by_a_share_of_the_variation(random):
    """Independent of the unit and of the error of the model."""
    labels = random.normal(size=(500, 2)) * [1, 1000] + [5, 5000]
    deviation = np.abs(labels - np.median(labels, axis=0)).mean(axis=0)
    for error in (0, 0.5):
        reference = of_task("regression", labels + error * deviation, labels)
        for rise, status in ((0.008, "passed"), (0.02, "failed")):
            figure = gate(labels + (error + rise) * deviation, reference, FORMATS["onnx-int8"], "MAE rise")
            assert (figure.status, figure.figure) == (status, pytest.approx(rise))
    constant = of_task("regression", labels, np.ones_like(labels))
    assert gate(labels, constant, FORMATS["onnx-int8"], "MAE rise").reason == "the targets do not vary"


@pytest.mark.parametrize("shape", [(None, None, 3), (16, 24, 3)])
def test_masks_need_not_be_as_large_as_the_images(random, shape):
    images, masks = random.integers(0, 256, (3, 16, 24, 3)), random.integers(0, 2, (3, 8, 12))
    taken = Samples.from_source((images, masks), "evaluation", shape, classes=2, task="segmentation")
    assert np.array_equal(taken.labels, masks)
    with pytest.raises(zoo.InputError, match=r"of the shape \(3, 8\); a segmentation of 2 takes"):
        Samples.from_source((images, masks[..., 0]), "evaluation", shape, classes=2, task="segmentation")


def test_one_value_per_image_needs_no_axis():
    taken = Samples.from_source(
        (np.zeros((3, 8, 8, 3)), [0.5, 1, 2]), "evaluation", (8, 8, 3), classes=1, task="regression"
    )
    assert taken.labels.shape == (3, 1)


@pytest.mark.parametrize(("most", "expected"), [(1, [1]), (7, [3, 2, 2]), (50, [23, 22, 5]), (500, [100, 50, 5])])
def test_calibration_is_balanced_over_the_classes(most, expected):
    labels = np.repeat([0, 1, 2], [100, 50, 5])
    images = np.zeros((155, 2, 2, 1))
    chosen = Samples.from_source((images, labels), "calibration", (2, 2, 1), classes=3, most=most).labels
    assert np.bincount(chosen).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(per_class=lists(integers(1, 8), min_size=1, max_size=400), most=integers(1, 60), shuffled=booleans())
def test_calibration_is_spread_over_all_classes(per_class, most, shuffled):
    labels = np.repeat(np.arange(len(per_class)), per_class)
    labels = np.random.default_rng(1).permutation(labels) if shuffled else labels
    images = np.zeros((len(labels), 2, 2, 1), "uint8")
    chosen = Samples.from_source((images, labels), "calibration", (2, 2, 1), classes=len(per_class), most=most).labels
    counts = np.bincount(chosen, minlength=len(per_class))
    assert counts.sum() == min(most, len(labels))
    assert all(counts[counts < per_class] >= counts.max() - 1)
    if most < len(per_class):
        gaps = np.diff(np.concatenate([[-1], np.flatnonzero(counts), [len(per_class)]]))
        assert gaps.max() <= np.ceil(len(per_class) / most) + 1


class Unread:
    """Images that are computed when they are read."""

    shape = (8, 8, 1)

    def __len__(self) -> int:
        return 10_000

    def take(self, rows: np.ndarray) -> np.ndarray:
        self.taken = rows
        return np.ones((1, 8, 8, 1)) * (rows[:, None, None, None] % 256)


@pytest.mark.parametrize("classes", [None, 4])
def test_calibration_is_subsampled_deterministically_from_all_images(classes):
    split = ImageSplit(Unread(), np.repeat(np.arange(4), 2500), "photos, train")
    first, second = (Samples.from_source(split, "calibration", (8, 8, 1), classes, most=200) for _ in range(2))
    assert (first.record().source, first.record().seed, len(first)) == ("photos, train", 0, 200)
    assert first.sha256 == second.sha256
    assert len(split.images.taken) == 200  # no other image is decoded
    assert (split.images.taken % 2500).mean() == pytest.approx(1250, abs=250)  # from the whole range of each class


def test_latency_is_measured_on_artifacts_and_models(bundle, trained):
    for what in (export.load_artifact(bundle / "lenet5-int8.tflite"), trained):
        latency = export.benchmark(what, runs=5)
        assert 0 < latency.min_ms <= latency.median_ms <= latency.p90_ms
        assert latency.to_dict()["runs"] == 5
    with pytest.raises(zoo.InputError, match="runs is 0"):
        export.benchmark(trained, runs=0)


def test_model_whose_outputs_are_no_numbers_is_refused(tmp_path):
    image = keras.Input((4, 4, 1))
    shallow = keras.layers.Lambda(lambda x: keras.ops.log(x - 10))(keras.layers.Flatten()(image))
    model = keras.Model(image, shallow, name="shallow")
    pixels = np.random.default_rng(0).uniform(20, 255, (12, 4, 4, 1))
    pixels[7, 0, 0] = 5
    with pytest.raises(zoo.InputError, match="for 1 of 12 evaluation images, first for number 7"):
        export.export_model(model, tmp_path / "out", targets=["gpu"], evaluation=pixels)
