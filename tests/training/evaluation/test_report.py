import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.tasks.plots import plot_confusion
from pocketzoo.tasks.registry import get_task
from pocketzoo.tasks.segmentation import PixelAccumulator
from pocketzoo.training.data.images import ArrayImages


@pytest.fixture(scope="module")
def scenes():
    """Ten photographs with digits on them: a mask, labels and a number of each."""
    data = training.load_data("digit-scenes:all", image_size=32)
    images, targets = data.test.arrays()
    few = training.ImageSplit(ArrayImages(images[:10]), {name: rows[:10] for name, rows in targets.items()})
    return replace(data, test=few)


@pytest.fixture(scope="module")
def scene_model(scenes):
    return zoo.create_model("resnet20", blocks=1, head=scenes.task, labels=scenes.labels)


def is_picture(path):
    with Image.open(path) as picture:
        picture.load()
        return min(picture.size) > 300 and len(picture.convert("L").getcolors()) > 20


def test_report_of_a_classification_has_figures_and_pictures(digits, tmp_path):
    model = zoo.create_model("lenet5", labels=digits.labels)
    evaluation = training.write_report(model, digits, tmp_path / "report")
    files = {path.name: path for path in (tmp_path / "report").iterdir()}
    pictures = {"confusion.png", "calibration.png", "worst.png"}
    assert files.keys() == pictures | {"evaluation.json", "confusion.csv", "worst.json"}
    header, *rows = csv.reader(files.pop("confusion.csv").read_text().splitlines())
    assert header == ["true", *digits.labels]
    assert [row[0] for row in rows] == list(digits.labels)
    assert [[int(count) for count in row[1:]] for row in rows] == evaluation.confusion.tolist()
    assert json.loads(files.pop("evaluation.json").read_text()) == json.loads(json.dumps(evaluation.to_dict()))
    worst = json.loads(files.pop("worst.json").read_text())
    assert len(set(worst)) == 24
    assert all(re.fullmatch(r"image \d+", name) for name in worst)
    assert all(map(is_picture, files.values()))
    assert evaluation.to_dict() == training.evaluate(model, digits).to_dict()


