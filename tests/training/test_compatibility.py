import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages

pytestmark = pytest.mark.fast

SHALLOW = {"blocks": 1, "input_shape": (32, 32, 1)}


@pytest.mark.parametrize("task", ["multi_label", "regression", "segmentation"])
@pytest.mark.parametrize("verb", ["fit", "prune", "evaluate"])
def test_head_that_does_not_match_the_data_says_how_to_make_one_that_does(task, verb, digits):
    model = zoo.create_model("resnet20", head=task, classes=10, **SHALLOW)
    with pytest.raises(
        zoo.InputError, match=f"has the task {task}, but digits has the task classification; create_model"
    ):
        getattr(training, verb)(model, digits)


def test_raw_numbers_have_nothing_to_be_trained_by(digits):
    image = keras.Input((32, 32, 1))
    model = keras.Model(image, keras.layers.Reshape((32, 32))(image), name="rows")
    with pytest.raises(zoo.InputError, match="rows outputs raw numbers, which has no targets"):
        training.fit(model, digits, task="raw")


def test_images_of_another_size_say_how_to_load_them(digits):
    model = zoo.create_model("lenet5", input_shape=(48, 32, 1))
    with pytest.raises(zoo.InputError, match=r"has \(32, 32, 1\); load files with image_size=\(48, 32\), channels=1"):
        training.evaluate(model, digits)


def test_answer_by_name_is_told_from_the_only_one(digits):
    model = zoo.create_model("lenet5", head={"digit": "classification"})
    with pytest.raises(
        zoo.InputError, match=r"has the outputs 'digit' \(classification\), but digits has the task classification"
    ):
        training.fit(model, digits)
    with pytest.raises(zoo.InputError, match="has the outputs digit, but the data has one without a name"):
        training.evaluate(model, digits.test)


def test_split_whose_targets_have_another_form_is_refused(digits):
    images = ArrayImages(digits.test.arrays()[0][:4])
    model = zoo.create_model("lenet5")
    with pytest.raises(zoo.InputError, match=r"targets have the shape \(\) for an image, but the data has \(10,\)"):
        training.evaluate(model, training.ImageSplit(images, np.eye(10, dtype="float32")[:4]))
    with pytest.raises(zoo.InputError, match="has 10 classes, but the data has class 10"):
        training.evaluate(model, training.ImageSplit(images, np.array([1, 2, 3, 10], "int32")))


def test_masks_that_answers_of_open_size_do_not_cover_are_refused():
    """A net of stride 8 and open size gives 40x40 places for 33x33 pixels."""
    model = zoo.create_model("resnet20", head="segmentation", classes=2, input_shape=(None, None, 3), blocks=1)
    split = training.ImageSplit(ArrayImages(np.zeros((2, 33, 33, 3), "uint8")), np.zeros((2, 33, 33), "int32"))
    with pytest.raises(zoo.InputError, match=r"targets have the shape \(\d+, \d+\) for an image, but .* \(33, 33\)"):
        training.evaluate(model, split)


def test_recipe_of_another_verb_is_refused(digits):
    model = zoo.create_model("lenet5")
    for verb in (training.fit, training.prune):
        with pytest.raises(zoo.InputError, match=rf"recipe is a FineTuneRecipe; {verb.__name__} requires a Recipe"):
            verb(model, digits, training.FineTuneRecipe(mode="feature_extraction"))
    with pytest.raises(zoo.InputError, match="recipe is a FineTuneRecipe; cross_validate requires a Recipe"):
        training.cross_validate(lambda: model, digits, training.FineTuneRecipe(mode="linear_probe"))
    with pytest.raises(zoo.InputError, match="recipe is a Recipe; fine_tune requires a FineTuneRecipe"):
        training.fine_tune(model, digits, training.Recipe())


@pytest.mark.parametrize("part", ["train", "validation"])
def test_masks_with_a_class_that_the_model_does_not_answer_are_refused(part):
    images, masks = ArrayImages(np.zeros((4, 16, 16, 3), "uint8")), np.zeros((4, 16, 16), "int32")
    good, bad = training.ImageSplit(images, masks), training.ImageSplit(images, masks + 5)
    splits = {"train": good, "validation": good, "test": good} | {part: bad}
    data = training.ImageData("hand-made", ("ground", "road"), **splits, task="segmentation")
    model = zoo.create_model("unet_same", classes=2, widths=(4, 8), input_shape=(16, 16, 3))
    with pytest.raises(zoo.InputError, match="has 2 classes, but the data has class 5"):
        training.fit(model, data, training.Recipe(batch_size=2))
