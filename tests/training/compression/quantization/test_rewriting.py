"""Fake quantization equals the integers of the runtimes, for small networks of one situation each."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from onnxruntime import InferenceSession

from pocketzoo import zoo
from pocketzoo.export.artifact.metadata import Metadata, OutputForm
from pocketzoo.export.conversion.export_graph import ExportGraph, weights_sha256
from pocketzoo.export.conversion.onnx.float_model import to_onnx
from pocketzoo.export.conversion.onnx.quantized_model import to_trained_integers
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.conversion.trained_integers import activation_bits, with_rounded_kernels
from pocketzoo.layers import ConvNormAct, FakeQuantize, PixelNormalization, SqueezeExcite, UpBlock
from pocketzoo.training.compression.quantization.rewriting import quantized_model


def conv(filters=6, **arguments):
    return ConvNormAct(filters, 3, **arguments)


def branches(x):
    return layers.Concatenate()([conv(4)(x), layers.Concatenate()([conv(2, activation="relu6")(x), conv(3)(x)])])


def separable(**arguments):
    return layers.SeparableConv2D(5, 3, padding="same", activation="relu", bias_initializer="uniform", **arguments)


def vector(x):
    return layers.BatchNormalization()(layers.Dense(3, activation="relu")(layers.GlobalAveragePooling2D()(x)))


def gated(activation, gate):
    return lambda x: SqueezeExcite(6, 3, activation=activation, gate=gate)(conv(activation="silu")(x))


SITUATIONS = {
    "strides and zeros": lambda x: conv(strides=2, padding=1)(x),
    "no bias and no norm": lambda x: conv(norm=None, use_bias=False)(x),
    "addition": lambda x: layers.Activation("relu")(layers.Add()([conv(3, activation=None)(x), x])),
    "subtraction": lambda x: layers.Subtract()([conv(3)(x), x]),
    "concatenation": branches,
    "norm before": lambda x: conv(4)(layers.Activation("relu")(layers.BatchNormalization()(branches(x)))),
    "two norms": lambda x: layers.Rescaling(0.3)(layers.BatchNormalization()(conv(activation=None)(x))),
    "depthwise": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x),
    "groups": lambda x: conv(groups=2)(conv(4)(x)),
    "maxima and means": lambda x: layers.AveragePooling2D(2)(layers.MaxPooling2D(3, 1, padding="same")(conv()(x))),
    "gates": gated("relu", "hard_sigmoid"),
    "smooth gates": gated("silu", "sigmoid"),
    "hard gate by itself": lambda x: layers.Activation("hard_sigmoid")(layers.Add()([conv(3)(x), x])),
    "hard swish": lambda x: conv(activation="hard_silu")(x),
    "bounded": lambda x: conv(activation="sigmoid")(conv(activation="tanh")(x)),
    "leaky": lambda x: layers.PReLU(shared_axes=[1, 2])(conv(activation="leaky_relu")(x)),
    "ReLU layers": lambda x: layers.ReLU(6.0)(conv(8)(layers.ReLU()(layers.Conv2D(8, 3)(x)))),
    "own activation": lambda x: layers.Conv2D(4, 3, activation="tanh")(layers.Conv2D(4, 3, activation="relu6")(x)),
    "decoder": lambda x: UpBlock(4, 4, up_filters=5)([conv(strides=2)(x), x]),
    "upsampled": lambda x: UpBlock(4, 4, up="resize")([conv(strides=2)(x), x]),
    "channels": lambda x: conv()(layers.ZeroPadding2D(((0, 0), (1, 1)), data_format="channels_first")(x)),
    "applied twice": lambda x: (lambda once: layers.Add()([once(x), once(conv(3)(x))]))(layers.Conv2D(4, 3)),
    "separable": lambda x: layers.BatchNormalization()(separable(strides=2, depth_multiplier=2)(separable()(x))),
    "resized": lambda x: layers.Resizing(9, 17, interpolation="nearest")(layers.Resizing(9, 7)(conv()(x))),
    "cropped": lambda x: conv()(layers.CenterCrop(8, 7)(x)),
    "extremes": lambda x: layers.Minimum()([layers.Maximum()([conv(3)(x), conv(3)(x), x]), conv(3)(x)]),
    "average": lambda x: layers.Average()([conv(3)(x), x, conv(3)(x)]),
    "sum and product of three": lambda x: layers.multiply([layers.add([conv(3)(x), x, conv(3)(x)]), conv(3)(x), x]),
    "norm of rows": lambda x: layers.Reshape((12, 12, 3))(layers.BatchNormalization()(layers.Reshape((-1, 3))(x))),
    "norm of a vector": lambda x: layers.Multiply()([x, layers.Reshape((1, 1, 3))(vector(x))]),
    "softmax": lambda x: conv(activation="softmax")(x),
    "augmentation": lambda x: conv()(layers.RandomRotation(0.1)(layers.RandomFlip()(x))),
    "dropout": lambda x: layers.Dropout(0.5)(conv()(x)),
}


WITH_16_BITS = (
    *("separable", "extremes", "average", "norm of rows", "softmax"),
    *("addition", "two norms", "maxima and means", "gates", "smooth gates", "hard swish", "bounded"),
)


def net(situations) -> keras.Model:
    """A model with one output per situation, and statistics like a trained one's."""
    image = keras.Input((12, 12, 3))
    keras.utils.set_random_seed(1)
    pixels = PixelNormalization(mean=120.0, scale=1 / 60)(image)
    outputs = {name: layers.Dense(4)(layers.GlobalAveragePooling2D()(SITUATIONS[name](pixels))) for name in situations}
    model = keras.Model(image, outputs, name="situations")
    random = np.random.default_rng(0)
    for layer in zoo.flatten_model(model).layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        if isinstance(layer, layers.PReLU):
            layer.set_weights([random.uniform(0, 0.5, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return net(SITUATIONS)


@pytest.fixture(scope="module")
def quantized(model, images):
    """The model with ranges observed on the images."""
    quantized = quantized_model(model, 8)
    quantized(images, training=True)
    return quantized


@pytest.fixture(scope="module")
def fake(quantized, images):
    """The outputs of fake quantization, by situation."""
    return {name: output.numpy() for name, output in quantized(images, training=False).items()}


def form_of(quantized):
    """The export form, with several outputs."""
    flat = with_rounded_kernels(quantized)
    image = tf.TensorSpec((1, 12, 12, 3), name="image")
    about = {"model": "net", "task": "raw", "labels": (), "image_shape": (12, 12, 3), "mean": None, "scale": None}
    outputs = {name: OutputForm(task="raw", labels=()) for name in sorted(flat.output)}
    metadata = Metadata(weights_sha256=weights_sha256(flat), outputs=outputs, **about)
    return ExportGraph(flat, image, metadata, activation_bits(quantized))


@pytest.fixture(scope="module")
def form(quantized):
    return form_of(quantized)


def run_tflite(content, situations, images):
    """The outputs of LiteRT, by situation."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    image, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()
    scale, zero_point = image["quantization"]

    def run(pixels):
        interpreter.set_tensor(image["index"], (np.round(pixels[None] / scale) + zero_point).astype(image["dtype"]))
        interpreter.invoke()
        return [dequantized(interpreter.get_tensor(output["index"]), *output["quantization"]) for output in outputs]

    return by_situation(map(run, images), situations)


@pytest.fixture(scope="module")
def tflite(form, images):
    return run_tflite(to_tflite(form, "tflite-int8", None), SITUATIONS, images)


@pytest.fixture(scope="module")
def onnx(form, images):
    session = InferenceSession(to_trained_integers(to_onnx(form), form).SerializeToString())

    def run(pixels):
        outputs = session.run(None, {session.get_inputs()[0].name: pixels[None].transpose(0, 3, 1, 2).astype("uint8")})
        return [output.transpose(0, 2, 3, 1) if output.ndim == 4 else output for output in outputs]

    return by_situation(map(run, images), SITUATIONS)


def dequantized(integers, scale, zero_point):
    return (integers.astype("float32") - zero_point) * scale


def by_situation(outputs, situations):
    """From a list of outputs per image; converters sort outputs by name."""
    return dict(zip(sorted(situations), map(np.concatenate, zip(*outputs, strict=True)), strict=True))


def quantizer_of(quantized: keras.Model, situation: str) -> FakeQuantize:
    """The layer that rounds the output of a situation."""
    outputs = {layer.output: layer for layer in quantized.layers}
    return outputs[quantized.output[situation]]


def test_without_rounding_it_is_the_same_function(model, images, monkeypatch):
    def ends_only(self, inputs, training=None, observe=True):
        return inputs if self.limits is None else keras.ops.clip(inputs, *self.limits)

    monkeypatch.setattr(FakeQuantize, "call", ends_only)
    monkeypatch.setattr("pocketzoo.layers.quantized_kernels.int8_grid", lambda kernel, shared: kernel)
    unrounded = quantized_model(model, 8)(images, training=False)
    for situation, expected in model(images, training=False).items():
        np.testing.assert_allclose(unrounded[situation], expected, rtol=1e-3, atol=1e-4, err_msg=situation)


@pytest.mark.parametrize("runtime", ["tflite", "onnx"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_integer_outputs_equal_fake_quantization(situation, runtime, quantized, fake, request):
    outputs = request.getfixturevalue(runtime)[situation]
    grid = quantizer_of(quantized, situation)
    step = (grid.maximum.numpy() - grid.minimum.numpy()) / 255
    # A value midway between two integers may go either way, here and in all that follows from it.
    assert np.abs(outputs - fake[situation]).max() <= 2.01 * step


def test_16_bit_integer_outputs_equal_fake_quantization(images):
    quantized = quantized_model(net(WITH_16_BITS), 16)
    quantized(images, training=True)
    outputs = run_tflite(to_tflite(form_of(quantized), "tflite-int16x8", None), WITH_16_BITS, images)
    for situation, expected in quantized(images, training=False).items():
        np.testing.assert_allclose(outputs[situation], expected, atol=3e-4 * np.abs(expected).max(), err_msg=situation)


@pytest.mark.parametrize("situation", ["concatenation", "leaky"])
def test_layers_supported_with_8_bits_only_are_refused_with_16(situation):
    with pytest.raises(zoo.InputError, match="with 16-bit activations"):
        quantized_model(net([situation]), 16)
