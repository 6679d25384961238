"""The ranges of the tensors of a TFLite file, as images show them."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ...tflite_schema.flatbuffer import pack_model, unpack_model
from .intermediate_tensors import TFLiteIntermediates


def with_ranges(content: bytes, images: np.ndarray) -> bytes:
    """The file with the least and the largest value that each tensor of floats has for these images.

    TensorFlow's own calibrator reads what an operation takes after it has run, when an addition with a ReLU has written
    its sum there: one branch of a residual block gets a range up to 2.5 times too large.

    Args:
        content: A TFLite file of floats of one graph.
        images: `(count, height, width, channels)`.
    """
    model, tapped = unpack_model(content), TFLiteIntermediates(content)
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for image in images:
        for name, values in {tapped.image["name"]: image, **tapped.run(image)}.items():
            low[name] = np.minimum(low.get(name, np.inf), values.min())  # which, unlike min, tells NaN
            high[name] = np.maximum(high.get(name, -np.inf), values.max())
    for tensor in model.subgraphs[0].tensors:
        name = tensor.name.decode()
        if name in low and tensor.type == tflite.TensorType.FLOAT32:
            tensor.quantization = tflite.QuantizationParametersT()
            tensor.quantization.min, tensor.quantization.max = [float(low[name])], [float(high[name])]
    return pack_model(model)
