"""Ranges of the tensors of a TFLite file, measured on calibration images."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ...large_arrays import Rows
from ...tflite_schema.flatbuffer import pack_model, unpack_model
from .intermediate_tensors import TFLiteIntermediates


def with_ranges(content: bytes, images: Rows, pixel_range: tuple[float, float]) -> bytes:
    """Return the file with the minimum and the maximum of each float tensor over the images.

    TensorFlow's own calibrator reads the inputs of an operation after it has run, when an addition with a ReLU has
    overwritten one of them with the sum: one branch of a residual block gets a range up to 2.5 times too large.

    Args:
        content: A float TFLite file with one subgraph.
        images: Values in the range of pixels, `(count, height, width, channels)`.
        pixel_range: The range of the input: dark calibration images must not make bright pixels saturate.
    """
    model, intermediates = unpack_model(content), TFLiteIntermediates(content)
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for image in images:
        for name, values in intermediates.run(image).items():
            low[name] = np.minimum(low.get(name, np.inf), values.min())  # unlike min, it propagates NaN
            high[name] = np.maximum(high.get(name, -np.inf), values.max())
    low[intermediates.image["name"]], high[intermediates.image["name"]] = pixel_range
    for tensor in model.subgraphs[0].tensors:
        name = tensor.name.decode()
        if name in low and tensor.type == tflite.TensorType.FLOAT32:
            tensor.quantization = tflite.QuantizationParametersT()
            tensor.quantization.min, tensor.quantization.max = [float(low[name])], [float(high[name])]
    return pack_model(model)
