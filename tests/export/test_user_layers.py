"""Small models as users write them: their files compute what Keras does, or they are refused in one sentence."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops
from support.user_layers import NETS, SIDE, Net, between, dense, difference, differences, model_of, pictures

from pocketzoo.core.errors import InputError
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.export_model import export_model
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.tflite_schema.nodes import float_operators
from pocketzoo.zoo.functional_form import functional_form

FLOATS = {"tflite-fp32": 1e-4, "tflite-fp16": 1e-2, "onnx-fp32": 1e-4, "onnx-fp16": 1e-2}
"""Formats, and the largest deviation from Keras relative to the variation of its outputs."""
INTEGERS = {"tflite-int8": 0.15, "onnx-int8": 0.15}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return pictures(10, SIDE, SIDE)


GROUPS = [[*NETS][start : start + 9] for start in range(0, len(NETS), 9)]


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: f"{names[0]} to {names[-1]}")
def test_files_compute_what_keras_does(names, images, tmp_path):
    """Nine nets are the outputs of one model, since converting it takes little longer than converting each."""

    def each(x):
        outputs = {}
        for name in names:
            keras.utils.set_random_seed(0)  # whatever nets are beside it
            outputs[name] = NETS[name](x)
        return outputs

    limits, model = FLOATS | INTEGERS, model_of(each)
    found = differences(model, images, limits, tmp_path)
    wrong = {
        (form, name): value
        for form, values in found.items()
        for name, value in values.items()
        if not value <= limits[form]
    }
    assert wrong == {}


def test_names_with_spaces_and_letters_of_other_languages(images, tmp_path):
    limits = FLOATS | INTEGERS
    net = model_of(
        lambda x: layers.Dense(4, name="ответ 1")(layers.Flatten(name="a (b)")(layers.Conv2D(4, 3)(x))), name="net ü"
    )
    found = differences(net, images, limits, tmp_path)
    assert {form: value for form, value in found.items() if not value <= limits[form]} == {}


def solid(x: keras.KerasTensor) -> keras.KerasTensor:
    """A 3-D convolution."""
    return dense(layers.Conv3D(4, 3, padding="same", name="solid")(layers.Reshape((SIDE, SIDE, 3, 1))(x)))


def resized(**how: Any) -> Net:
    """A net that resizes its pixels."""
    return lambda x: dense(layers.Resizing(9, 9, name="resizing", **how)(x))


REFUSED: list[tuple[Net, str, str]] = [
    (
        lambda x: dense(layers.MaxPooling3D(2, name="pool")(layers.Reshape((8, 8, 4, 3))(x))),
        "tflite-fp32",
        "^pool of net",
    ),
    (
        resized(antialias=True),
        "tflite-fp32",
        "^resizing of net computes Scale.* interpolation='bilinear'",
    ),
    (
        resized(interpolation="lanczos3"),
        "onnx-fp32",
        "^resizing of net computes Scale.*, which ONNX does not",
    ),
    (
        lambda x: dense(layers.Lambda(lambda y: ops.fori_loop(0, 3, lambda _, z: z * 0.9, y), name="loop")(x)),
        "tflite-int8",
        "^loop of net computes .*While, .* write out its steps",
    ),
    (resized(interpolation="area"), "onnx-fp32", "^resizing of net computes ResizeArea, which ONNX does not have"),
    (
        lambda x: dense(layers.Conv2DTranspose(4, 3, dilation_rate=2, name="up")(x)),
        "tflite-fp32",
        "^up of net computes .* use dilation_rate=1",
    ),
    (
        between(layers.Activation, "elu", name="bend"),
        "tflite-int16x8",
        "^bend of net computes Elu, which tflite",
    ),
]


@pytest.mark.parametrize(("net", "form", "message"), REFUSED)
def test_layer_that_a_format_does_not_have_is_refused_in_words(net, form, message, images, tmp_path):
    with pytest.raises(InputError, match=message):
        differences(model_of(net), images, [form], tmp_path)


@pytest.mark.parametrize("keepdims", [False, True])
def test_positions_of_largest_and_smallest_values_are_converted(keepdims, images, tmp_path):
    """Also in maps without channels, whose outputs have three axes."""

    def net(x):
        y = layers.Conv2D(4, 3)(x)
        return ops.argmax(y, axis=-1, keepdims=keepdims) - ops.argmin(y, axis=-1, keepdims=keepdims)

    found = differences(model_of(net), images, ["tflite-fp32", "onnx-fp32"], tmp_path)
    assert found == {"tflite-fp32": 0, "onnx-fp32": 0}


def test_layers_quantized_by_keras_are_refused_where_a_format_does_not_have_their_numbers(images, tmp_path):
    for mode, form in (("int8", "tflite-fp32"), ("float8", "onnx-fp32")):
        model = model_of(lambda x: layers.Dense(4, name="answer")(layers.GlobalAveragePooling2D()(x)))
        model.quantize(mode)
        with pytest.raises(InputError, match=f"^answer of net was quantized to {mode} by Keras, which .* export the"):
            differences(model, images, [form], tmp_path)


def test_least_size_of_files_counts_what_converters_cannot_fold():
    """Kernels that are one number or equal are folded or shared, and most of a position embedding may not be used."""

    def net(x):
        first, second = layers.Conv2D(4, 3, padding="same"), layers.Conv2D(4, 3, padding="same")
        y = layers.LayerNormalization(axis=(1, 2, 3))(first(x) + second(x) + layers.Embedding(500, 4)(ops.arange(SIDE)))
        second.kernel.assign(first.kernel)
        return y

    assert ExportGraph.from_model(model_of(net)).kernel_weights == 3 * 3 * 3 * 4


def test_layer_without_integers_can_be_kept_in_floats(images, tmp_path):
    model = model_of(solid)
    graph, how = ExportGraph.from_model(model), {"folder": tmp_path, "keep_float": ["solid"]}
    ((path, _),) = write_artifacts(graph, [FORMATS["tflite-int8"]], Samples(images, None), **how)
    artifact = load_artifact(path)
    assert artifact.metadata.making.float_layers == ("solid",)
    assert difference(artifact.run(images), np.asarray(model(images, training=False))) < INTEGERS["tflite-int8"]


def test_saved_model_inside_is_converted(images, tmp_path):
    inside = model_of(lambda x: layers.Conv2D(4, 3, activation="relu")(x))
    inside.export(tmp_path / "saved", verbose=False)
    image = keras.Input((SIDE, SIDE, 3))
    maps = layers.TFSMLayer(tmp_path / "saved", call_endpoint="serve")(image)
    found = differences(keras.Model(image, dense(maps), name="net"), images, ["tflite-fp32", "onnx-fp32"], tmp_path)
    assert max(found.values()) < 1e-4


def test_loop_before_a_dense_layer_is_converted_in_floats(images, tmp_path):
    model = model_of(lambda x: dense(layers.Lambda(lambda y: ops.fori_loop(0, 3, lambda _, z: z * 0.9, y))(x)))
    assert max(differences(model, images, ["tflite-fp32", "onnx-fp32"], tmp_path).values()) < 1e-4


@pytest.mark.parametrize(
    "mixed",
    [lambda x: x - ops.mean(x, axis=0, keepdims=True), lambda x: x + keras.random.normal(ops.shape(x))],
    ids=["across the batch", "random"],
)
def test_outputs_that_depend_on_other_images_or_on_chance_are_refused(mixed, images, tmp_path):
    model = model_of(lambda x: dense(layers.Lambda(mixed)(x)))
    with pytest.raises(InputError, match="for an image that is alone than for the same image among others"):
        export_model(model, tmp_path / "out", targets="gpu", evaluation=images)


class NoiseInTraining(keras.Model):
    """Has no graph of layers that is right in training and in inference."""

    def __init__(self):
        super().__init__()
        self.conv, self.noise, self.pool = layers.Conv2D(4, 3), layers.GaussianNoise(0.1), layers.GlobalMaxPooling2D()

    def call(self, pixels, training=None):
        maps = self.conv(pixels / 255)
        return self.pool(self.noise(maps) if training else maps)


def test_subclassed_model_that_differs_in_training_is_converted(images, tmp_path):
    model = NoiseInTraining()
    model(images[:1])
    form = functional_form(model)
    assert max(differences(form, images, ["tflite-fp32", "onnx-fp32"], tmp_path).values()) < 1e-4


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
@pytest.mark.parametrize("sizes", [(100, 64), (97, 41), (41, 97)])
def test_maps_are_resized_to_the_size_itself(method, sizes, tmp_path):
    side, new = sizes
    net = model_of(lambda x: layers.Resizing(new, new, interpolation=method)(layers.Conv2D(2, 1)(x)), side)
    found = differences(net, pictures(2, side, side), ["tflite-fp32", "onnx-fp32"], tmp_path)
    assert max(found.values()) < 1e-4


@settings(max_examples=6, deadline=None)
@given(
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(["same", "valid"]),
)
def test_transposed_convolutions_of_any_shape(strides, kernel, padding):
    model = model_of(lambda x: layers.Conv2DTranspose(3, kernel, strides, padding)(layers.Conv2D(2, 3, 3)(x)))
    with TemporaryDirectory() as folder:
        found = differences(model, pictures(2, SIDE, SIDE), ["onnx-fp32"], Path(folder))
    assert found["onnx-fp32"] < 1e-4


@settings(max_examples=6, deadline=None)
@given(order=st.permutations([4, 4, 2, 3]), axes=st.integers(1, 4))
def test_dense_layers_on_maps_of_any_shape(order, axes):
    """The rows of a dense kernel are only permuted where whole maps are flattened."""
    shape = (*order[: axes - 1], int(np.prod(order[axes - 1 :])))
    model = model_of(
        lambda x: layers.Dense(3)(layers.Flatten()(layers.Dense(2)(layers.Reshape(shape)(layers.Conv2D(6, 4, 4)(x)))))
    )
    with TemporaryDirectory() as folder:
        found = differences(model, pictures(2, SIDE, SIDE), ["onnx-fp32"], Path(folder))
    assert found["onnx-fp32"] < 1e-4


@pytest.mark.parametrize("name", ["conv2d", "conv2d_1", "batch_normalization", "dense", "add"])
def test_kept_layers_are_those_of_the_name_and_no_others(name, images, tmp_path):
    """Also with names that Keras numbers, where a BatchNormalization is folded, and at the output."""

    def net(x):
        y = layers.BatchNormalization()(layers.Conv2D(5, 3, padding="same")(x))
        y = layers.Conv2D(5, 3, padding="same")(y) + y
        return dense(layers.Conv2D(6, 3)(y))

    graph = ExportGraph.from_model(model_of(net))
    formats = [FORMATS["tflite-int8"], FORMATS["onnx-int8"]]
    how = {"folder": tmp_path, "keep_float": [name]}
    files = {fmt.name: path for path, fmt in write_artifacts(graph, formats, Samples(images, None), **how)}
    for path in files.values():
        making = load_artifact(path).metadata.making
        assert making.float_layers == (name,)
        layers_of_noise = {layer for key in making.noise_db for layer in key.split(" + ")}
        assert layers_of_noise <= {each.name for each in graph.flat.operations} | {"answer"}
    floats = [node.operator for node in float_operators(files["tflite-int8"].read_bytes())]
    kinds = {"dense": ["FULLY_CONNECTED"], "add": ["ADD"]}
    assert floats == kinds.get(name, ["CONV_2D"])


def test_layer_that_leaves_nothing_cannot_be_kept(images, tmp_path):
    graph = ExportGraph.from_model(model_of(lambda x: dense(layers.Dropout(0.5, name="drop")(layers.Conv2D(4, 3)(x)))))
    how = {"folder": tmp_path, "keep_float": ["drop"]}
    with pytest.raises(InputError, match="keep_float selects drop, of which the converter leaves nothing"):
        list(write_artifacts(graph, [FORMATS["tflite-int8"]], Samples(images, None), **how))
