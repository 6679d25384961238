import json

import numpy as np
import pytest

from pocketzoo import training, zoo


def test_figures_are_those_of_the_predictions(digits, trained):
    evaluation = training.evaluate(trained, digits)
    images, labels = digits.test.arrays()
    predicted = trained.predict(images, verbose=0).argmax(axis=-1)
    assert evaluation.images == len(labels)
    assert evaluation.accuracy == np.mean(predicted == labels)
    assert evaluation.confusion.sum() == len(labels)
    assert np.trace(evaluation.confusion) == np.sum(predicted == labels)
    for index, name in enumerate(digits.labels):
        assert evaluation.per_class[name]["recall"] == pytest.approx(np.mean(predicted[labels == index] == index))
        assert evaluation.per_class[name]["support"] == np.sum(labels == index)


def test_one_split_can_be_evaluated_and_the_figures_are_json(digits, trained):
    evaluation = training.evaluate(trained, digits.validation)
    assert evaluation.images == len(digits.validation)
    assert json.loads(json.dumps(evaluation.to_dict()))["accuracy"] == evaluation.accuracy


def test_evaluation_changes_no_weight(digits, randomize_batch_norm):
    model = randomize_batch_norm(zoo.create_model("resnet20", blocks=1, input_shape=(32, 32, 1)))
    before = model.get_weights()
    training.evaluate(model, digits.validation)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_model_of_other_classes_is_refused(digits):
    with pytest.raises(zoo.InputError, match="has 12 classes, but digits has 10"):
        training.evaluate(zoo.create_model("lenet5", classes=12), digits)


def test_images_of_another_shape_are_refused(digits):
    with pytest.raises(zoo.InputError, match=r"but the data has \(32, 32, 1\)"):
        training.evaluate(zoo.create_model("resnet20"), digits)
