"""Conformance of every model in the zoo. A new card is tested automatically.

Models have the card's smallest input, few channels and few blocks, where the builder has arguments for that
(`support.cards`). In `make test-all` they are tested at their full depth, too.
"""

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cards import COMPOSITES_OF_OTHERS, all_cards_by_kind, narrow_model, smallest_shape
from support.graph_quality import findings

from pocketzoo import zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.comparison import validate_artifact
from pocketzoo.export.validation.difference import relative_difference
from pocketzoo.export.validation.reference import Reference
from pocketzoo.tasks import get_task


@dataclass(frozen=True)
class Case:
    """A model with what its tests share. Tests must not modify it."""

    name: str
    deep: bool
    model: keras.Model
    flat: keras.Model
    images: np.ndarray
    outputs: np.ndarray


@pytest.fixture(scope="module", params=all_cards_by_kind())
def case(request, randomize_batch_norm, pixels):
    """Each model with random BatchNorm statistics, as in a trained model."""
    keras.backend.clear_session()
    return make_case(*request.param, randomize_batch_norm, pixels)


cards_with_other_composites = pytest.mark.parametrize("case", all_cards_by_kind(COMPOSITES_OF_OTHERS), indirect=True)


def make_case(name, deep, randomize_batch_norm, pixels) -> Case:
    keras.utils.set_random_seed(0)
    model = randomize_batch_norm(narrow_model(name, deep=deep))
    images = pixels(8, *smallest_shape(name))
    return Case(name, deep, model, zoo.flatten_model(model), images, predict(model, images))


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=False))


@cards_with_other_composites
def test_accepts_other_input_size_channels_and_classes(case, pixels):
    size = zoo.model_card(case.name).smallest_input + 5
    model = narrow_model(case.name, deep=case.deep, classes=3, input_shape=(size, size + 2, 2))
    probabilities = predict(model, pixels(2, size, size + 2, 2))
    assert probabilities.shape[0] == 2
    assert get_task(zoo.model_card(case.name).task).count_named(probabilities.shape[1:]) == 3
    if get_task(zoo.model_card(case.name).task).activation == "softmax":
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)


@cards_with_other_composites
def test_accepts_any_size_if_the_card_allows_it(case, pixels):
    card = zoo.model_card(case.name)
    shape = (None, None, card.input_shape[2])
    if not card.variable_size:
        with pytest.raises(zoo.InputError, match="needs a fixed height and width"):
            narrow_model(case.name, deep=case.deep, input_shape=shape)
        return
    model = narrow_model(case.name, deep=case.deep, input_shape=shape)
    for size in (card.smallest_input, 2 * card.smallest_input):
        outputs = predict(model, pixels(1, size, size, shape[2]))
        assert (outputs.shape[0], outputs.shape[-1]) == (1, card.classes)


def test_flattened_model_is_bit_identical(case):
    assert np.abs(predict(case.flat, case.images) - case.outputs).max() == 0.0


def test_flattened_model_shares_the_weights(case):
    flat = {id(weight) for weight in case.flat.weights}
    normalization = {id(weight) for weight in case.model.get_layer("pixels").weights}
    assert flat == {id(weight) for weight in case.model.weights} - normalization


@cards_with_other_composites
def test_every_trainable_weight_gets_a_gradient(case, pixels):
    images = pixels(16, *case.images.shape[1:], seed=1)
    direction = np.random.default_rng(0).normal(size=(16, *case.outputs.shape[1:])).astype("float32")
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


def test_output_does_not_depend_on_the_rest_of_the_batch(case):
    alone = np.concatenate([predict(case.model, image[None]) for image in case.images[:2]])
    assert relative_difference(alone, case.outputs[:2]) < 1e-4


