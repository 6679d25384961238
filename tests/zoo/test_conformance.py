"""What every model of the zoo must do. A new card is tested by existing."""

import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest

from pocketzoo import zoo
from pocketzoo.export.artifact import load_artifact
from pocketzoo.export.conversion import write_artifacts
from pocketzoo.export.form import ExportForm
from pocketzoo.export.proof import Reference, prove
from pocketzoo.export.samples import Samples
from pocketzoo.export.targets import FORMATS

MODELS = zoo.list_models()


def smallest_shape(name: str) -> tuple[int, int, int]:
    card = zoo.model_card(name)
    return (card.smallest_input, card.smallest_input, card.input_shape[2])


@pytest.fixture(scope="module")
def small(randomize_batch_norm):
    """Each model once, at its smallest input, with BatchNorm as in a trained one. Tests must not change it."""
    made: dict[str, keras.Model] = {}

    def make(name: str) -> keras.Model:
        if name not in made:
            keras.utils.set_random_seed(0)
            made[name] = randomize_batch_norm(zoo.create_model(name, input_shape=smallest_shape(name)))
        return made[name]

    return make


@pytest.mark.parametrize("name", MODELS)
def test_parameter_count_is_the_published_one(name):
    weights = zoo.create_model(name).trainable_weights
    assert sum(math.prod(weight.shape) for weight in weights) == zoo.model_card(name).trainable_parameters


@pytest.mark.parametrize("name", MODELS)
def test_takes_another_size_channel_count_and_number_of_classes(name, pixels):
    size = zoo.model_card(name).smallest_input + 5
    model = zoo.create_model(name, classes=3, input_shape=(size, size + 2, 2))
    probabilities = model.predict(pixels(2, size, size + 2, 2), verbose=0)
    assert probabilities.shape == (2, 3)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_takes_any_size_where_the_card_says_so(name, pixels):
    card = zoo.model_card(name)
    shape = (None, None, card.input_shape[2])
    if not card.variable_size:
        with pytest.raises(zoo.InputError, match="fixed height and width"):
            zoo.create_model(name, input_shape=shape)
        return
    model = zoo.create_model(name, input_shape=shape)
    for size in (card.smallest_input, card.smallest_input + 9):
        assert model(pixels(1, size, size, shape[2])).shape == (1, card.classes)


@pytest.mark.parametrize("name", MODELS)
def test_flat_form_is_stock_keras_and_equal_to_the_bit(name, small, pixels):
    model = small(name)
    flat = zoo.flatten_model(model)
    assert {type(layer).__module__.split(".")[0] for layer in flat.layers} == {"keras"}
    assert len({layer.name for layer in flat.layers}) == len(flat.layers)
    images = pixels(3, *smallest_shape(name))
    assert np.abs(model.predict(images, verbose=0) - flat.predict(images, verbose=0)).max() == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_flat_form_shares_the_weights(name, small):
    model = small(name)
    flat = {id(weight) for weight in zoo.flatten_model(model).weights}
    normalization = {id(weight) for weight in model.get_layer("pixels").weights}
    assert flat == {id(weight) for weight in model.weights} - normalization


@pytest.mark.parametrize("name", MODELS)
def test_one_training_step_moves_every_trainable_weight(name, randomize_batch_norm, pixels):
    shape = smallest_shape(name)
    model = randomize_batch_norm(zoo.create_model(name, input_shape=shape))
    before = [weight.numpy().copy() for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    # Two steps would hide nothing here but one can: a ReLU may be closed to a whole batch, so the batch is not tiny.
    model.train_on_batch(pixels(16, *shape), np.arange(16) % 10)
    moved = [np.any(weight.numpy() != old) for weight, old in zip(model.trainable_weights, before, strict=True)]
    assert all(moved), [weight.path for weight, m in zip(model.trainable_weights, moved, strict=True) if not m]


@pytest.mark.parametrize("name", MODELS)
def test_endpoints_are_as_on_the_card(name, small, pixels):
    shape = smallest_shape(name)
    features = zoo.feature_extractor(small(name))(pixels(1, *shape))
    endpoints = zoo.model_card(name).endpoints
    assert features.keys() == endpoints.keys()
    for endpoint, map_ in features.items():
        assert map_.shape[-1] == endpoints[endpoint].channels
        # The card's stride is the nominal one; unpadded convolutions cut the border besides.
        assert 0 < map_.shape[1] <= math.ceil(shape[0] / endpoints[endpoint].stride)
        assert map_.shape[1] > shape[0] / (2 * endpoints[endpoint].stride) - 2


@pytest.mark.parametrize("name", MODELS)
def test_tflite_and_onnx_answer_as_keras(name, small, pixels, tmp_path):
    model = small(name)
    images = Samples(pixels(8, *smallest_shape(name)), None)
    reference = Reference(images, "noise", model.predict(images.images, verbose=0))
    form = ExportForm.of(model)
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
answers = {}
for name in json.load(open(f"{folder}/names.json")):
    model = load_model(f"{folder}/{name}.keras")
    np.save(f"{folder}/{name}.answer.npy", model.predict(np.load(f"{folder}/{name}.npy"), verbose=0))
# The builders are not needed to read a model, and the flat form does not need the package at all.
families = {"pocketzoo.zoo.creation", "pocketzoo.zoo.lenet", "pocketzoo.zoo.resnet_cifar"}
assert not families & set(sys.modules)
assert use_package or not any(module.startswith("pocketzoo") for module in sys.modules)
"""


@pytest.fixture(scope="module", params=[True, False], ids=["model", "flat"])
def read_back(request, small, pixels, tmp_path_factory):
    """Every model saved here and answering in one fresh process: name -> (answer here, answer there)."""
    folder = tmp_path_factory.mktemp("saved")
    here = {}
    for name in MODELS:
        model = small(name) if request.param else zoo.flatten_model(small(name))
        images = pixels(2, *smallest_shape(name))
        here[name] = model.predict(images, verbose=0)
        zoo.save_model(model, folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", images)
    (folder / "names.json").write_text(json.dumps(MODELS))
    command = [sys.executable, "-c", READ_IN_A_FRESH_PROCESS, str(folder), str(request.param)]
    subprocess.run(command, check=True, cwd="/")
    return {name: (here[name], np.load(folder / f"{name}.answer.npy")) for name in MODELS}


@pytest.mark.xdist_group("read_back")  # so that one worker makes the fixture for all
@pytest.mark.parametrize("name", MODELS)
def test_saved_model_answers_the_same_in_a_fresh_process(name, read_back):
    here, there = read_back[name]
    assert np.abs(here - there).max() == 0.0
