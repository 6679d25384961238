"""What every model of the zoo must do. A new card is tested by existing.

At the card's smallest input and, where the builder's widths can be set (`support.cards.NARROW`), narrow.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cards import all_cards_by_kind, first_of_its_kind, narrow_model, smallest_shape

from pocketzoo import zoo
from pocketzoo.export.artifact import load_artifact
from pocketzoo.export.conversion import write_artifacts
from pocketzoo.export.form import ExportForm
from pocketzoo.export.proof import Reference, prove, relative_difference
from pocketzoo.export.samples import Samples
from pocketzoo.export.targets import FORMATS


@dataclass(frozen=True)
class Case:
    """One model with what its tests share. Tests must not change it."""

    name: str
    model: keras.Model
    flat: keras.Model
    images: np.ndarray
    answers: np.ndarray


@pytest.fixture(scope="module", params=all_cards_by_kind())
def case(request, randomize_batch_norm, pixels):
    """Each model with BatchNorm as in a trained one."""
    keras.backend.clear_session()
    return make_case(request.param, randomize_batch_norm, pixels)


def make_case(name, randomize_batch_norm, pixels) -> Case:
    keras.utils.set_random_seed(0)
    model = randomize_batch_norm(narrow_model(name))
    images = pixels(8, *smallest_shape(name))
    return Case(name, model, zoo.flatten_model(model), images, answer(model, images))


def answer(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=False))


def test_takes_another_size_channel_count_and_number_of_classes(case, pixels):
    size = zoo.model_card(case.name).smallest_input + 5
    model = narrow_model(case.name, classes=3, input_shape=(size, size + 2, 2))
    probabilities = answer(model, pixels(2, size, size + 2, 2))
    assert probabilities.shape[0] == 2
    assert probabilities.shape[-1] == 3
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)


def test_takes_any_size_where_the_card_says_so(case, pixels):
    card = zoo.model_card(case.name)
    shape = (None, None, card.input_shape[2])
    if not card.variable_size:
        with pytest.raises(zoo.InputError, match="needs a fixed height and width"):
            narrow_model(case.name, input_shape=shape)
        return
    model = narrow_model(case.name, input_shape=shape)
    for size in (card.smallest_input, 2 * card.smallest_input):
        answers = answer(model, pixels(1, size, size, shape[2]))
        assert (answers.shape[0], answers.shape[-1]) == (1, card.classes)


def test_flat_form_is_equal_to_the_bit(case):
    assert np.abs(answer(case.flat, case.images) - case.answers).max() == 0.0


def test_flat_form_shares_the_weights(case):
    flat = {id(weight) for weight in case.flat.weights}
    normalization = {id(weight) for weight in case.model.get_layer("pixels").weights}
    assert flat == {id(weight) for weight in case.model.weights} - normalization


def test_every_trainable_weight_gets_a_gradient(case, pixels):
    images = pixels(16, *case.images.shape[1:], seed=1)
    direction = np.random.default_rng(0).normal(size=(16, *case.answers.shape[1:])).astype("float32")
    moving = [weight.numpy().copy() for weight in case.model.non_trainable_weights]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(case.model(images, training=True) * direction)
    gradients = tape.gradient(loss, [weight.value for weight in case.model.trainable_weights])
    for weight, old in zip(case.model.non_trainable_weights, moving, strict=True):
        weight.assign(old)  # the pass in training mode has moved BatchNorm's statistics
    without = [
        weight.path
        for weight, gradient in zip(case.model.trainable_weights, gradients, strict=True)
        if gradient is None or not np.any(gradient.numpy()) or not np.isfinite(gradient.numpy()).all()
    ]
    assert without == []


def test_one_image_is_answered_as_in_a_batch(case):
    alone = np.concatenate([answer(case.model, image[None]) for image in case.images[:2]])
    assert relative_difference(alone, case.answers[:2]) < 1e-3


def test_feature_maps_can_be_read_at_every_endpoint(case):
    features = zoo.feature_extractor(case.model)(case.images[:1])
    for name, endpoint in zoo.model_card(case.name).endpoints.items():
        assert 0 < features[name].shape[1] <= -(-case.images.shape[1] // endpoint.stride)
        assert np.isfinite(features[name].numpy()).all()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_reduced_precision_gives_finite_float32_answers(case, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = narrow_model(case.name)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("head").compute_dtype == policy.removeprefix("mixed_")
    answers = model(case.images[:2], training=False)
    assert answers.dtype == "float32"
    assert np.isfinite(answers.numpy()).all()


def test_tflite_and_onnx_answer_as_keras(case, tmp_path):
    reference = Reference(Samples(case.images, None), "noise", case.answers)
    form = ExportForm.of(case.model)
    formats = [FORMATS["tflite-fp32"], FORMATS["onnx-fp32"]]
    for file, kind in write_artifacts(form, formats, None, tmp_path):
        proof = prove(
            load_artifact(file), kind, reference, size=file.stat().st_size, kernel_weights=form.kernel_weights
        )
        assert [gate for gate in proof.gates if gate.status == "failed"] == []
        assert {gate.bar for gate in proof.gates if gate.name == "relative difference"} == {1e-4}


READ_IN_A_FRESH_PROCESS = """
import json, sys
import numpy as np
folder, use_package = sys.argv[1], sys.argv[2] == "True"
if use_package:
    from pocketzoo.zoo import load_model
