"""Private names of TensorFlow, all of its TFLite converter."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from .private_names import PrivateName

PACKAGE, TESTED = "tensorflow", "2.21.0"

NAMES = tuple(
    PrivateName(PACKAGE, TESTED, name, needed_for)
    for name, needed_for in {
        "tensorflow.lite.python.convert.mlir_quantize": "tflite-int8 files, whose ranges LiteRT measures",
        "TFLiteConverter._quantize": "tflite-int8 files, whose ranges LiteRT measures",
        "TFLiteConverter._freeze_concrete_function": "every TFLite file: graphs are traced with constant weights",
        "tensorflow.python.framework.convert_to_constants.convert_variables_to_constants_v2": (
            "TFLite and ONNX files of models with tensors that are no weights"
        ),
        "TFLiteConverter._experimental_disable_per_channel_quantization_for_dense_layers": (
            "TFLite files of models from training.quantize_aware"
        ),
    }.items()
)


def quantize_tflite(
    content: bytes, *, input_type: tf.DType, output_type: tf.DType, float_tensors: Sequence[str]
) -> bytes:
    """Quantize a TFLite file of floats whose tensors have ranges, to int8 weights and activations.

    Args:
        content: The file; infinite ranges end the process.
        input_type: Type of the input: `tf.int8`, or `tf.float32` to quantize inside the file.
        output_type: Type of the output, as for the input.
        float_tensors: Tensors whose operations stay in floats.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    quantized: bytes = mlir_quantize(
        content, input_data_type=input_type, output_data_type=output_type, denylisted_nodes=list(float_tensors)
    )
    return quantized


def skip_quantization(converter: tf.lite.TFLiteConverter) -> None:
    """Make a converter that is set up for int8 return its file of floats, before it calibrates and quantizes."""
    converter._quantize = lambda content, *_, **__: content


def freeze(function: Any) -> Any:
    """Return a concrete function with constants for all tensors and variables that it captures."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


def use_frozen_graph(converter: tf.lite.TFLiteConverter, graph: Any, function: Any) -> None:
    """Make a converter take a graph that has constants for weights already, in place of freezing its function.

    Freezing takes longer than the conversion and a copy of all weights.

    Args:
        converter: From `from_concrete_functions([function])`.
        graph: The `GraphDef` of `function`.
        function: A concrete function that captures nothing.
    """
    converter._freeze_concrete_function = lambda: (graph, function.inputs, function.outputs, function)


def quantize_dense_per_tensor(converter: tf.lite.TFLiteConverter) -> None:
    """Make a converter quantize dense kernels with one scale for the whole kernel, as for models trained that way."""
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
