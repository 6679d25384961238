"""Every model of keras.applications, with random weights, through every verb. A new one is tested automatically.

By default the first layers of one model per family are taken, as many as have every type of layer in it. `make
test-all` takes every model as it is.
"""

import inspect
import re
from collections.abc import Collection

import keras
import numpy as np
import pytest
from support.acceptance import Case, colored_squares, fit_last_layer

from pocketzoo import training

FUNCTIONS = {name: function for name, function in vars(keras.applications).items() if inspect.isfunction(function)}
SMALLEST = (
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2", "VGG16", "Xception"),
)
"""The smallest model of each family; of a family that is not here, the first is tested."""
OF_KNOWN_LAYERS = ("EfficientNetV2B0", "InceptionV3", "DenseNet121", "ResNet50")
"""Models of the layers of EfficientNetB0, InceptionResNetV2 and ResNet50V2, which are trained by default."""
SIDES = (32, 64, 71, 75)
"""Sides of the smallest image that a model takes."""
CLASSES = 4
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
NO_INTEGERS = {"convnext": "LayerNormalization"}
"""Types of layers for which training for integers refuses a family."""


def module_of(name: str) -> str:
    return FUNCTIONS[name].__module__.rpartition(".")[2]


def family_of(name: str) -> str:
    """Name of the module without the depth, as in vgg16."""
    return re.sub(r"(?<!_v)\d+$", "", module_of(name))


def models(covered: Collection[str] = ()) -> list:
    """A short model of each family, unless another has its layers, and all models in full."""
    short = {family_of(name): name for name in [*reversed(FUNCTIONS), *SMALLEST]}
    marks = {f"{name}-short": [pytest.mark.every_card] * (name in covered) for name in short.values()}
    marks |= {f"{name}-full": [pytest.mark.every_card] for name in FUNCTIONS}
    return [pytest.param(name, marks=[pytest.mark.xdist_group(name), *others]) for name, others in marks.items()]


@pytest.fixture(scope="module", params=models())
def prepared(request):
    name, length = request.param.split("-")
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = smallest_model(name, classes=CLASSES) if length == "full" else shortened(name)
    images, labels = colored_squares(96, model.input_shape[1:], CLASSES)
    low, high = pixels = pixel_range(name)
    fit_last_layer(model, low + images.astype("float32") / 255 * (high - low), labels)
    data = training.from_arrays(images[:24], labels[:24], labels=list("abcd"))
    no_integers = NO_INTEGERS.get(family_of(name))
    return Case(model, images, labels, data, {"pixels": pixels}, no_integers)


@pytest.fixture
def case(prepared):
    prepared.reset()
    return prepared


def smallest_model(name: str, **arguments) -> keras.Model:
    for side in SIDES:
        try:
            return FUNCTIONS[name](weights=None, input_shape=(side, side, 3), **arguments)
        except ValueError as error:
            if "Input size must be at least" not in str(error):
                raise
    raise AssertionError(f"{name} takes no image of {SIDES[-1]} pixels")


def shortened(name: str) -> keras.Model:
    """The first layers of a model, as many as have every type that occurs in it, and a head."""
    model = smallest_model(name, include_top=False)
    first: dict[type, keras.Operation] = {}
    for operation in model.operations:
        first.setdefault(type(operation), operation)
    features = keras.layers.GlobalAveragePooling2D()([*first.values()][-1].output)
    return keras.Model(model.input, keras.layers.Dense(CLASSES, "softmax")(features), name=name.lower())


def pixel_range(name: str) -> tuple[float, float]:
    """What `preprocess_input` makes of 0 and 255, unless it differs between the channels."""
    preprocess = getattr(keras.applications, module_of(name)).preprocess_input
    low, high = (preprocess(np.full((1, 1, 1, 3), value, "float32")) for value in (0, 255))
    return (float(low.min()), float(high.max())) if np.ptp(low) == np.ptp(high) == 0 else (0.0, 255.0)


def test_files_for_tflite_and_onnx_are_equal_to_keras(case, tmp_path):
    case.check_exported(tmp_path)


def test_channels_are_removed(case):
    case.check_narrowed()


@pytest.mark.parametrize("prepared", models(OF_KNOWN_LAYERS), indirect=True)
def test_training_for_integers_or_its_refusal(case, tmp_path):
    case.check_quantized(tmp_path)


@pytest.mark.every_card  # pruning trains, too
def test_training_step(case):
    case.check_trained()


@pytest.mark.parametrize("prepared", models(OF_KNOWN_LAYERS), indirect=True)
def test_weights_are_pruned(case):
    case.check_pruned()