def test_feature_extractor_outputs_every_endpoint(case):
    features, endpoints = zoo.feature_extractor(case.model)(case.images[:1]), zoo.model_card(case.name).endpoints
    assert features.keys() == endpoints.keys() if case.deep else 0 < len(features) <= len(endpoints)
    for name, endpoint in endpoints.items():
        if name not in features:  # its block is not in the shallow net; test_published_figures.py has all
            continue
        assert 0 < features[name].shape[1] <= -(-case.images.shape[1] // endpoint.stride)
        assert np.isfinite(features[name].numpy()).all()


@pytest.mark.parametrize(
    "policy",
    ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.every_card)],  # which has a wider range
)
@cards_with_other_composites
def test_mixed_precision_outputs_finite_float32(case, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = narrow_model(case.name, deep=case.deep)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("head").compute_dtype == policy.removeprefix("mixed_")
    # Initial statistics do not normalize: the sum of a hundred residuals would exceed the range of float16.
    model.set_weights(case.model.get_weights())
    outputs = model(case.images[:2], training=False)
    assert outputs.dtype == "float32"
    assert np.isfinite(outputs.numpy()).all()


OF_SEQUENCES = {"PACK", "Transpose"}
"""Nodes that sequences need: the steps of a recurrent layer are packed, and columns of a map become rows."""


@cards_with_other_composites
def test_tflite_and_onnx_outputs_match_keras(case, tmp_path):
    reference = Reference(Samples(case.images, None), "noise", case.outputs)
    form = ExportGraph.from_model(case.model)
    formats, card = [FORMATS["tflite-fp32"], FORMATS["onnx-fp32"]], zoo.model_card(case.name)
    for file, kind in write_artifacts(form, formats, None, tmp_path):
        check = validate_artifact(file.name, "", load_artifact(file), kind, reference)
        assert [gate for gate in check.gates if gate.status == "failed"] == []
        assert {gate.bar for gate in check.gates if gate.name == "relative difference"} == {1e-4}
        assert file.stat().st_size >= form.kernel_weights * kind.bytes_per_weight
        assert set(findings(file)) <= OF_SEQUENCES if get_task(card.task).has_order else findings(file) == []


READ_IN_NEW_PROCESS = """
import sys, traceback
import keras
import numpy as np

form, *unneeded = sys.argv[1:]
load = keras.saving.load_model
if form == "model":
    from pocketzoo.zoo import load_model as load
for line in sys.stdin:
    folder, status = line.strip(), 0
    try:
        images = np.load(f"{folder}/images.npy")
        np.save(f"{folder}/{form}.npy", load(f"{folder}/{form}.keras")(images, training=False))
        assert not set(unneeded) & set(sys.modules)
    except BaseException:
        traceback.print_exc()
        status = 1
    keras.backend.clear_session()
    print(status, flush=True)
"""


@pytest.fixture(scope="module")
def read_in_new_process():
    """Function that loads `model.keras` and `flat.keras` of a folder in processes that have not made them.

    One has no package, which a flattened model does not need; the other no builder, which a model does not need.
    """
    families = {zoo.model_card(name).builder.split(":")[0] for name in zoo.list_models()}
    builders = [f"pocketzoo.zoo.{module}" for module in (*families, "creation", "feature_builder")]
    with ExitStack() as stack:
        readers = []
        for form, unneeded in (("flat", ["pocketzoo"]), ("model", builders)):
            command = [sys.executable, "-c", READ_IN_NEW_PROCESS, form, *unneeded]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            readers.append(stack.enter_context(subprocess.Popen(command, **pipes, text=True, cwd="/")))

        def read(folder: Path) -> None:
            for reader in readers:
                reader.stdin.write(f"{folder}\n")
                reader.stdin.flush()
            assert [reader.stdout.readline() for reader in readers] == ["0\n", "0\n"]

        yield read


@cards_with_other_composites
def test_saved_model_has_the_same_outputs_in_a_new_process(case, tmp_path, read_in_new_process):
    zoo.save_model(case.model, tmp_path / "model.keras")
    zoo.save_model(case.flat, tmp_path / "flat.keras")
    np.save(tmp_path / "images.npy", case.images)
    read_in_new_process(tmp_path)
    for form in ("model", "flat"):
        assert np.abs(np.load(tmp_path / f"{form}.npy") - case.outputs).max() == 0.0
