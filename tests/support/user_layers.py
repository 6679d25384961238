"""Small nets as users write them, one for each kind of layer, and how far their files are from Keras."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pocketzoo.core.outputs import map_outputs
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.sample_images import Samples

SIDE = 16
Net = Callable[[keras.KerasTensor], Any]
"""From scaled pixels to the output, or a dict of outputs."""


def pictures(count: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Patches of 4x4 pixels with noise, so that resizing and quantization are judged on what images are like."""
    random = np.random.default_rng(0)
    patches = random.uniform(0, 255, (count, height // 4 + 1, width // 4 + 1, channels))
    images = patches.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    return (images + random.normal(0, 5, images.shape)).clip(0, 255).round().astype("float32")


def head(maps: keras.KerasTensor) -> keras.KerasTensor:
    """A convolution and a dense layer."""
    return layers.Dense(4)(layers.Flatten()(layers.Conv2D(4, 3)(maps)))


def dense(values: keras.KerasTensor) -> keras.KerasTensor:
    """A dense layer on everything."""
    return layers.Dense(4)(layers.Flatten()(values))


def between(layer: Callable[..., Any], *args: Any, **kwargs: Any) -> Net:
    """A net with a layer of that class after its first convolution, whose values have both signs."""
    return lambda x: head(layer(*args, **kwargs)(layers.Conv2D(8, 3)(x)))


def between_ops(function: Net) -> Net:
    """A net with a function after its first convolution."""
    return lambda x: head(function(layers.Conv2D(8, 3)(x)))


def standardize(x: keras.KerasTensor) -> keras.KerasTensor:
    """A Keras normalization that has seen data."""
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(0.1, 0.6, (16, 4, 4, 3)))
    return layer(x)


def rows(x: keras.KerasTensor) -> keras.KerasTensor:
    """Four bands of a map as a sequence."""
    return layers.Reshape((4, SIDE * SIDE // 4 * x.shape[-1]))(x)


def tokens(x: keras.KerasTensor) -> keras.KerasTensor:
    """Patches as a sequence."""
    return layers.Reshape((16, 8))(layers.Conv2D(8, 4, strides=4)(x))


def attention(x: keras.KerasTensor) -> keras.KerasTensor:
    """Self-attention between patches."""
    sequence = tokens(x)
    return dense(layers.MultiHeadAttention(2, 4)(sequence, sequence))


def two_ways(y: keras.KerasTensor) -> keras.KerasTensor:
    """A minimum whose input a convolution takes, too."""
    return layers.Concatenate()([layers.Conv2D(4, 1)(y), ops.minimum(layers.MaxPooling2D(3, 1, "same")(y), 0.0)])


constant = partial(keras.ops.convert_to_tensor, dtype="float32")
NETS: dict[str, Net] = {
    "normalization": lambda x: head(standardize(x)),
    "normalization with given values": lambda x: head(layers.Normalization(mean=[0.1, 0, -0.1], variance=[1, 2, 3])(x)),
    "subtracted tensor": lambda x: head((x - constant([0.1, 0.2, 0.3])) / 0.5),
    "added map": lambda x: head(x + constant(np.random.default_rng(0).normal(0, 0.2, (1, SIDE, SIDE, 3)))),
    "rescaling by color": lambda x: head(layers.Rescaling([0.5, 2, 1], [0.1, 0, -0.2])(x)),
    "rescaling of an answer": lambda x: layers.Rescaling([10.0, 20.0], [1.0, 2.0])(
        layers.Dense(2)(layers.Flatten()(x))
    ),
    "rescaling of rows": lambda x: dense(layers.Rescaling(2.0, -1)(rows(x))),
    "rescaling of features": between(layers.Rescaling, 0.5),
    "dense on a map": lambda x: layers.Dense(4)(
        layers.GlobalAveragePooling2D()(layers.Dense(6)(layers.Conv2D(8, 3)(x)))
    ),
    "dense on rows": lambda x: dense(layers.Dense(5, "relu")(rows(layers.Conv2D(8, 3, padding="same")(x)))),
    "dense on pixels": lambda x: layers.Dense(4)(layers.Dense(8, "relu")(x)),
    "dense on patches": lambda x: dense(layers.Dense(4, "relu")(layers.LayerNormalization()(tokens(x)))),
    "perceptron": lambda x: layers.Dense(4)(layers.Dense(8, "relu")(layers.Flatten()(x))),
    "attention": attention,
    "permuted": lambda x: dense(layers.Permute((3, 1, 2))(layers.Conv2D(8, 4, strides=4)(x))),
    "upsampled by 3": between(layers.UpSampling2D, 3, interpolation="bilinear"),
    "upsampled nearest": between(layers.UpSampling2D, (2, 3)),
    "transposed, stride 3 and kernel 2": lambda x: layers.Conv2DTranspose(3, 2, 3)(layers.Conv2D(4, 3, 2)(x)),
    "transposed, stride 4 and kernel 1": between(layers.Conv2DTranspose, 4, 1, 4, "same", bias_initializer="ones"),
    "transposed with output padding": between(layers.Conv2DTranspose, 4, 3, 2, output_padding=1),
    "transposed, two strides": between(layers.Conv2DTranspose, 4, (3, 2), (2, 3), "same"),
    "leaky ReLU with a limit": between(layers.ReLU, negative_slope=0.1, max_value=1),
    "minimum beside a convolution": between_ops(two_ways),
    "clipped beside a sum": between_ops(lambda y: y + ops.clip(y, -0.3, 0.1)),
    "flipped beside a wider range": between_ops(lambda y: layers.Concatenate()([ops.flip(y, 1), 3 * y])),
    "LSTM": lambda x: layers.Dense(4)(layers.LSTM(6)(rows(x))),
    "GRU, both ways": lambda x: dense(layers.Bidirectional(layers.GRU(4, return_sequences=True))(rows(x))),
    "convolutional LSTM": lambda x: dense(layers.ConvLSTM2D(2, 3)(layers.Reshape((4, 4, SIDE, 3))(x))),
    "1-D convolution": lambda x: dense(layers.Conv1D(6, 3, padding="causal", dilation_rate=2)(tokens(x))),
    "grouped convolution": between(layers.Conv2D, 8, 3, groups=4),
    "ReLU with a threshold": between(layers.ReLU, negative_slope=0.1, threshold=0.05),
    "gate of channels by einsum": between_ops(lambda y: ops.einsum("bhwc,bc->bhwc", y, ops.mean(y, axis=(1, 2)))),
    "weighted sum by einsum": between_ops(lambda y: y + ops.einsum("bhwc,bhw->bc", y, y[..., 0])[:, None, None] / 99),
}
ACTIVATIONS = (
    "gelu",
    "silu",
    "mish",
    "hard_silu",
    "hard_sigmoid",
    "selu",
    "elu",
    "softplus",
    "softsign",
    "celu",
    "log_softmax",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "hard_tanh",
    "tanh_shrink",
    "soft_shrink",
    "leaky_relu",
    "log_sigmoid",
    "exponential",
)
NETS |= {name: between(layers.Activation, name) for name in ACTIVATIONS}
NETS["GELU by tanh"] = between_ops(lambda y: ops.gelu(y, approximate=True))
NETS["GLU"] = between_ops(lambda y: keras.activations.glu(y))


def model_of(net: Net, side: int = SIDE, name: str = "net") -> keras.Model:
    """A net of pixels, with biases that are not zero."""
    keras.backend.clear_session(free_memory=False)  # names of layers start anew
    keras.utils.set_random_seed(0)
    image = keras.Input((side, side, 3), name="image")
    model = keras.Model(image, net(layers.Rescaling(1 / 127.5, -1)(image)), name=name)
    for weight in model.trainable_weights:
        if len(weight.shape) == 1:
            weight.assign_add(np.random.default_rng(1).normal(0, 0.2, weight.shape))
    return model


def difference(outputs: np.ndarray, expected: np.ndarray) -> float:
    """Deviation of outputs, relative to the variation of the expected ones over the images."""
    variation = np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2))
    return float(np.sqrt(np.mean((outputs - expected) ** 2)) / variation)


def differences(model: keras.Model, images: np.ndarray, formats, folder) -> dict[str, Any]:
    """Deviation of the files of each format from Keras; by output where there are several."""
    graph = ExportGraph.from_model(model)
    expected = map_outputs(np.asarray, model(images, training=False))
    files = write_artifacts(graph, [FORMATS[name] for name in formats], Samples(images, None), folder)
    return {fmt.name: map_outputs(difference, load_artifact(path).run(images), expected) for path, fmt in files}
