"""Nets as users write them, through every verb."""

from collections.abc import Collection

import keras
import numpy as np
import pytest
from support.acceptance import Case, colored_squares
from support.user_nets import NETS

from pocketzoo import training
from pocketzoo.core.keras_private import all_layers
from pocketzoo.zoo.contract import state_contract
from pocketzoo.zoo.decoded_form import decoded_form
from pocketzoo.zoo.functional_form import functional_form

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
LOSSES = dict.fromkeys(("classification", "segmentation"), "sparse_categorical_crossentropy") | {"regression": "mse"}


OF_KNOWN_LAYERS = ("inception_like", "kaggle_cnn", "small_xception", "teachable_machine")
"""Nets of which others, or models of keras.applications, have every layer."""


KERNELS_OF_OTHERS = (
    *("box_of_four_numbers", "decoder_of_upsampling", "other_normalizations", "residual_by_operators"),
    *("sequential_with_augmentation", "squeeze_excite"),
)
"""Nets whose kernels are those of convolutions and dense layers alone, which the others have, too."""


def nets(covered: Collection[str] = ()) -> list:
    every_card = {*OF_KNOWN_LAYERS, *covered}
    marks = {name: [pytest.mark.every_card] if name in every_card else [] for name in NETS}
    return [pytest.param(name, marks=[pytest.mark.xdist_group(name), *marks[name]]) for name in NETS]


@pytest.fixture(scope="module", params=nets())
def prepared(request):
    """A net after a short training, which its outputs need to tell the images apart."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    net = NETS[request.param]
    model = net.build()
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # its statistics follow a run of few steps
    form = functional_form(model)
    outputs = form.output_shape[-1]
    images, targets = pictures(net.task, form.input_shape[1:], outputs)
    state_contract(form, task=net.task, report=False, **net.contract)
    decoded = decoded_form(form)
    decoded.compile("adam", LOSSES[net.task], jit_compile=False)
    decoded.optimizer.learning_rate = 3e-3
    decoded.fit(images.astype("float32"), targets, batch_size=16, epochs=8, verbose=0)
    # One unit stands for two classes.
    data = {"task": net.task, "labels": list("abcd"[: max(2, outputs)])}
    few = training.from_arrays(images[:24], targets[:24], **data)
    return Case(model, images, targets, few, net.contract, net.no_integers, net.budget)


@pytest.fixture
def case(prepared):
    prepared.reset()
    return prepared


def pictures(task: str, shape: tuple[int, int, int], outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of colored squares, and what they show."""
    height, width, channels = shape
    if task == "classification":
        return colored_squares(120, shape, max(2, outputs))
    random = np.random.default_rng(0)
    images = np.kron(random.uniform(0, 110, (120, height // 4, width // 4, channels)), np.ones((1, 4, 4, 1)))
    masks, boxes = np.zeros((120, height, width), "int32"), np.empty((120, 4), "float32")
    for index in range(120):
        top, left = random.integers(0, (height // 2, width // 2))
        bottom, right = top + random.integers(4, height // 2), left + random.integers(4, width // 2)
        masks[index, top:bottom, left:right] = 1
        boxes[index] = left / width, top / height, right / width, bottom / height
    images[masks == 1] += 140
    return images.astype("uint8"), masks if task == "segmentation" else boxes


def test_files_for_tflite_and_onnx_are_equal_to_keras(case, tmp_path):
    case.check_exported(tmp_path)


def test_channels_are_removed_or_refused(case):
    case.check_narrowed()


def test_training_for_integers_or_its_refusal(case, tmp_path):
    case.check_quantized(tmp_path)


@pytest.mark.every_card  # pruning trains, too
def test_training_step(case):
    case.check_trained()


@pytest.mark.parametrize("prepared", nets(KERNELS_OF_OTHERS), indirect=True)
def test_weights_are_pruned(case):
    case.check_pruned()