def test_report_of_several_outputs_has_a_folder_each_without_what_a_killed_process_left(scenes, scene_model, tmp_path):
    left = [tmp_path / ".pocketzoo-0123456789abcdef.json", tmp_path / "count" / ".pocketzoo-0123456789abcdef.png"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    evaluation = training.write_report(scene_model, scenes, tmp_path)
    facts = json.loads((tmp_path / "evaluation.json").read_text())
    assert {name: of_output["loss"] for name, of_output in facts.items()} == {
        name: figures.loss for name, figures in evaluation.items()
    }
    pictures = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    assert pictures == {
        "segmentation/confusion.png",
        "segmentation/worst.png",
        "multi_label/worst.png",
        "count/worst.png",
    }
    assert all(is_picture(tmp_path / path) for path in pictures)
    assert not any(path.exists() for path in left)


def errors(task, targets, outputs):
    accumulator = get_task(task).accumulator([str(number) for number in range(outputs.shape[1])])
    accumulator.add(targets, outputs)
    return accumulator.errors()


def test_most_confidently_wrong_comes_first_and_the_surest_right_one_last():
    answers = np.array([[0.6, 0.4, 0.0], [0.0, 0.1, 0.9], [0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])
    order = np.argsort(-errors("classification", np.array([0, 1, 0, 0]), answers))
    assert order.tolist() == [1, 2, 0, 3]


def test_largest_errors_come_first():
    truth = np.array([[1, 0], [0, 1], [1, 1]], "float32")
    answers = np.array([[0.9, 0.4], [0.9, 0.9], [0.2, 0.1]])
    assert np.argsort(-errors("multi_label", truth, answers)).tolist() == [2, 1, 0]
    # 10 is a fifth of the first number's deviation, 1 twice that of the second.
    numbers = np.array([[0, 0.5], [100, 0], [0, 1], [100, 0.5]])
    off = numbers + np.array([[0, 0], [10, 0], [0, 1], [0, 0]])
    assert np.argsort(-errors("regression", numbers, off), kind="stable").tolist() == [2, 1, 0, 3]


def test_lowest_iou_comes_first_whatever_the_batches():
    masks = np.array([[[0, 0], [1, 1]]] * 3)
    answers = np.eye(2)[[[[0, 0], [1, 1]], [[1, 1], [0, 0]], [[0, 0], [1, 0]]]]
    accumulator = PixelAccumulator(["ground", "road"])
    accumulator.add(masks[:1], answers[:1])
    accumulator.add(masks[1:], answers[1:])
    assert accumulator.errors() == pytest.approx([0, 1, 1 - (2 / 3 + 1 / 2) / 2])


def plot_worst(task, images, targets, outputs, labels, names):
    return get_task(task).plot_examples(images, targets, outputs, labels, names)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_captions_say_what_was_answered_and_what_is_right():
    images = np.zeros((2, 4, 4, 1), "uint8")
    names, files = ["cat_$1", "dog"], ["photos/a.png", "photos/b_$2.png"]
    answers = np.array([[0.25, 0.75], [0.9, 0.1]])
    assert titles(plot_worst("classification", images, np.array([0, 0]), answers, names, files)) == [
        "a.png\ndog: 75.0%\nis cat_$1: 25.0%",
        "b_$2.png\ncat_$1: 90.0%",
    ]
    truth = np.array([[1, 1], [1, 0]])
    assert titles(plot_worst("multi_label", images, truth, answers, names, files))[0] == (
        "a.png\ncat_$1: 25.0%, is present\ndog: 75.0%, is present"
    )
    assert titles(plot_worst("regression", images, truth, answers, names, files))[0] == (
        "a.png\ncat_$1: 0.25, is 1\ndog: 0.75, is 1"
    )
    figure = plot_worst("segmentation", images, np.zeros((2, 4, 4), int), np.ones((2, 4, 4, 2)), names, files)
    assert titles(figure) == ["a.png", "mask", "prediction", "b_$2.png", "mask", "prediction"]


def test_confusion_is_drawn_as_shares_of_the_true_class_with_counts_where_they_are_few():
    confusion = np.array([[3, 1], [0, 0]])
    axes = plot_confusion(confusion, ["cat", "dog"]).axes[0]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert [text.get_text() for text in axes.texts] == ["3", "1"]
    assert not plot_confusion(np.eye(100), [str(n) for n in range(100)]).axes[0].texts


def test_answers_are_averaged_over_views(scenes, scene_model):
    images, _ = scenes.test.arrays()
    mirrored = scene_model.predict(images[:, :, ::-1], verbose=0)
    as_it_is = scene_model.predict(images, verbose=0)
    accumulator = PixelAccumulator(list(scenes.labels["segmentation"]))
    averaged = (as_it_is["segmentation"] + mirrored["segmentation"][:, :, ::-1]) / 2
    accumulator.add(scenes.test.labels["segmentation"], averaged)
    evaluation = training.evaluate(scene_model, scenes, test_time_augmentation="flip")
    assert evaluation["segmentation"].loss == pytest.approx(accumulator.evaluation().loss, rel=1e-5)
    mean = (as_it_is["count"] + mirrored["count"]) / 2
    assert evaluation["count"].mae == pytest.approx(np.abs(mean - scenes.test.labels["count"]).mean(), rel=1e-5)
    assert evaluation["count"].mae != training.evaluate(scene_model, scenes)["count"].mae


def test_unknown_view_is_refused(scenes, scene_model):
    with pytest.raises(zoo.InputError, match=r"unknown test-time augmentation 'flop': did you mean flip\?"):
        training.evaluate(scene_model, scenes, test_time_augmentation="flop")


def test_answers_that_are_no_numbers_are_named(scenes):
    model = zoo.create_model("resnet20", blocks=1, head=scenes.task, labels=scenes.labels)
    head = model.get_layer("head_count")
    head.set_weights([np.full_like(weight, np.nan) for weight in head.get_weights()])
    with pytest.raises(zoo.InputError, match=r"resnet20 outputs nan \(output count\), which is not a finite number"):
        training.evaluate(model, scenes)


def test_split_without_images_is_refused(digits):
    empty = training.ImageSplit(ArrayImages(np.zeros((0, 32, 32, 1), "uint8")), np.zeros(0, "int32"))
    model = zoo.create_model("lenet5", labels=digits.labels)
    with pytest.raises(zoo.InputError, match="digits: the test split has no images"):
        training.evaluate(model, replace(digits, test=empty))
    with pytest.raises(zoo.InputError, match="the split has no images"):
        training.evaluate(model, empty)


def test_failed_report_leaves_no_picture_half_written(digits, tmp_path, monkeypatch):
    model = zoo.create_model("lenet5", labels=digits.labels)

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OSError, match="no space"):
        training.write_report(model, digits.validation, tmp_path)
    assert not list(tmp_path.iterdir())