else:
    from keras.saving import load_model
builders = json.load(open(f"{folder}/builders.json"))
for name in json.load(open(f"{folder}/names.json")):
    model = load_model(f"{folder}/{name}.keras")
    np.save(f"{folder}/{name}.answer.npy", model(np.load(f"{folder}/{name}.npy"), training=False))
# The builders are not needed to read a model, and the flat form does not need the package at all.
assert not {f"pocketzoo.zoo.{module}" for module in builders} & set(sys.modules)
assert use_package or not any(module.startswith("pocketzoo") for module in sys.modules)
"""


@pytest.fixture(scope="module", params=[True, False], ids=["model", "flat"])
def read_back(request, randomize_batch_norm, pixels, tmp_path_factory):
    """A function from names to their answers here and, saved and loaded, in one fresh process."""
    answers: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def read(names: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        if names[0] in answers:
            return answers
        folder = tmp_path_factory.mktemp("saved")
        here = {}
        for name in names:
            keras.backend.clear_session()
            made = make_case(name, randomize_batch_norm, pixels)
            here[name] = made.answers
            zoo.save_model(made.model if request.param else made.flat, folder / f"{name}.keras")
            np.save(folder / f"{name}.npy", made.images)
        builders = {zoo.model_card(name).builder.split(":")[0] for name in zoo.list_models()} | {"creation"}
        (folder / "builders.json").write_text(json.dumps(sorted(builders)))
        (folder / "names.json").write_text(json.dumps(names))
        command = [sys.executable, "-c", READ_IN_A_FRESH_PROCESS, str(folder), str(request.param)]
        subprocess.run(command, check=True, cwd="/")
        answers.update({name: (here[name], np.load(folder / f"{name}.answer.npy")) for name in names})
        return answers

    return read


# One worker saves and reads all the models of a mark.
READ_BACK = [
    pytest.param(name, marks=pytest.mark.xdist_group("read_back"))
    if first_of_its_kind(name)
    else pytest.param(name, marks=[pytest.mark.xdist_group("read_back_every_card"), pytest.mark.every_card])
    for name in zoo.list_models()
]


@pytest.mark.parametrize("name", READ_BACK)
def test_saved_model_answers_the_same_in_a_fresh_process(name, read_back):
    names = [other for other in zoo.list_models() if first_of_its_kind(other) == first_of_its_kind(name)]
    here, there = read_back(names)[name]
    assert np.abs(here - there).max() == 0.0
